/** Version of this program, as entries of its logs name it. A release changes it together with CHANGELOG.md. */
export const SOFTWARE_VERSION = "0.4.0";
