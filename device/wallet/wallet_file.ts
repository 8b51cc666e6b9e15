/**
 * The wallet's own file: what it knows, sealed with AES-256-GCM under a key that scrypt makes of its PIN. The content has one
 * length whether there is a seed or not. The count of PIN tries stands outside the seal, since it is needed before the PIN.
 *
 * A file is no secure element: who copies it can try PINs without end, each for the price of one scrypt. It protects a wallet
 * for tests and other programs, and says so.
 */

import { gcm } from "@noble/ciphers/aes.js";
import { scryptAsync } from "@noble/hashes/scrypt.js";
import { z } from "zod";
import { fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { layout } from "shared/base/layout.ts";
import { Secret } from "shared/base/secret.ts";
import { decodeEntropy, encodeEntropy } from "shared/protocol/recovery_key/commands.ts";
import { CARD_SERIAL_LENGTH } from "shared/protocol/recovery_key/constants.ts";
import type { RandomSource } from "shared/transport/random.ts";
import "./errors.ts";

/** Tries of the wallet's own PIN. */
export const WALLET_PIN_TRIES = 3;
/** Largest wallet file that is read, in bytes. */
export const WALLET_FILE_MAX_BYTES = 4096;
/** scrypt cost (RFC 7914): 64 MiB, about 250 ms for each PIN. */
export const WALLET_SCRYPT = { N: 2 ** 16, r: 8, p: 1 } as const;
/** Tests only: cheap, and below what a file may ask for in earnest. */
export const WALLET_SCRYPT_MIN_N = 2 ** 10;

const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const KEY_BYTES = 32;
const ABOUT = "Virtual wallet: for tests and other programs. A copy of this file can be attacked off line.";

const BASE64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/);
const FILE = z.strictObject({
  about: z.string(),
  version: z.literal(1),
  triesLeft: z.int().min(0).max(WALLET_PIN_TRIES),
  // Bounded, so that a file from elsewhere cannot ask for hours or gigabytes.
  scrypt: z.strictObject({
    salt: BASE64,
    N: z.int().min(WALLET_SCRYPT_MIN_N).max(2 ** 18).refine((n) => Number.isInteger(Math.log2(n))),
    r: z.literal(8),
    p: z.literal(1),
  }),
  sealed: z.strictObject({ nonce: BASE64, content: BASE64 }),
});

/** The file's JSON. */
export type WalletFile = z.infer<typeof FILE>;

/** Length byte, entropy as a card keeps it, then the card of a backup that is not finished. */
const CONTENT = layout(38, { entropy: 33, pending: 1, pendingSerial: CARD_SERIAL_LENGTH });
const NO_ENTROPY = new Uint8Array(33);

/** What a wallet knows. The owner wipes the entropy. */
export interface WalletContent {
  /** Undefined: the wallet is empty. */
  readonly entropy: Secret | undefined;
  /** Serial (hex) of the card on which a backup was begun and not yet found good. */
  readonly pendingBackup: string | undefined;
}

/** Reads the text of a file. @throws {CodedError} `WALLET_STATE`. */
export function parseWalletFile(text: string, path: string): WalletFile {
  try {
    return FILE.parse(JSON.parse(text));
  } catch {
    throw damaged(path);
  }
}

/** The sealing key of a PIN (one byte of 0 to 9 for each digit); the caller wipes it. */
export async function deriveWalletKey(pin: Secret, scrypt: WalletFile["scrypt"]): Promise<Secret> {
  const { N, r, p, salt } = scrypt;
  return new Secret(
    await scryptAsync(pin.reveal(), Uint8Array.fromBase64(salt), {
      N,
      r,
      p,
      dkLen: KEY_BYTES,
      maxmem: 2 ** 29,
    }),
  );
}

/** scrypt parameters with a fresh salt. */
export function newScrypt(random: RandomSource, N: number = WALLET_SCRYPT.N): WalletFile["scrypt"] {
  return { salt: random(SALT_BYTES).toBase64(), N, r: WALLET_SCRYPT.r, p: WALLET_SCRYPT.p };
}

/** Seals content into a file with all its tries. */
export function sealWallet(
  key: Secret,
  scrypt: WalletFile["scrypt"],
  content: WalletContent,
  random: RandomSource,
): WalletFile {
  const entropy = content.entropy ? encodeEntropy(content.entropy.reveal()) : NO_ENTROPY.slice();
  const pending = content.pendingBackup;
  const plain = CONTENT.encode({
    entropy,
    pending: Uint8Array.of(pending === undefined ? 0 : 1),
    pendingSerial: pending === undefined ? new Uint8Array(CARD_SERIAL_LENGTH) : fromHex(pending),
  });
  try {
    const nonce = random(NONCE_BYTES);
    const sealed = gcm(key.reveal(), nonce, context(scrypt)).encrypt(plain);
    return {
      about: ABOUT,
      version: 1,
      triesLeft: WALLET_PIN_TRIES,
      scrypt,
      sealed: { nonce: nonce.toBase64(), content: sealed.toBase64() },
    };
  } finally {
    plain.fill(0);
    entropy.fill(0);
  }
}

/** Opens the content; undefined when the key, that is the PIN, is another one, or the seal was touched. */
export function openWallet(key: Secret, file: WalletFile, path: string): WalletContent | undefined {
  let plain: Uint8Array;
  try {
    const nonce = Uint8Array.fromBase64(file.sealed.nonce);
    plain = gcm(key.reveal(), nonce, context(file.scrypt)).decrypt(
      Uint8Array.fromBase64(file.sealed.content),
    );
  } catch {
    return undefined;
  }
  try {
    const { entropy, pending, pendingSerial } = CONTENT.decode(plain);
    try {
      return {
        entropy: entropy[0] === 0 ? undefined : decodeEntropy(entropy),
        pendingBackup: pending[0] === 0 ? undefined : toHex(pendingSerial),
      };
    } finally {
      entropy.fill(0);
    }
  } catch {
    throw damaged(path);
  } finally {
    plain.fill(0);
  }
}

function context(scrypt: WalletFile["scrypt"]): Uint8Array {
  return toUtf8(JSON.stringify(["wallet", 1, scrypt.salt, scrypt.N, scrypt.r, scrypt.p]));
}

function damaged(path: string): CodedError {
  return new CodedError("WALLET_STATE", `Cannot read wallet ${path}: it is damaged or was changed`, { path });
}
