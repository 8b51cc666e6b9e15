/** What the card tool prints for people. */

import { toHex } from "shared/base/bytes.ts";
import { describeStatus, statusWord } from "shared/protocol/apdu/status_words.ts";
import { hexByte } from "../domain/card_tool/names.ts";
import type { Recording } from "../domain/card_tool/recording.ts";
import { commandName } from "../domain/card_tool/names.ts";
import { isHidden } from "../domain/card_tool/sensitive.ts";
import type { CardDiagnosis } from "../service/card_tool/diagnose.ts";
import { channelWords } from "../service/card_tool/diagnose.ts";
import type { CheckValues, KeyRow } from "../service/card_tool/keys.ts";
import type { CardFacts } from "../service/card_tool/look.ts";
import type { Listing } from "../service/card_tool/registry.ts";
import type { ReplayReport } from "../service/card_tool/replay.ts";
import type { PlannedCommand } from "../service/card_tool/session.ts";

/** Longest hex shown on one line, in characters; the whole is in the trace file. */
const HEX_SHOWN = 96;
/** Longest line of a table where there is no terminal that says its own, in characters. */
const LINE_WIDTH = 110;
/** The last column gets so much however wide the others are. */
const LAST_COLUMN_MIN = 32;

/** Columns as wide as their widest cell; the last one is broken at its commas. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const last = head.length - 1;
  const lineWidth = terminalWidth() ?? LINE_WIDTH;
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const indent = widths.slice(0, last).reduce((sum, width) => sum + width + 2, 0);
  return [head, ...rows].flatMap((cells) => {
    const start = cells.slice(0, last).map((cell, i) => cell.padEnd(widths[i]! + 2)).join("");
    return broken(cells[last]!, Math.max(lineWidth - indent, LAST_COLUMN_MIN))
      .map((part, i) => `${i === 0 ? start : " ".repeat(indent)}${part}`.trimEnd());
  });
}

function terminalWidth(): number | undefined {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return undefined;
  }
}

/** A list joined by commas in lines of at most a width, where its items allow it. */
function broken(text: string, width: number): string[] {
  const lines = [""];
  for (const item of text.split(/(?<=, )/)) {
    const open = lines.length - 1;
    if (lines[open] !== "" && lines[open]!.length + item.trimEnd().length > width) lines.push(item);
    else lines[open] += item;
  }
  return lines;
}

/** A card without keys. */
export function factsLines(reader: string, atr: Uint8Array, facts: CardFacts): string[] {
  const { domain, cplc, keys } = facts;
  const versions = [...new Set((keys ?? []).map((key) => key.version))];
  return [
    `reader      ${reader}`,
    `ATR         ${toHex(atr)}`,
    `domain      ${
      domain === undefined
        ? "none can be selected"
        : `${toHex(domain.aid)}${domain.cardLocked ? ", card locked" : ""}`
    }`,
    `GP version  ${facts.cardData?.globalPlatformVersion ?? "not told"}`,
    `channels    ${channelWords(facts).join(", ") || "not told"}`,
    ...(cplc === undefined ? ["chip        tells no CPLC"] : [
      `chip        fabricator ${toHex(cplc.icFabricator)}, type ${toHex(cplc.icType)}, serial ${
        toHex(cplc.icSerialNumber)
      }, batch ${toHex(cplc.icBatchId)}`,
      `system      ${toHex(cplc.operatingSystemId)}, level ${toHex(cplc.operatingSystemReleaseLevel)}`,
    ]),
    `diversified ${facts.kdd === undefined ? "not told" : toHex(facts.kdd)}`,
    `keys        ${
      keys === undefined ? "not told" : versions.map((v) => `version ${hexByte(v)}`).join(", ") || "none"
    }`,
    ...facts.unanswered.map(({ what, why }) => `            ${what}: ${why}`),
  ];
}

/** The registry. */
export function listingLines(listing: Listing): string[] {
  const lines: string[] = [];
  const { issuerDomain, domains, applications, packages } = listing;
  const objects = [...(issuerDomain === null ? [] : [issuerDomain]), ...domains, ...applications];
  const kinds = { "issuer-domain": "ISD", domain: "SSD", application: "app", package: "package" } as const;
  lines.push(...table(
    ["", "AID", "life cycle", "from package", "privileges"],
    objects.map((row) => [
      kinds[row.kind],
      row.aid,
      row.lifeCycle,
      row.package ?? "-",
      row.privileges.join(", ") || "-",
    ]),
  ));
  if (packages.length > 0) {
    lines.push(
      "",
      ...table(
        ["", "AID", "version", "life cycle", "modules"],
        packages.map((
          row,
        ) => ["package", row.aid, row.version ?? "-", row.lifeCycle, row.modules.join(", ") || "-"]),
      ),
    );
  }
  if (!listing.complete) lines.push("", `Not complete: ${listing.reason}`);
  return lines;
}

/** A diagnosis. */
export function diagnosisLines(reader: string, atr: Uint8Array, diagnosis: CardDiagnosis): string[] {
  const { counts } = diagnosis;
  return [
    ...factsLines(reader, atr, diagnosis.facts),
    ...(diagnosis.lifeCycle === null ? [] : [`life cycle  ${diagnosis.lifeCycle} (authenticated)`]),
    ...(counts === null ? [] : [
      `registry    ${counts.domains} domains, ${counts.applications} applications, ${counts.packages} packages`,
    ]),
    "",
    ...(diagnosis.findings.length === 0
      ? ["nothing to remark"]
      : diagnosis.findings.map((text) => `- ${text}`)),
  ];
}

/** Check values of a key set. */
export function checkValueLine(name: string, values: CheckValues): string {
  return `${name}: check values ENC ${values.enc}, MAC ${values.mac}, DEK ${values.dek}`;
}

/** Keys of a domain. */
export function keyLines(keys: readonly KeyRow[], given: CheckValues | null): string[] {
  return [
    ...table(
      ["version", "id", "type", "bytes"],
      keys.map((key) => [hexByte(key.version), String(key.id), key.type, String(key.lengthBytes)]),
    ),
    ...(given === null ? [] : ["", checkValueLine("the given keys", given)]),
  ];
}

/** A dry run. */
export function planLines(planned: readonly PlannedCommand[]): string[] {
  const width = Math.max(0, ...planned.map(({ step }) => step.length));
  return [
    ...planned.map(({ step, apdu, sent }) => `${sent ? "sent " : "would"}  ${step.padEnd(width)}  ${apdu}`),
    "",
    "Dry run: nothing that changes the card was sent. Commands are shown before the secure channel, secrets hidden.",
  ];
}

function clipped(hex: string): string {
  if (isHidden(hex) || hex.length <= HEX_SHOWN) return hex;
  return `${hex.slice(0, HEX_SHOWN)}... (${hex.length / 2} bytes)`;
}

/** A recording, with its status words explained. */
export function recordingLines(recording: Recording): string[] {
  const lines = [`${recording.name}, ${recording.rows.length} rows`, ""];
  recording.rows.forEach((row, i) => {
    if (row.sent === "") {
      lines.push(`${String(i + 1).padStart(4)}  -- ${row.step}${row.note ? `: ${row.note}` : ""}`);
      return;
    }
    const ins = parseInt((row.plain ?? row.sent).slice(2, 4), 16);
    const name = commandName(ins);
    lines.push(`${String(i + 1).padStart(4)}  ${row.step === name ? name : `${row.step} (${name})`}`);
    lines.push(`      > ${clipped(row.sent)}`);
    if (row.plain !== undefined) lines.push(`      . ${clipped(row.plain)}   before the secure channel`);
    if (row.received === "") {
      lines.push("      < no answer");
      return;
    }
    const sw = parseInt(row.received.slice(-4), 16);
    lines.push(`      < ${clipped(row.received)}`);
    if (row.plainReceived) lines.push(`      . ${clipped(row.plainReceived)}   after the secure channel`);
    lines.push(`      ${describeStatus(sw)}`);
    if (sw !== 0x9000 && sw >> 8 !== 0x61) lines.push(`      ${statusWord(sw).next}`);
  });
  return lines;
}

/** A replay. */
export function replayLines(report: ReplayReport): string[] {
  const marks = {
    equal: "equal  ",
    differs: "DIFFERS",
    skipped: "skipped",
    event: "--     ",
    planned: "would  ",
  };
  return [
    ...report.rows.flatMap((row) => [
      `${String(row.row).padStart(4)}  ${marks[row.outcome]}  ${row.step}${
        row.why === null ? "" : `: ${row.why}`
      }`,
      ...(row.outcome === "differs"
        ? [`        recorded ${clipped(row.expected ?? "")}`, `        now      ${clipped(row.actual ?? "")}`]
        : []),
    ]),
    "",
    `${report.equal} equal, ${report.differing} differ, ${report.skipped} skipped`,
  ];
}
