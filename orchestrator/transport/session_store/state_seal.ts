/** Seals what the database keeps of a session: AES-256-GCM under a key that the database never sees. */

import { gcm } from "@noble/ciphers/aes.js";
import { concat, fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { RandomSource } from "shared/transport/random.ts";

const NONCE_LENGTH = 12;
const KEY_LENGTH = 32;
/** Contents are filled up to a multiple of this, so that their length tells less. */
const BLOCK = 4096;

/** Seals and opens. */
export interface StateSeal {
  /** @param about what the bytes are about: they open under the same text only. */
  seal(content: string, about: string): Uint8Array<ArrayBuffer>;
  /** @throws {CodedError} `SESSION_SEALED`. */
  open(sealed: Uint8Array, about: string): string;
  /** Forgets the key. */
  close(): void;
}

/**
 * The key (32 bytes) comes from a master key in the HSM by AES-CMAC in counter mode (NIST SP 800-108), and lives in this process.
 * @throws {CodedError} of the HSM.
 */
export async function openStateSeal(
  hsm: Pick<Hsm, "cmac">,
  label: string,
  random: RandomSource,
): Promise<StateSeal> {
  const half = (counter: number) =>
    hsm.cmac(label, concat(Uint8Array.of(counter), toUtf8("orchestrator state"), Uint8Array.of(0, 1, 0)));
  return stateSeal(new Secret(concat(await half(1), await half(2))), random);
}

/** Seals under a given key (32 bytes), which is taken over. */
export function stateSeal(key: Secret, random: RandomSource): StateSeal {
  if (key.length !== KEY_LENGTH) throw unsealed("its key has another length");
  return {
    seal(content, about) {
      const nonce = random(NONCE_LENGTH);
      const bytes = toUtf8(content);
      const filled = new Uint8Array(Math.ceil((bytes.length + 1) / BLOCK) * BLOCK).fill(0x20);
      filled.set(bytes);
      const sealed = gcm(key.reveal(), nonce, toUtf8(about)).encrypt(filled);
      filled.fill(0);
      bytes.fill(0);
      return new Uint8Array(concat(nonce, sealed));
    },
    open(sealed, about) {
      try {
        const nonce = sealed.subarray(0, NONCE_LENGTH);
        const bytes = gcm(key.reveal(), nonce, toUtf8(about)).decrypt(sealed.subarray(NONCE_LENGTH));
        return fromUtf8(bytes);
      } catch {
        throw unsealed("it was sealed under another key, or changed");
      }
    },
    close: () => key.wipe(),
  };
}

function unsealed(why: string): CodedError {
  return new CodedError("SESSION_SEALED", `Cannot open session: ${why}`);
}

defineErrors({
  SESSION_SEALED: {
    fault: "configuration",
    retry: false,
    http: 500,
    next: "Check the state key's label in the HSM, and who writes the table.",
  },
});
