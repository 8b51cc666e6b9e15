/** Writes a closed batch to files, verifying what the service gives as it passes: nothing wrong is ever written as done. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { JwsPublicKey } from "shared/protocol/wire/jws.ts";
import { CSV_HEADER, csvLine } from "../../domain/batch_record/csv.ts";
import type { BatchManifest } from "../../domain/batch_record/manifest.ts";
import { BatchVerifier, verifyManifest } from "../../domain/batch_record/verifier.ts";
import { ahead } from "./ahead.ts";

/** What is to be written. */
export interface ExportRequest {
  readonly format: "jsonl" | "csv";
  /** Compact JWS. */
  readonly manifest: string;
  /** Compact JWS, in the order of the serials. */
  readonly records: AsyncIterable<string>;
  readonly key: JwsPublicKey;
  /** Takes the next piece of the file. */
  readonly write: (text: string) => Promise<void>;
}

/** Writes an export; of a table the manifest goes beside it. @throws {CodedError} `BATCH_EXPORT_WRONG`. */
export async function writeExport(request: ExportRequest): Promise<BatchManifest> {
  const { format, manifest: manifestJws, records, key, write } = request;
  const { manifest, findings } = await verifyManifest(manifestJws, key, null);
  if (manifest === undefined || findings.length > 0) throw wrong(findings[0]?.text ?? "the manifest");
  const verifier = new BatchVerifier(manifest, key);
  let line = 0;
  if (format === "csv") await write(CSV_HEADER);
  for await (const [jws, verdict] of ahead(records, (each) => verifier.signatureOf(each))) {
    const { record } = verifier.take(jws, ++line, verdict);
    if (record === undefined || verifier.total > 0) throw wrong(verifier.findings[0]?.text ?? "a record");
    await write(format === "csv" ? csvLine(record, jws) : JSON.stringify({ record: jws }) + "\n");
  }
  verifier.finish();
  if (verifier.total > 0) throw wrong(verifier.findings[0]!.text);
  if (format === "jsonl") await write(JSON.stringify({ manifest: manifestJws }) + "\n");
  return manifest;
}

function wrong(text: string): CodedError {
  return new CodedError(
    "BATCH_EXPORT_WRONG",
    `Cannot export the batch: what the service gives does not verify: ${text}`,
  );
}

defineErrors({
  BATCH_EXPORT_WRONG: {
    fault: "peer",
    retry: false,
    next: "The service's database does not hold what was signed: stop, keep it as it is, and look into it.",
  },
  BATCH_NOT_CLOSED: {
    fault: "usage",
    retry: false,
    next: "Only a closed batch is exported: `rk batch close`, or `rk batch report` for one that is open.",
  },
});
