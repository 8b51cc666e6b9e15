/** Key files of the card tool: a card's static keys, or a master key and how it is diversified. */

import { z } from "zod";
import { fromHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { aesCmac } from "shared/crypto/aes.ts";
import { diversifyDes } from "shared/protocol/gp/des_diversification.ts";
import { isVersion } from "shared/protocol/gp/put_key.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import "./errors.ts";

/** Ways from a master key to a card's keys. */
export const DIVERSIFICATIONS = ["emv", "visa2", "kdf3"] as const;
/** One of them. */
export type Diversification = (typeof DIVERSIFICATIONS)[number];

/** Key of GPC's and every vendor's samples; it protects nothing. */
export const TEST_KEY_HEX = "404142434445464748494A4B4C4D4E4F";

/** Keys as they were given. The owner wipes them with `wipeKeySource`. */
export type KeySource =
  | { readonly kind: "static"; readonly version?: number; readonly keys: StaticKeys }
  | {
    readonly kind: "master";
    readonly version?: number;
    readonly master: Secret;
    readonly diversification: Diversification;
  };

const KEY = z.string().regex(
  /^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{48}|[0-9A-Fa-f]{64})$/,
  "hex of 16, 24 or 32 bytes",
);
const VERSION = z.string().regex(/^[0-9A-Fa-f]{2}$/, "two hex digits").optional();

const FILE = z.union([
  z.strictObject({ version: VERSION, enc: KEY, mac: KEY, dek: KEY }),
  z.strictObject({ version: VERSION, key: KEY }),
  z.strictObject({ version: VERSION, master: KEY, diversification: z.enum(DIVERSIFICATIONS) }),
]);

function secret(hex: string): Secret {
  return new Secret(fromHex(hex));
}

/** One key three times. */
export function sameKeys(key: Secret): StaticKeys {
  const copy = () => new Secret(key.reveal().slice());
  return { enc: copy(), mac: copy(), dek: copy() };
}

/** The published test keys; only on explicit demand. */
export function testKeys(): KeySource {
  return {
    kind: "static",
    keys: { enc: secret(TEST_KEY_HEX), mac: secret(TEST_KEY_HEX), dek: secret(TEST_KEY_HEX) },
  };
}

/** Reads a key version of two hex digits. @throws {CodedError} `CARDTOOL_USAGE`. */
export function parseKeyVersion(text: string): number {
  const value = /^(0x)?[0-9A-Fa-f]{1,2}$/.test(text) ? parseInt(text.replace(/^0x/, ""), 16) : NaN;
  if (value !== 0xff && !isVersion(value)) {
    throw new CodedError("CARDTOOL_USAGE", "Cannot use key version: give hex digits, 01 to 7F or FF");
  }
  return value;
}

/**
 * Reads a key file's text.
 * @throws {CodedError} `CARDTOOL_KEY_FILE`; neither text nor parser message is repeated: they hold keys.
 */
export function parseKeyFile(text: string): KeySource {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new CodedError("CARDTOOL_KEY_FILE", "Cannot read key file: it is not JSON");
  }
  const parsed = FILE.safeParse(json);
  if (!parsed.success) {
    throw new CodedError("CARDTOOL_KEY_FILE", "Cannot read key file: its fields are not those of a key file");
  }
  const file = parsed.data;
  const version = file.version === undefined ? {} : { version: parseKeyVersion(file.version) };
  if ("master" in file) {
    return { kind: "master", ...version, master: secret(file.master), diversification: file.diversification };
  }
  if ("key" in file) {
    return {
      kind: "static",
      ...version,
      keys: { enc: secret(file.key), mac: secret(file.key), dek: secret(file.key) },
    };
  }
  if (file.enc.length !== file.mac.length || file.enc.length !== file.dek.length) {
    throw new CodedError(
      "CARDTOOL_KEY_FILE",
      "Cannot read key file: ENC, MAC and DEK have different lengths",
    );
  }
  return {
    kind: "static",
    ...version,
    keys: { enc: secret(file.enc), mac: secret(file.mac), dek: secret(file.dek) },
  };
}

/**
 * The keys of one card, a copy that the caller wipes.
 * @param kdd key diversification data of INITIALIZE UPDATE, 10 bytes.
 * @throws {CodedError} `GP_DIVERSIFICATION`.
 */
export async function keysFor(source: KeySource, kdd: Uint8Array): Promise<StaticKeys> {
  if (source.kind === "static") {
    const copy = (key: Secret) => new Secret(key.reveal().slice());
    return { enc: copy(source.keys.enc), mac: copy(source.keys.mac), dek: copy(source.keys.dek) };
  }
  const { master, diversification } = source;
  if (diversification !== "kdf3") return diversifyDes(diversification, master, kdd);
  return await diversifyKdf3((input) => Promise.resolve(aesCmac(master.reveal(), input)), kdd, master.length);
}

/** Wipes a key set. */
export function wipeKeys(keys: StaticKeys): void {
  keys.enc.wipe();
  keys.mac.wipe();
  keys.dek.wipe();
}

/** Wipes what was given. */
export function wipeKeySource(source: KeySource | undefined): void {
  if (source === undefined) return;
  if (source.kind === "master") source.master.wipe();
  else wipeKeys(source.keys);
}
