/**
 * Exchanges one method of the library's: how it counts the signatures on a document. Its own asks OpenSSL for a default digest
 * that this runtime does not have, so that ECDSA and RSA never verify, and counts a key once for each identifier that it is listed
 * under (docs/decisions/0034_tuf_client.md).
 */

import type { Metadata as Document, Root, Targets } from "@tufjs/models";
import { Metadata } from "shared/protocol/release/library.ts";
import { delegationOf, requireThreshold } from "shared/protocol/release/signatures.ts";

/** Does it; once for a process is enough. */
export function verifyStrictly(): void {
  Metadata.prototype.verifyDelegate = function (this: Document<Root | Targets>, name, document) {
    const { role, keys } = delegationOf(this, name);
    requireThreshold(name, role, keys, document);
  };
}
