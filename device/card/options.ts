/**
 * What a virtual card is when it is made: the option file of `rk card --options`, and the argument of
 * `VirtualCard.open`. Options matter once, at creation; afterwards the state file says what the card is.
 * Byte strings are hex. Keys come from a file, standard input or the caller, never from an argument.
 */

import { z } from "zod";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import {
  CARD_DATA,
  CARD_LIFE_CYCLE,
  type CardLifeCycleName,
  DAP_AID,
  ISD_AID,
  JCOP_ATR,
  RECOVERY_KEY_MODULE_AID,
  SSD_AID,
  UPGRADE_DOMAIN_AID,
} from "./constants.ts";
import type { PublicKey } from "shared/protocol/gp/public_key.ts";
import "./errors.ts";

const hex = (from: number, to: number) =>
  z.string().regex(new RegExp(`^([0-9A-Fa-f]{2}){${from},${to}}$`), `hex of ${from} to ${to} bytes`)
    .transform((text) => fromHex(text));

/** AES key of 16, 24 or 32 bytes. */
const aesKey = hex(16, 32).refine(
  (key) => key.length % 8 === 0,
  "an AES key has 16, 24 or 32 bytes",
);

/** One SCP03 key set. */
export const KeySetOptions = z.strictObject({
  /** Key version number, one byte in hex: `30`. */
  version: hex(1, 1),
  /** Static keys; all three of one length. */
  enc: aesKey,
  mac: aesKey,
  dek: aesKey,
}).refine((keys) => keys.enc.length === keys.mac.length && keys.mac.length === keys.dek.length, {
  message: "ENC, MAC and DEK have one length",
});

/** Public key that checks load files: a P-256 point (65), or an RSA modulus (128 to 512) and exponent. */
const DapPublicKey = z.union([
  z.strictObject({ point: hex(65, 65) }).transform(({ point }): PublicKey => ({ kind: "ec-p256", point })),
  z.strictObject({ modulus: hex(128, 512), exponent: hex(1, 4).default(() => Uint8Array.of(1, 0, 1)) })
    .transform(({ modulus, exponent }): PublicKey => ({ kind: "rsa", modulus, exponent })),
]);

/** The published test keys (GPC's and every vendor's samples): version 30, `404142...4F` three times. */
export const PUBLISHED_TEST_KEYS = {
  version: "30",
  enc: "404142434445464748494A4B4C4D4E4F",
  mac: "404142434445464748494A4B4C4D4E4F",
  dek: "404142434445464748494A4B4C4D4E4F",
} as const;

const LIFE_CYCLES = Object.keys(CARD_LIFE_CYCLE) as [CardLifeCycleName, ...CardLifeCycleName[]];

/** Options of a card. Every field may be left out. */
export const CardOptionsSchema = z.strictObject({
  /** Answer to reset (2 to 33). Default: that of JCOP 4 on P71. */
  atr: hex(2, 33).default(() => JCOP_ATR),
  /** CPLC (42). Default: the recorded one with a random chip serial number and batch, so that cards differ. */
  cplc: hex(42, 42).optional(),
  /** Content of GET DATA 0066. Default: as recorded, its last byte being `i`. */
  cardData: hex(1, 128).default(() => CARD_DATA),
  /** Key diversification data (10) of INITIALIZE UPDATE. Default: zeros, as recorded. */
  keyDiversificationData: hex(10, 10).default(() => new Uint8Array(10)),
  /** AID of the Issuer Security Domain (5 to 16). */
  isdAid: hex(5, 16).default(() => ISD_AID),
  /** Key set of the ISD: transport keys of this card. Default: `PUBLISHED_TEST_KEYS`, which protect nothing. */
  isdKeys: KeySetOptions.default(() => KeySetOptions.parse(PUBLISHED_TEST_KEYS)),
  /** SCP03 parameter `i` in hex: bits 10 pseudo-random challenge, 20 R-MAC, 40 R-ENC, 01 S16. Default `70`. */
  i: hex(1, 1).default(() => Uint8Array.of(0x70)),
  /** Life cycle of the card at creation. Default `OP_READY`. */
  lifeCycle: z.enum(LIFE_CYCLES).default("OP_READY"),
  /** Failed EXTERNAL AUTHENTICATEs of one key set after which it is blocked (`6983`). Default 64. */
  failedAuthenticationsMax: z.int().min(1).max(65535).default(64),
  /** Target ID (4) that the applet reports. */
  targetId: hex(4, 4).default(() => fromHex("33400004")),
  /**
   * Mandated DAP: the card has a security domain that checks every load file with this key, and refuses what does
   * not carry its signature. Default: none, anything loads.
   */
  dapKey: z.strictObject({
    /** AID of that domain; the ISD's: the ISD checks. */
    aid: hex(5, 16).default(() => DAP_AID),
    /** Version of the key. 73 is GPC's number for DAP keys. */
    version: hex(1, 1).default(() => Uint8Array.of(0x73)),
    key: DapPublicKey,
  }).optional(),
  /**
   * Memory for packages (by the size of their load files) and applications (1,024 each), in bytes; full: `6A84`.
   * Default: no limit.
   */
  memoryBytes: z.int().min(0).max(0xffffff).optional(),
  /** What is on the card already. Default: nothing but the ISD. */
  preloaded: z.strictObject({
    /** The SSD is installed; without `keys` it uses the ISD's. */
    ssd: z.strictObject({
      aid: hex(5, 16).default(() => SSD_AID),
      keys: KeySetOptions.optional(),
    }).optional(),
    /** The domain that may upgrade packages (Authorized Management), with its keys. */
    upgradeDomain: z.strictObject({
      aid: hex(5, 16).default(() => UPGRADE_DOMAIN_AID),
      keys: KeySetOptions,
    }).optional(),
    /** The package of the applet is loaded, at this `MAJOR.MINOR`. */
    package: z.strictObject({
      version: z.string().regex(/^\d{1,3}\.\d{1,3}$/).default("1.0"),
      /**
       * SHA-256 (32) of its load file data block: what applet 1.1 claims, and what an upgrade's recovery knows it by. Default:
       * unknown, so that it cannot come back after an upgrade.
       */
      sha256: hex(32, 32).optional(),
    }).optional(),
    /** The applet is installed; needs `package`, and `ssd` when it belongs to it. */
    instance: z.strictObject({
      aid: hex(5, 16).default(() => RECOVERY_KEY_MODULE_AID),
      domain: z.enum(["isd", "ssd"]).default("isd"),
    }).optional(),
  }).default({})
    .refine((what) => what.instance === undefined || what.package !== undefined, {
      message: "an instance needs its package",
    })
    .refine((what) => what.instance?.domain !== "ssd" || what.ssd !== undefined, {
      message: "an instance under the SSD needs the SSD",
    }),
});

/** Options as written in JSON. */
export type CardOptions = z.input<typeof CardOptionsSchema>;
/** Options with every default filled in. */
export type CompleteCardOptions = z.output<typeof CardOptionsSchema>;

/** Checks options and fills in defaults. @throws {CodedError} `VCARD_OPTIONS`; values are not repeated. */
export function completeCardOptions(options: unknown): CompleteCardOptions {
  const parsed = CardOptionsSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".") || "options"}: ${issue.message}`);
  throw new CodedError("VCARD_OPTIONS", `Cannot make card: ${faults.join("; ")}`);
}

/** Reads an option file. @throws {CodedError} `VCARD_OPTIONS`. */
export function parseCardOptions(text: string): CardOptions {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message can quote the text, and the text can be a key.
    throw new CodedError("VCARD_OPTIONS", "Cannot make card: the options are not JSON");
  }
  completeCardOptions(json);
  return json as CardOptions;
}

/** Whether a key set is the published one, which any reader of the GlobalPlatform specification knows. */
export function isPublishedTestKeySet(keys: { readonly enc: Uint8Array | null }): boolean {
  return keys.enc !== null && toHex(keys.enc) === PUBLISHED_TEST_KEYS.enc;
}
