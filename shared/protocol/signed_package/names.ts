/** How a package's two files are called: `NAME.cap` and `NAME.signed.json`, beside one another. */

const CAP_ENDING = /\.cap$/i;
const SIGNED_ENDING = /\.signed\.json$/i;

/** The two files of a package. */
export interface PackagePaths {
  readonly cap: string;
  readonly signed: string;
}

/** Both files of a package, of which one is given. */
export function packagePaths(file: string): PackagePaths {
  return SIGNED_ENDING.test(file)
    ? { cap: file.replace(SIGNED_ENDING, ".cap"), signed: file }
    : { cap: file, signed: `${file.replace(CAP_ENDING, "")}.signed.json` };
}
