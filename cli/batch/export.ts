/** `rk batch export`: a closed batch as files that anyone can verify. */

import { CodedError } from "shared/base/errors.ts";
import { jwsKeyOfPoint, type JwsPublicKey } from "shared/protocol/wire/jws.ts";
import type { BatchManifest } from "factory/domain/batch_record/manifest.ts";
import type { BatchManagerClient } from "factory/service/batch_manager/client.ts";
import { writeExport } from "factory/service/batch_export/write_export.ts";

/** Path of the manifest beside a table. */
export function manifestPath(table: string): string {
  return `${table.replace(/\.csv$/i, "")}.manifest.jws`;
}

/** The record key of the service. */
export async function recordKeyOf(client: BatchManagerClient): Promise<JwsPublicKey> {
  const { jwk: { x, y } } = await client.recordKey();
  const part = (text: string) => Uint8Array.fromBase64(text, { alphabet: "base64url" });
  return await jwsKeyOfPoint(Uint8Array.of(4, ...part(x), ...part(y)));
}

/**
 * Writes an export to `out` (mode 0600: it names chips and people), whole or not at all; of a table, the manifest too.
 * @throws {CodedError} `BATCH_NOT_CLOSED`, `BATCH_EXPORT_WRONG`, those of the client.
 */
export async function exportBatch(
  client: BatchManagerClient,
  batch: string,
  out: string,
  format: "jsonl" | "csv",
): Promise<{ manifest: BatchManifest; files: string[] }> {
  const { manifest: jws, state } = await client.report(batch);
  if (jws === null) throw new CodedError("BATCH_NOT_CLOSED", `Cannot export batch ${batch}: it is ${state}`);
  const temporary = `${out}.new`;
  using file = await Deno.open(temporary, { create: true, write: true, truncate: true, mode: 0o600 });
  const encoder = new TextEncoder();
  let waiting = "";
  const flush = async () => {
    for (let bytes = encoder.encode(waiting); bytes.length > 0;) {
      bytes = bytes.subarray(await file.write(bytes));
    }
    waiting = "";
  };
  const manifest = await writeExport({
    format,
    manifest: jws,
    records: client.records(batch),
    key: await recordKeyOf(client),
    write: async (text) => {
      waiting += text;
      if (waiting.length > WRITE_TOGETHER) await flush();
    },
  });
  await flush();
  await file.sync();
  const files = [out];
  if (format === "csv") {
    await Deno.writeTextFile(manifestPath(out), jws + "\n", { mode: 0o600 });
    files.push(manifestPath(out));
  }
  await Deno.rename(temporary, out);
  return { manifest, files };
}

/** Characters that are written together. */
const WRITE_TOGETHER = 256 * 1024;
