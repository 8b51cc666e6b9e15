/** A private SoftHSM2 token for tests and for `rk demo --real`. */

import { initToken } from "shared/transport/pkcs11/init_token.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { missingComponent } from "./component.ts";

/** Where distributions put the library. */
const LIBRARIES = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib64/softhsm/libsofthsm2.so",
  "/usr/local/lib/softhsm/libsofthsm2.so",
];

/** A token, and what a process needs to use it. */
export interface SoftHsm {
  /** Path of the PKCS#11 library. */
  readonly library: string;
  readonly configFile: string;
  /** Folder of the token's files. */
  readonly tokenDirectory: string;
  /** Environment of every process that uses the token: it must be there before the library is loaded. */
  readonly env: { readonly SOFTHSM2_CONF: string };
  readonly tokenLabel: string;
  readonly pinFile: string;
  readonly soPinFile: string;
}

/** Path of libsofthsm2.so. @throws {CodedError} `TEST_COMPONENT` with the line that installs it. */
export function findSoftHsm(): string {
  for (const path of LIBRARIES) {
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch {
      // Not there: look at the next.
    }
  }
  throw missingComponent("SoftHSM", "apt-get install softhsm2");
}

/**
 * Makes a token in `directory`, with random PINs in files of mode 0600; one that is there already is kept.
 * Sets SOFTHSM2_CONF of this process too, because the library reads it from there: one token folder a process.
 */
export async function startSoftHsm(
  options: { directory: string; tokenLabel?: string },
): Promise<SoftHsm> {
  const library = findSoftHsm();
  const tokenLabel = options.tokenLabel ?? "recovery-key";
  const tokenDirectory = `${options.directory}/tokens`;
  await Deno.mkdir(tokenDirectory, { recursive: true, mode: 0o700 });
  const configFile = `${options.directory}/softhsm2.conf`;
  await Deno.writeTextFile(
    configFile,
    `directories.tokendir = ${tokenDirectory}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`,
    { mode: 0o600 },
  );
  const pinFile = `${options.directory}/pin`;
  const soPinFile = `${options.directory}/so-pin`;
  ensureSecretFile(pinFile);
  ensureSecretFile(soPinFile);
  Deno.env.set("SOFTHSM2_CONF", configFile);
  await initToken({ library, tokenLabel, soPinFile, pinFile });
  return {
    library,
    configFile,
    tokenDirectory,
    env: { SOFTHSM2_CONF: configFile },
    tokenLabel,
    pinFile,
    soPinFile,
  };
}
