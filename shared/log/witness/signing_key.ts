/** The witness's private key: in a token that has Ed25519, else in a file that only its owner can read. */

import { CodedError, defineErrors } from "../../base/errors.ts";
import { fromStrictBase64 } from "../../base/base64.ts";
import { toUtf8 } from "../../base/bytes.ts";
import type { Logger } from "../../base/log.ts";
import { Secret } from "../../base/secret.ts";
import {
  ED25519_PRIVATE_KEY_LENGTH,
  ed25519PublicKeyOf,
  ed25519Sign,
  generateEd25519PrivateKey,
} from "../../crypto/ed25519.ts";
import type { Hsm } from "../../transport/hsm.ts";
import { openPkcs11Hsm } from "../../transport/pkcs11/pkcs11_hsm.ts";
import { SYSTEM_RANDOM } from "../../transport/random.ts";
import { readSecretFile } from "../../transport/secret_file.ts";
import { openSoftwareHsm } from "../../transport/software_hsm/software_hsm.ts";
import { SIGNATURE_TYPE_COSIGNATURE, type VerifierKey, verifierKey } from "../vkey.ts";
import type { WitnessKeyConfig } from "./config.ts";

/** A key ready for use. */
export interface WitnessKey {
  /** Its public half, type 4. */
  readonly key: VerifierKey;
  /** Ed25519 (64) over a message. */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** Wipes the key or closes the token. */
  close(): Promise<void>;
}

/**
 * Opens the key.
 * @param options `make`: make it when there is none.
 * @throws {CodedError} `WITNESS_KEY`, `SECRET_FILE_*`, `HSM_*`.
 */
export async function openWitnessKey(
  name: string,
  config: WitnessKeyConfig,
  log: Logger,
  options: { readonly make?: boolean } = {},
): Promise<WitnessKey> {
  if (config.kind === "file") {
    if (options.make) makeKeyFile(config.file);
    const seed = readKeyFile(config.file);
    return {
      key: verifierKey(name, SIGNATURE_TYPE_COSIGNATURE, ed25519PublicKeyOf(seed)),
      sign: (message) => Promise.resolve(ed25519Sign(seed, message)),
      close: () => Promise.resolve(seed.wipe()),
    };
  }
  const { label } = config;
  const hsm = config.kind === "software"
    ? await openSoftwareHsm({ file: config.file, passphraseFile: config.passphraseFile, logger: log })
    : await openPkcs11Hsm({
      library: config.library,
      tokenLabel: config.tokenLabel,
      pinFile: config.pinFile,
      logger: log,
    });
  try {
    const publicKey = await publicKeyIn(hsm, label, options.make ?? false);
    return {
      key: verifierKey(name, SIGNATURE_TYPE_COSIGNATURE, publicKey),
      sign: (message) => hsm.sign(label, message),
      close: () => hsm.close(),
    };
  } catch (error) {
    await hsm.close();
    throw error;
  }
}

async function publicKeyIn(hsm: Hsm, label: string, make: boolean): Promise<Uint8Array> {
  const known = (await hsm.keys()).find((key) => key.label === label);
  if (known === undefined && make) return await hsm.generateSigningKey(label, "ed25519");
  if (known !== undefined && known.curve !== "ed25519") {
    throw new CodedError("WITNESS_KEY", `Cannot cosign with ${label}: it is no Ed25519 key`);
  }
  return await hsm.publicKey(label);
}

/** The seed as one line of Base64. */
function readKeyFile(file: string): Secret {
  using line = readSecretFile(file);
  // The text cannot be wiped; it is gone with the next collection of garbage, as every text of this runtime.
  const seed = fromStrictBase64(new TextDecoder().decode(line.reveal()));
  if (seed?.length !== ED25519_PRIVATE_KEY_LENGTH) {
    throw new CodedError("WITNESS_KEY", `Cannot use ${file}: it is not the Base64 text of 32 bytes`);
  }
  return new Secret(seed);
}

function makeKeyFile(path: string): void {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    throw new CodedError("WITNESS_KEY", `Cannot make key file ${path}: ${(error as Error).name}`);
  }
  using seed = generateEd25519PrivateKey(SYSTEM_RANDOM);
  const line = toUtf8(`${seed.reveal().toBase64()}\n`);
  try {
    for (let written = 0; written < line.length;) written += file.writeSync(line.subarray(written));
    file.syncSync();
  } finally {
    line.fill(0);
    file.close();
  }
}

defineErrors({
  WITNESS_KEY: {
    fault: "configuration",
    retry: false,
    next: "Make the key: `rk log witness --config FILE --init`.",
  },
});
