/**
 * Halting a rollout: one on-line key says of one version of one product that it shall not be loaded any more. It can only deny:
 * no document that it signs makes a card load anything. Going on needs the key holders, who sign the release again with
 * `halt.resumed` at the halt's number, or with another halt key.
 *
 * Halts travel twice: as `halt.json` beside the repository, and inside the timestamp metadata (field `halts`), so that nobody
 * on the way can hide one for longer than a timestamp lives.
 */

import { z } from "zod";
import { canonicalJson } from "../../base/canonical_json.ts";
import { concat, fromHex, toUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { ed25519Verify } from "../../crypto/ed25519.ts";
import { ProductName, type ReleaseTarget, ReleaseVersion } from "./target.ts";
import "./errors.ts";

/** Most halts in one document: one for each version that is still offered. */
export const HALTS_MAX = 16;

const Statement = z.strictObject({
  format: z.literal("rk-halt-1"),
  product: ProductName,
  version: ReleaseVersion,
  /** Above every earlier halt's of this product. */
  number: z.int().min(1).max(0xffff_ffff),
  /** For people. */
  reason: z.string().min(1).max(256),
  at: z.iso.datetime(),
});

const HaltSchema = z.strictObject({
  ...Statement.shape,
  /** Ed25519, hex of 64 bytes. */
  signature: z.string().regex(/^[0-9A-F]{128}$/),
});

/** What the halt key signs. */
export type HaltStatement = z.infer<typeof Statement>;
/** A signed halt. */
export type Halt = z.infer<typeof HaltSchema>;

/** First bytes of a signed halt: no other message that the halt key signs begins so. */
const PREFIX = "recovery-key release halt, version 1\n";

/** Bytes that the halt key signs: the prefix and the canonical JSON (RFC 8785) of the statement. */
export function haltBytes(statement: HaltStatement): Uint8Array {
  const { format, product, version, number, reason, at } = statement;
  return concat(
    toUtf8(PREFIX),
    toUtf8(canonicalJson({ format, product, version, number, reason, at })),
  );
}

/** Reads a list of halts: content of `halt.json`, or field `halts`. @throws {CodedError} `RELEASE_HALT`. */
export function parseHalts(value: unknown): Halt[] {
  const parsed = z.array(HaltSchema).max(HALTS_MAX).safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CodedError("RELEASE_HALT", "Cannot read halts: missing, wrong or unknown fields");
}

/**
 * The halt that stops a release: for its product and version, signed by the key that the release names, and newer than what
 * the key holders have answered. Undefined: none. Halts by other keys are nobody's word and count nothing.
 */
export function haltOf(release: ReleaseTarget, halts: readonly Halt[]): HaltStatement | undefined {
  return halts.find((halt) =>
    halt.product === release.product && halt.version === release.version &&
    halt.number > release.halt.resumed &&
    ed25519Verify(fromHex(release.halt.publicKey), haltBytes(halt), fromHex(halt.signature))
  );
}
