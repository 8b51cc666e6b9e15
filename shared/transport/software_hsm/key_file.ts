/**
 * The file of the software HSM: keys sealed one by one with AES-256-GCM under a key that scrypt makes of a passphrase.
 * Labels, kinds and public keys are readable but bound to the sealed key as associated data.
 */

import { gcm } from "@noble/ciphers/aes.js";
import { scryptAsync } from "@noble/hashes/scrypt.js";
import { z } from "zod";
import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import type { Curve, HsmKeyKind } from "../hsm.ts";
import { SYSTEM_RANDOM } from "../random.ts";
import "../hsm.ts";

/** scrypt cost (RFC 7914): 32 MiB, about 100 ms. The passphrase is random, not a person's. */
export const SCRYPT_PARAMETERS = { N: 2 ** 15, r: 8, p: 1 } as const;
/** Largest file that is read, in bytes. */
export const KEY_FILE_LIMIT_BYTES = 1_048_576;

const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const KEY_BYTES = 32;
const CHECK_TEXT = toUtf8("recovery-key software HSM");

const BASE64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/);
const SEALED = z.strictObject({ nonce: BASE64, sealed: BASE64 });
const FILE = z.strictObject({
  warning: z.string(),
  version: z.literal(1),
  serial: z.string().regex(/^[0-9A-F]{16}$/),
  // Bounded, so that a file from elsewhere cannot ask for hours or gigabytes.
  scrypt: z.strictObject({
    salt: BASE64,
    N: z.number().int().min(2 ** 14).max(2 ** 18),
    r: z.literal(8),
    p: z.literal(1),
  }),
  check: SEALED,
  keys: z.array(z.strictObject({
    label: z.string(),
    kind: z.enum(["signing", "master", "storage", "mac"]),
    // Absent on secp256k1: files and their seals are as they were before there were other curves.
    curve: z.enum(["p256", "ed25519"]).optional(),
    publicKey: BASE64.optional(),
    key: SEALED,
  })).max(4096),
});

/** Content of the file. */
export type KeyFile = z.infer<typeof FILE>;
/** One key of the file. */
export type KeyEntry = KeyFile["keys"][number];

/** The sealing key of a file. */
export async function deriveSealingKey(passphrase: Secret, file: KeyFile): Promise<Secret> {
  const { N, r, p, salt } = file.scrypt;
  return new Secret(
    await scryptAsync(passphrase.reveal(), Uint8Array.fromBase64(salt), { N, r, p, dkLen: KEY_BYTES }),
  );
}

/** A new file without keys, and its sealing key. */
export async function makeKeyFile(passphrase: Secret): Promise<{ file: KeyFile; sealingKey: Secret }> {
  const file: KeyFile = {
    warning: "Software HSM of a demonstration. Not for production.",
    version: 1,
    serial: SYSTEM_RANDOM(8).toHex().toUpperCase(),
    scrypt: { salt: SYSTEM_RANDOM(SALT_BYTES).toBase64(), ...SCRYPT_PARAMETERS },
    check: { nonce: "", sealed: "" },
    keys: [],
  };
  const sealingKey = await deriveSealingKey(passphrase, file);
  file.check = seal(sealingKey, CHECK_TEXT, checkContext(file));
  return { file, sealingKey };
}

/** Reads the text of a file. @throws {CodedError} `SOFTWARE_HSM_FILE`. */
export function parseKeyFile(text: string, path: string): KeyFile {
  try {
    return FILE.parse(JSON.parse(text));
  } catch {
    throw damaged(path);
  }
}

/** Whether the sealing key, that is the passphrase, belongs to the file. @throws {CodedError} `HSM_PIN`. */
export function requirePassphrase(file: KeyFile, sealingKey: Secret, path: string): void {
  try {
    open(sealingKey, file.check, checkContext(file)).wipe();
  } catch {
    throw new CodedError("HSM_PIN", `Cannot open software HSM ${path}: the passphrase is not its own`);
  }
}

/** Seals a key into an entry; `key` stays with the caller, who wipes it. */
export function sealEntry(
  sealingKey: Secret,
  file: KeyFile,
  entry: { label: string; kind: HsmKeyKind; curve?: Curve; publicKey?: Uint8Array },
  key: Secret,
): KeyEntry {
  const open = {
    label: entry.label,
    kind: entry.kind,
    ...(entry.curve !== undefined && entry.curve !== "secp256k1" ? { curve: entry.curve } : {}),
    ...(entry.publicKey ? { publicKey: entry.publicKey.toBase64() } : {}),
  };
  return { ...open, key: seal(sealingKey, key.reveal(), entryContext(file, open)) };
}

/** Opens an entry; the caller wipes it. @throws {CodedError} `SOFTWARE_HSM_FILE` when anything of it was changed. */
export function openEntry(sealingKey: Secret, file: KeyFile, entry: KeyEntry, path: string): Secret {
  try {
    return open(sealingKey, entry.key, entryContext(file, entry));
  } catch {
    throw damaged(path);
  }
}

function seal(key: Secret, plain: Uint8Array, context: Uint8Array): z.infer<typeof SEALED> {
  const nonce = SYSTEM_RANDOM(NONCE_BYTES);
  return { nonce: nonce.toBase64(), sealed: gcm(key.reveal(), nonce, context).encrypt(plain).toBase64() };
}

function open(key: Secret, sealed: z.infer<typeof SEALED>, context: Uint8Array): Secret {
  const nonce = Uint8Array.fromBase64(sealed.nonce);
  return new Secret(gcm(key.reveal(), nonce, context).decrypt(Uint8Array.fromBase64(sealed.sealed)));
}

function checkContext(file: KeyFile): Uint8Array {
  return toUtf8(JSON.stringify(["check", file.version, file.serial, file.scrypt.salt]));
}

function entryContext(file: KeyFile, entry: Omit<KeyEntry, "key">): Uint8Array {
  const context = ["key", file.version, file.serial, entry.label, entry.kind, entry.publicKey ?? null];
  return toUtf8(JSON.stringify(entry.curve === undefined ? context : [...context, entry.curve]));
}

function damaged(path: string): CodedError {
  return new CodedError(
    "SOFTWARE_HSM_FILE",
    `Cannot read software HSM ${path}: it is damaged or was changed`,
    { path },
  );
}

defineErrors({
  SOFTWARE_HSM_FILE: {
    fault: "configuration",
    retry: false,
    http: 503,
    next: "Restore the file from a copy, or take a new one; certificates signed with its keys stay valid.",
  },
});
