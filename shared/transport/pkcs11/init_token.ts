/** Makes a token ready: label, security officer's PIN, user's PIN. No PIN passes through an argument list. */

import { CodedError } from "shared/base/errors.ts";
import { toUtf8 } from "shared/base/bytes.ts";
import { readSecretFile } from "../secret_file.ts";
import { CKF, CKU } from "./constants.ts";
import { toCodedError } from "./failure.ts";
import { acquireModule } from "./module.ts";
import "../hsm.ts";

/** Length of a token label in bytes, padded with spaces (PKCS#11 v2.40, C_InitToken). */
const TOKEN_LABEL_BYTES = 32;

/** What a token gets. */
export interface InitTokenOptions {
  /** Path of the vendor's library, absolute. */
  readonly library: string;
  /** 1 to 32 printable ASCII characters. */
  readonly tokenLabel: string;
  /** File with the security officer's PIN, mode 0600. */
  readonly soPinFile: string;
  /** File with the user's PIN, mode 0600. */
  readonly pinFile: string;
}

/**
 * Initializes the first token that nobody has initialized yet. A token that is in use is never touched.
 * @returns `made`, or `exists` when a token of this label is there: then nothing is changed.
 * @throws {CodedError} `HSM_LIBRARY`, `HSM_TOKEN` (no blank token, bad label), `HSM_PIN`, `HSM_UNAVAILABLE`,
 *   `SECRET_FILE_MISSING`, `SECRET_FILE_OPEN`, `SECRET_FILE_CONTENT`.
 */
export async function initToken(options: InitTokenOptions): Promise<"made" | "exists"> {
  const { tokenLabel } = options;
  if (!/^[\x21-\x7e](?:[\x20-\x7e]{0,30}[\x21-\x7e])?$/.test(tokenLabel)) {
    throw new CodedError(
      "HSM_TOKEN",
      "Cannot initialize token: its label is not 1 to 32 printable ASCII characters",
    );
  }
  using soPin = readSecretFile(options.soPinFile);
  using pin = readSecretFile(options.pinFile);
  const module = await acquireModule(options.library);
  try {
    return await module.call(async (binding) => {
      const tokens = module.tokens(binding);
      if (tokens.some((token) => token.label === tokenLabel)) return "exists";
      const blank = tokens.find((token) => (token.flags & CKF.TOKEN_INITIALIZED) === 0);
      if (!blank) {
        throw new CodedError(
          "HSM_TOKEN",
          "Cannot initialize token: no slot holds one that is not initialized",
        );
      }
      module.initToken(
        blank.slot,
        soPin,
        toUtf8(tokenLabel.padEnd(TOKEN_LABEL_BYTES)) as Uint8Array<ArrayBuffer>,
      );
      // SoftHSM moves a token to another slot when it is initialized: find it again by its label.
      const made = module.tokens(binding).find((token) => token.label === tokenLabel);
      if (!made) {
        throw new CodedError("HSM_UNAVAILABLE", `Cannot find token ${tokenLabel} after it was initialized`);
      }
      const session = binding.C_OpenSession(made.slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
      try {
        await module.login(session, CKU.SO, soPin);
        module.initPin(session, pin);
      } finally {
        binding.C_CloseSession(session); // the last session of the token: it ends the login too
      }
      return "made";
    });
  } catch (error) {
    throw toCodedError(error, `initialize token ${tokenLabel}`);
  } finally {
    await module.release();
  }
}
