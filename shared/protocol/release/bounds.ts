/** Bounds of what a wallet hands on about a release. */

/**
 * Most roots in a bundle. A client goes over 256 at one refresh (section 5.3.3), and hands on every root since its first one: after
 * many refreshes those are more.
 */
export const BUNDLE_ROOTS_MAX = 4096;
