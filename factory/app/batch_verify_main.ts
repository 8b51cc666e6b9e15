/**
 * The process of `rk batch verify`: it reads the export, the key and nothing else, and has no network.
 *
 *     batch_verify_main.ts FILE --key FILE [--manifest FILE] [--serial HEX] [--proof-out FILE] [--json]
 *
 * FILE: an export as JSON lines or CSV, or the proof of one card.
 */

import { parseArgs } from "node:util";
import { CodedError, defineErrors, EXIT_CODES } from "shared/base/errors.ts";
import type { CardRecord } from "../domain/batch_record/card_record.ts";
import { EXPORT_FINDINGS, type Finding } from "../domain/batch_record/findings.ts";
import { CardProof, verifyCardProof } from "../domain/batch_record/proof.ts";
import { readPublicKey } from "../service/batch_export/public_key.ts";
import { type ExportVerdict, verifyExport } from "../service/batch_export/verify_file.ts";
import { smallText } from "../transport/batch_export/text_file.ts";
import { type CommandOutput, runCommand } from "./command_process.ts";

const OPTIONS = {
  key: { type: "string" },
  manifest: { type: "string" },
  serial: { type: "string" },
  "proof-out": { type: "string" },
  json: { type: "boolean" },
} as const;

/** What is said when nothing is wrong. */
const COMPLETE = "every record is what the factory signed, and all are there";
const PROVEN = "the factory signed this record, and it was in the batch when that closed";

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

async function run(path: string, values: Values, output: CommandOutput): Promise<number> {
  if (values.key === undefined) throw usage("--key is missing");
  const key = await readPublicKey(await smallText(values.key));
  const proof = await proofOf(path);
  if (proof !== undefined) {
    const { record, manifest, findings } = await verifyCardProof(proof, key);
    if (record) { for (const line of cardLines(record)) output.say(line); }
    return tell(output, PROVEN, findings, findings.length, {
      kind: "proof",
      batch: manifest?.batch ?? null,
      card: record ?? null,
    });
  }
  const serial = values.serial?.toUpperCase();
  if (serial !== undefined && !/^[0-9A-F]{8}$/.test(serial)) throw usage("--serial is 4 bytes of hex");
  const verdict = await verifyExport({
    path,
    manifestPath: values.manifest,
    key,
    ...(serial ? { serial } : {}),
  });
  for (const line of exportLines(verdict)) output.say(line);
  if (verdict.card) {
    for (const line of cardLines(verdict.card.record)) output.say(line);
    const text = JSON.stringify(verdict.card.proof);
    const out = values["proof-out"];
    if (out !== undefined) await Deno.writeTextFile(out, text + "\n");
    output.say(out === undefined ? `proof   ${text}` : `proof   written to ${out}`);
  }
  return tell(output, COMPLETE, verdict.findings, verdict.findingsTotal, {
    kind: verdict.format,
    batch: verdict.manifest?.batch ?? null,
    totals: verdict.manifest?.totals ?? null,
    counted: verdict.counts,
    unused: verdict.manifest?.unused ?? null,
    rootSha256: verdict.manifest?.tree.rootSha256 ?? null,
    keyThumbprint: key.thumbprint,
    ...(verdict.card ? { card: verdict.card.record, proof: verdict.card.proof } : {}),
  });
}

/** The file as a proof, when it is one. */
async function proofOf(path: string): Promise<CardProof | undefined> {
  try {
    return CardProof.safeParse(JSON.parse(await smallText(path))).data;
  } catch {
    return undefined; // Too long or not one JSON value: it is an export, or nothing, which is told there.
  }
}

function exportLines({ manifest, format }: ExportVerdict): string[] {
  if (manifest === undefined) return [];
  const { batch, profile, totals, unused, firstSerial, lastSerial, tree } = manifest;
  return [
    `batch   ${batch}, profile ${profile.name} (${
      profile.sha256.slice(0, 16)
    }...), serials ${firstSerial} to ${lastSerial}`,
    `cards   reserved ${totals.reserved} = good ${totals.good} + scrapped ${totals.scrapped} + missing ${totals.missing}`,
    `unused  ${unused === null ? "none" : `${unused.cards}: ${unused.firstSerial} to ${unused.lastSerial}`}`,
    `closed  ${manifest.closedAt} by ${manifest.closedBy}${
      manifest.reason === null ? "" : `: ${manifest.reason}`
    }`,
    `root    ${tree.rootSha256} over ${tree.size} records (${format})`,
  ];
}

function cardLines(card: CardRecord): string[] {
  const why = card.reason === null ? "" : ` (${card.reason})`;
  return [
    `card    ${card.serial}: ${card.outcome}${why}, batch ${card.batch}, station ${card.station}, operator ${card.operator}`,
  ];
}

function tell(
  output: CommandOutput,
  right: string,
  findings: readonly Finding[],
  total: number,
  facts: object,
): number {
  for (const { code, line, text } of findings) {
    output.say(
      `WRONG   ${code}${line === null ? "" : `, line ${line}`}: ${text}\n        ${
        EXPORT_FINDINGS[code].next
      }`,
    );
  }
  if (total > findings.length) output.say(`        and ${total - findings.length} more`);
  output.say(`VERDICT ${total === 0 ? right : "wrong"}`);
  output.result({ verified: total === 0, ...facts, findings, findingsTotal: total });
  const first = findings[0];
  return first === undefined ? EXIT_CODES.ok : EXIT_CODES[EXPORT_FINDINGS[first.code].fault];
}

function usage(message: string): CodedError {
  return new CodedError("BATCH_VERIFY_USAGE", `Cannot verify: ${message}`);
}

/** Runs a command line and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await runCommand("batch", args.includes("--json"), async (output) => {
    let parsed;
    try {
      parsed = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    } catch (error) {
      throw usage((error as Error).message);
    }
    const { values, positionals: [path, ...more] } = parsed;
    if (path === undefined || more.length > 0) throw usage("give one file");
    return await run(path, values, output);
  });
}

defineErrors({
  BATCH_VERIFY_USAGE: {
    fault: "usage",
    retry: false,
    next: "`rk help batch verify` tells what the options take.",
  },
});

if (import.meta.main) Deno.exit(await main(Deno.args));
