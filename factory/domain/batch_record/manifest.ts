/** The manifest of a closed batch: what its records must add up to. */

import { z } from "zod";
import type { Json } from "shared/base/canonical_json.ts";
import { BatchName, hexBytes, StationName } from "shared/protocol/wire/attestation.ts";
import { ProfileFacts } from "./card_record.ts";

/** `typ` of a manifest's JWS. */
export const MANIFEST_TYPE = "recovery-key-batch-manifest";
/** Version of the fields below. */
export const MANIFEST_VERSION = 1;

/** Cards of a batch by how they ended. */
export const BatchTotals = z.strictObject({
  /** Serials that a card was given. */
  reserved: z.int().min(0),
  good: z.int().min(0),
  scrapped: z.int().min(0),
  missing: z.int().min(0),
});
/** Cards of a batch by how they ended. */
export type BatchTotals = z.infer<typeof BatchTotals>;

/** What a manifest says. */
export const BatchManifest = z.strictObject({
  version: z.literal(MANIFEST_VERSION),
  batch: BatchName,
  profile: ProfileFacts,
  quantity: z.int().min(1).max(10_000_000),
  firstSerial: hexBytes(4),
  lastSerial: hexBytes(4),
  totals: BatchTotals,
  /** Serials that no card was given and that no card will be given. */
  unused: z.strictObject({ firstSerial: hexBytes(4), lastSerial: hexBytes(4), cards: z.int().min(1) })
    .nullable(),
  /** RFC 6962, 2.1: a leaf is the text of a record's JWS; records are in the order of their serials. */
  tree: z.strictObject({ size: z.int().min(0), rootSha256: hexBytes(32) }),
  /** The key that the cards' certificates verify with. */
  issuerPublicKey: hexBytes(65),
  closedAt: z.iso.datetime(),
  closedBy: StationName,
  /** Why the batch was closed as it is; why cards are missing. */
  reason: z.string().nullable(),
});
/** What a manifest says. */
export type BatchManifest = z.infer<typeof BatchManifest>;

/** A manifest as JSON: every member of it is. */
export function manifestJson(manifest: BatchManifest): Json {
  return manifest as Json;
}

/**
 * What does not add up in a manifest by itself; empty when everything does: reserved = good + scrapped + missing, the tree
 * has a leaf for each, and reserved and unused serials fill the range.
 */
export function imbalances(manifest: BatchManifest): string[] {
  const { totals: { reserved, good, scrapped, missing }, unused, tree, quantity } = manifest;
  const first = parseInt(manifest.firstSerial, 16);
  const last = parseInt(manifest.lastSerial, 16);
  const found: string[] = [];
  if (reserved !== good + scrapped + missing) {
    found.push(
      `reserved ${reserved} is not good ${good} + scrapped ${scrapped} + missing ${missing} = ${
        good + scrapped + missing
      }`,
    );
  }
  if (tree.size !== reserved) found.push(`the tree has ${tree.size} leaves for ${reserved} reserved serials`);
  if (last - first + 1 !== quantity) {
    found.push(`serials ${manifest.firstSerial} to ${manifest.lastSerial} are not ${quantity}`);
  }
  const unusedCards = unused?.cards ?? 0;
  if (reserved + unusedCards !== quantity) {
    found.push(`reserved ${reserved} + unused ${unusedCards} is not the quantity ${quantity}`);
  }
  if (
    unused !== null &&
    (parseInt(unused.firstSerial, 16) !== first + reserved || unused.lastSerial !== manifest.lastSerial)
  ) {
    found.push("the unused serials are not those behind the reserved ones");
  }
  return found;
}
