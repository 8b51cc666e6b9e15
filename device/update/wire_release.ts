/** A release's metadata as the update service takes it. */

import type { ReleaseBundle } from "shared/protocol/release/metadata.ts";
import type { WireRelease } from "shared/protocol/wire/update.ts";

/** Base64 of every document. */
export function releaseOnWire(
  { roots, timestamp, snapshot, targets, delegated, path }: ReleaseBundle,
): WireRelease {
  return {
    roots: roots.map((root) => root.toBase64()),
    timestamp: timestamp.toBase64(),
    snapshot: snapshot.toBase64(),
    targets: targets.toBase64(),
    delegated: Object.fromEntries(Object.entries(delegated).map(([name, bytes]) => [name, bytes.toBase64()])),
    path,
  };
}
