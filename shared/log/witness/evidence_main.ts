/**
 * The process of `rk log evidence`: `evidence_main.ts FILE [--json] [--vkey KEY]...`. It can read that file and nothing else.
 * Exit codes: 0 proven, 10 inconclusive, 4 forged.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "../../base/errors.ts";
import { parseVerifierKey } from "../vkey.ts";
import { type Evidence, type EvidenceVerdict, judgeEvidence, parseEvidence } from "./evidence.ts";

/** Exit code of each verdict. */
const VERDICT_EXIT: Readonly<Record<EvidenceVerdict["verdict"], number>> = {
  proven: EXIT_CODES.ok,
  inconclusive: 10,
  forged: EXIT_CODES.peer,
};

const VERDICT_WORDS: Readonly<Record<EvidenceVerdict["verdict"], string>> = {
  proven: "PROVEN: the log signed two things that cannot both be true.",
  inconclusive: "OPEN: the signatures are genuine, but they do not prove a fault of the log.",
  forged: "FORGED or changed: this file does not show what it says.",
};

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { json: { type: "boolean" }, vkey: { type: "string", multiple: true } },
    allowPositionals: true,
  });
  const [file = ""] = positionals;
  const { json = false, vkey: keys } = values;
  try {
    for (const key of keys ?? []) parseVerifierKey(key);
    const evidence = parseEvidence(await readEvidence(file));
    const verdict = await judgeEvidence(evidence, keys);
    const lines = explain(evidence, verdict, keys !== undefined);
    for (const line of lines) (json ? console.error : console.log)(line);
    const exitCode = VERDICT_EXIT[verdict.verdict];
    if (json) {
      const { origin, kind, foundAt } = evidence;
      console.log(
        JSON.stringify({ ...verdict, origin, kind, foundAt, keysGiven: keys !== undefined, exitCode }),
      );
    }
    return exitCode;
  } catch (error) {
    const code = codeOf(error);
    const { next, fault } = errorRow(code);
    const message = error instanceof Error ? error.message : String(error);
    console.error(`log: ${message}\n    ${next}`);
    const exitCode = EXIT_CODES[fault];
    if (json) console.log(JSON.stringify({ error: { code, message, next }, exitCode }));
    return exitCode;
  }
}

function explain(
  evidence: Evidence,
  { verdict, explanation, signedBy }: EvidenceVerdict,
  keysGiven: boolean,
): string[] {
  // Names in the file are somebody's: nothing of them may move the cursor.
  const plain = (text: string) => text.replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, "?");
  return [
    VERDICT_WORDS[verdict],
    `  log      ${plain(evidence.origin)}`,
    ...signedBy.map((name) => `  signed   ${plain(name)}`),
    `  found    ${evidence.foundAt}, by ${plain(evidence.witness.split("+")[0]!)} (its own word)`,
    ...explanation.map((sentence) => `  ${plain(sentence)}`),
    ...(keysGiven || verdict === "forged" ? [] : [
      "  The keys are those in the file: compare them with the log's own, or give those that you trust with --vkey.",
      ...evidence.logKeys.map((key) => `  key      ${plain(key)}`),
    ]),
  ];
}

async function readEvidence(file: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(file);
  } catch (error) {
    throw new CodedError("EVIDENCE_MALFORMED", `Cannot read ${file}: ${(error as Error).name}`);
  }
}

if (import.meta.main) Deno.exit(await run(Deno.args));
