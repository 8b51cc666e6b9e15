/** Verifies an export file: JSON lines with the manifest as last line, or a table with the manifest beside it. */

import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { leafHash } from "shared/log/merkle.ts";
import type { JwsPublicKey, JwsVerdict } from "shared/protocol/wire/jws.ts";
import {
  CSV_HEADER,
  CSV_LINE_END,
  csvLine,
  isInsideQuotes,
  recordOfCsvLine,
} from "../../domain/batch_record/csv.ts";
import type { CardRecord } from "../../domain/batch_record/card_record.ts";
import type { Finding, FindingCode } from "../../domain/batch_record/findings.ts";
import type { BatchManifest } from "../../domain/batch_record/manifest.ts";
import { type CardProof, proveCard } from "../../domain/batch_record/proof.ts";
import { BatchVerifier, verifyManifest } from "../../domain/batch_record/verifier.ts";
import { ahead } from "./ahead.ts";
import { lastLine, LINE_MAX, smallText, textLines } from "../../transport/batch_export/text_file.ts";

/** What a verification found. */
export interface ExportVerdict {
  readonly format: "jsonl" | "csv";
  readonly manifest: BatchManifest | undefined;
  /** Records that verified, by outcome. */
  readonly counts: Readonly<Record<CardRecord["outcome"], number>>;
  /** Empty when the export is what the factory signed. */
  readonly findings: readonly Finding[];
  /** How many there are; `findings` is bounded. */
  readonly findingsTotal: number;
  /** Of the asked serial. */
  readonly card?: { readonly record: CardRecord; readonly proof: CardProof };
}

/** What to verify. */
export interface VerifyRequest {
  readonly path: string;
  /** Manifest of a table. */
  readonly manifestPath: string | undefined;
  readonly key: JwsPublicKey;
  /** 4 bytes of hex: a card to prove. */
  readonly serial?: string;
}

const NONE = { good: 0, scrapped: 0, missing: 0 } as const;

/** Verifies. @throws {CodedError} `BATCH_FILE` when a file cannot be read; what is wrong in it is a finding. */
export async function verifyExport(request: VerifyRequest): Promise<ExportVerdict> {
  const { path, key, serial } = request;
  const isTable = await isCsv(path);
  const format = isTable ? "csv" : "jsonl";
  const found = isTable ? await tableManifest(request) : manifestOf(await lastLine(path));
  if (typeof found !== "string") {
    return { format, manifest: undefined, counts: NONE, findings: [found], findingsTotal: 1 };
  }
  const { manifest, findings } = await verifyManifest(found, key, null);
  if (manifest === undefined) {
    return { format, manifest, counts: NONE, findings, findingsTotal: findings.length };
  }
  const verifier = new BatchVerifier(manifest, key);
  for (const { code, line, text } of findings) verifier.note(code, line, null, text);
  const wanted = serial === undefined ? undefined : new WantedCard(serial);
  await (isTable ? readTable : readLines)(path, verifier, wanted);
  verifier.finish();
  const card = wanted?.prove(found);
  if (serial !== undefined && card === undefined) {
    verifier.note("BATCH_SERIAL_ABSENT", null, serial, `there is no record of serial ${serial}`);
  }
  return {
    format,
    manifest,
    counts: verifier.counts,
    findings: verifier.findings,
    findingsTotal: verifier.total,
    ...(card === undefined ? {} : { card }),
  };
}

/** Keeps what the proof of one card takes: the hash of every record, 32 bytes each. */
class WantedCard {
  readonly #serial: string;
  readonly #leaves: Uint8Array[] = [];
  #found: { record: CardRecord; jws: string; index: number } | undefined;

  constructor(serial: string) {
    this.#serial = serial;
  }

  take(jws: string, record: CardRecord | undefined): void {
    if (record?.serial === this.#serial) this.#found ??= { record, jws, index: this.#leaves.length };
    this.#leaves.push(leafHash(toUtf8(jws)));
  }

  prove(manifest: string): ExportVerdict["card"] {
    if (this.#found === undefined) return undefined;
    const { record, jws, index } = this.#found;
    return { record, proof: proveCard(jws, index, this.#leaves, manifest) };
  }
}

async function isCsv(path: string): Promise<boolean> {
  for await (const { text } of textLines(path)) return !text.startsWith("{");
  return false;
}

/** The manifest of JSON lines, or why there is none. */
function manifestOf(line: string): string | Finding {
  const value = memberOf(line, "manifest");
  if (value !== undefined) return value;
  return finding(
    "BATCH_EXPORT_TRUNCATED",
    "the last line is not the manifest: the file was cut off, or is no export",
  );
}

async function tableManifest({ path, manifestPath }: VerifyRequest): Promise<string | Finding> {
  if (manifestPath === undefined) {
    return finding("BATCH_EXPORT_TRUNCATED", `${path} is a table: its manifest is not there`);
  }
  return (await smallText(manifestPath)).trim();
}

/** A record of a file, or something else in a line. */
interface FilePart {
  readonly line: number;
  readonly ended: boolean;
  readonly jws: string | undefined;
  /** The text of a row or of a line that is no record. */
  readonly text: string;
}

async function readLines(path: string, verifier: BatchVerifier, wanted?: WantedCard): Promise<void> {
  let manifestAt: number | undefined;
  for await (
    const [{ line, ended, jws, text }, verdict] of ahead(lineParts(path), (part) => verdictOf(verifier, part))
  ) {
    if (manifestAt !== undefined) {
      verifier.note(
        "BATCH_EXPORT_UNREADABLE",
        line,
        null,
        `the manifest in line ${manifestAt} is not the last line`,
      );
    }
    if (!ended) {
      verifier.note("BATCH_EXPORT_TRUNCATED", line, null, "the last line has no end: bytes are missing");
    }
    if (jws !== undefined && verdict !== undefined) {
      const { record } = verifier.take(jws, line, verdict);
      wanted?.take(jws, record);
    } else if (memberOf(text, "manifest") !== undefined) {
      manifestAt = line;
    } else {
      verifier.note("BATCH_EXPORT_UNREADABLE", line, null, "the line is neither a record nor the manifest");
    }
  }
}

async function* lineParts(path: string): AsyncGenerator<FilePart> {
  for await (const { text, number: line, ended } of textLines(path)) {
    yield { line, ended, jws: memberOf(text, "record"), text };
  }
}

async function readTable(path: string, verifier: BatchVerifier, wanted?: WantedCard): Promise<void> {
  for await (
    const [{ line, ended, jws, text }, verdict] of ahead(rowParts(path), (part) => verdictOf(verifier, part))
  ) {
    if (jws === undefined || verdict === undefined) {
      if (line === 1 && text === CSV_HEADER) continue;
      if (line === 1) verifier.note("BATCH_CSV_CELL", 1, null, "the header line is not ours");
      else verifier.note("BATCH_EXPORT_TRUNCATED", line, null, "the last row does not end");
      continue;
    }
    if (!ended) {
      verifier.note("BATCH_EXPORT_TRUNCATED", line, null, "the last line has no end: bytes are missing");
    }
    const { record } = verifier.take(jws, line, verdict);
    wanted?.take(jws, record);
    if (record !== undefined && csvLine(record, jws) !== (ended ? text : text + CSV_LINE_END)) {
      verifier.note("BATCH_CSV_CELL", line, record.serial, "a cell is not what the signed record says");
    }
  }
}

/** Rows of a table: a quoted cell may hold the end of a line. Header and a row that does not end have no record. */
async function* rowParts(path: string): AsyncGenerator<FilePart> {
  let row = "";
  let from = 0;
  for await (const { text, number, ended } of textLines(path)) {
    if (number === 1) {
      yield { line: 1, ended, jws: undefined, text: `${text}\n` };
      continue;
    }
    if (row === "") from = number;
    row += text + (ended ? "\n" : "");
    if (row.length > LINE_MAX) {
      throw new CodedError("BATCH_FILE", `Cannot read ${path}: row ${from} is too long`);
    }
    if (isInsideQuotes(row)) continue;
    yield { line: from, ended, jws: recordOfCsvLine(row), text: row };
    row = "";
  }
  if (row !== "") yield { line: from, ended: false, jws: undefined, text: row };
}

function verdictOf(verifier: BatchVerifier, { jws }: FilePart): Promise<JwsVerdict | undefined> {
  return jws === undefined ? Promise.resolve(undefined) : verifier.signatureOf(jws);
}

function memberOf(line: string, member: "record" | "manifest"): string | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || Object.keys(value).length !== 1) return undefined;
    const text = (value as Record<string, unknown>)[member];
    return typeof text === "string" ? text : undefined;
  } catch {
    return undefined;
  }
}

function finding(code: FindingCode, text: string): Finding {
  return { code, line: null, serial: null, text };
}
