/** The Java name of a package, which newer converters write into the header. Java Card 3.0.5 VM specification, 6.4. */

import { fromUtf8 } from "shared/base/bytes.ts";
import type { CapFile } from "shared/protocol/cap/reader.ts";
import { COMPONENT_PREFIX_BYTES } from "shared/protocol/cap/components.ts";

/** Magic, format version, flags and package version before the AID, in bytes. */
const BEFORE_AID = COMPONENT_PREFIX_BYTES + 4 + 2 + 1 + 2;

/** `im.status.keycard.math`, or undefined when the file does not tell. */
export function packageName(cap: CapFile): string | undefined {
  const header = cap.components.find(({ name }) => name === "Header")?.bytes ?? new Uint8Array(0);
  const afterAid = BEFORE_AID + 1 + (header[BEFORE_AID] ?? 0);
  const length = header[afterAid] ?? 0;
  const bytes = header.subarray(afterAid + 1, afterAid + 1 + length);
  if (length === 0 || bytes.length !== length) return undefined;
  try {
    const name = fromUtf8(bytes).replaceAll("/", ".");
    // What is no Java name may hold control characters for the terminal.
    return /^[A-Za-z0-9_$.]+$/.test(name) ? name : undefined;
  } catch {
    return undefined;
  }
}
