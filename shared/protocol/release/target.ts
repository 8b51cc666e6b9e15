/**
 * What a release says about its package (`custom` of a target, The Update Framework 1.0, section 4.5), and whether a card is
 * offered it. Decisions only: the metadata was verified before.
 */

import { z } from "zod";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** `MAJOR.MINOR` or `MAJOR.MINOR.PATCH`, each 0 to 999, without leading zeros. */
export const ReleaseVersion = z.string().regex(/^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){1,2}$/);
/** Name of a product: a part of paths, and the name of the role that signs its releases. */
export const ProductName = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/);

const hash = z.string().regex(/^[0-9A-F]{64}$/);
const words = (length: number) => z.string().min(1).max(length);

/** Schema of `custom`. Hashes are SHA-256, hex of 32 bytes, upper case. */
export const ReleaseTargetSchema = z.strictObject({
  format: z.literal("rk-release-1"),
  product: ProductName,
  version: ReleaseVersion,
  /** Hex, 5 to 16 bytes. ISO/IEC 7816-5. */
  packageAid: z.string().regex(/^([0-9A-F]{2}){5,16}$/),
  /** Of what is loaded on the card: the Load File Data Block Hash. GPC 2.3.1, C.2. */
  loadFileHash: hash,
  /** Versions on cards that this one may replace. */
  replaces: z.array(ReleaseVersion).max(64),
  /** Grows with every release that closes a hole; a card never goes to a lower one. */
  securityCounter: z.int().min(0).max(0xffff_ffff),
  /** Chips and operating systems that it runs on; empty: any. */
  chips: z.array(z.strictObject({ chip: words(32), os: words(32) })).max(64),
  /** The public source that the package is built from. */
  source: z.strictObject({ url: z.url({ protocol: /^https?$/ }), commit: words(64).optional(), hash }),
  /** What building that source gives: people compare it with their own build. */
  build: z.strictObject({ hash }),
  /** For people. */
  notes: z.string().max(4096),
  /**
   * Who may halt the rollout (Ed25519 public key, hex of 32 bytes), and the number of the newest halt that the key holders
   * have answered: a halt with a higher number stops this release.
   */
  halt: z.strictObject({ publicKey: hash, resumed: z.int().min(0).max(0xffff_ffff) }),
});

/** What a release says about its package. */
export type ReleaseTarget = z.infer<typeof ReleaseTargetSchema>;

/** Reads `custom` of a target. @throws {CodedError} `RELEASE_TARGET` naming the fields. */
export function parseReleaseTarget(custom: unknown): ReleaseTarget {
  const parsed = ReleaseTargetSchema.safeParse(custom);
  if (parsed.success) return parsed.data;
  const fields = [...new Set(parsed.error.issues.map((issue) => issue.path.join(".") || "custom"))];
  throw new CodedError(
    "RELEASE_TARGET",
    `Cannot use release: missing, wrong or unknown in ${fields.join(", ")}`,
    { fields },
  );
}

/** Path of a release's package: `PRODUCT/VERSION/PRODUCT-VERSION.rkpkg`. */
export function releasePath(product: string, version: string): string {
  return `${product}/${version}/${product}-${version}.rkpkg`;
}

/** Negative, 0 or positive, as `left` is older than, as new as, or newer than `right`. A missing patch is 0. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [left, right].map((version) => version.split(".").map(Number)) as [number[], number[]];
  for (let part = 0; part < 3; part++) {
    const difference = (a[part] ?? 0) - (b[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** What is known of a card. */
export interface CardFacts {
  readonly product: string;
  /** Version of the package that is installed. */
  readonly version: string;
  /** Security counter of that version, where its release is known. */
  readonly securityCounter?: number;
  /** Names as in `chips`; undefined where the card does not tell. */
  readonly chip?: string;
  readonly os?: string;
}

/** A card with the security counter of its version, where one of these releases is that version. */
export function withCounter(card: CardFacts, releases: readonly ReleaseTarget[]): CardFacts {
  const own = releases.find(({ product, version }) =>
    product === card.product && compareVersions(version, card.version) === 0
  );
  return own === undefined ? card : { ...card, securityCounter: own.securityCounter };
}

/**
 * Why a release is not offered:
 * - `other-product`: it is for another product;
 * - `already-newest`: the card has this version or a newer one;
 * - `security-counter-lower`: it would open a hole again;
 * - `not-replaceable`: it does not replace the card's version;
 * - `other-chip`: it does not run on this chip or operating system, or the card does not tell which it has;
 * - `halted`: the rollout was halted.
 */
export const NOT_OFFERED = [
  "other-product",
  "already-newest",
  "security-counter-lower",
  "not-replaceable",
  "other-chip",
  "halted",
] as const;
/** One of {@link NOT_OFFERED}. */
export type NotOffered = (typeof NOT_OFFERED)[number];

/** Whether a card is offered a release. */
export type Offer = { readonly offered: true } | { readonly offered: false; readonly reason: NotOffered };

/** Decides, in the order of {@link NOT_OFFERED}. @param halted what `haltOf` says of the release. */
export function offer(card: CardFacts, release: ReleaseTarget, halted: boolean): Offer {
  const runs = release.chips.length === 0 ||
    release.chips.some(({ chip, os }) => chip === card.chip && os === card.os);
  const refusals: Readonly<Record<NotOffered, boolean>> = {
    "other-product": card.product !== release.product,
    "already-newest": compareVersions(card.version, release.version) >= 0,
    "security-counter-lower": card.securityCounter !== undefined &&
      release.securityCounter < card.securityCounter,
    "not-replaceable": !release.replaces.some((version) => compareVersions(version, card.version) === 0),
    "other-chip": !runs,
    halted,
  };
  const reason = NOT_OFFERED.find((each) => refusals[each]);
  return reason === undefined ? { offered: true } : { offered: false, reason };
}
