/** A batch's report as lines for people and as JSON. */

import type { BatchReportAnswer } from "shared/protocol/wire/batch.ts";
import { figuresOf } from "factory/domain/batch_report/figures.ts";
import { type Row, table } from "./table.ts";

/** Journal entries that are shown; JSON has all of them. */
const SHOWN_MAX = 12;

/** The report for programs: what the service counted, and its figures. */
export function reportJson(report: BatchReportAnswer): Record<string, unknown> {
  const { groups: _, ...facts } = report;
  const { all, stations, reasons, unused, adds } = figuresOf(report);
  return { ...facts, counts: all, byStation: stations, reasons, unused, adds };
}

/** The report for people. */
export function reportLines(report: BatchReportAnswer): string[] {
  const { all, stations, reasons, unused, adds } = figuresOf(report);
  const { limits } = report;
  const quotas = new Map(report.stations.map(({ name, quota }) => [name, quota]));
  const names = [...new Set([...Object.keys(stations), ...quotas.keys()])].sort();
  const rows: Row[] = names.map((name) => {
    const own = stations[name];
    return [
      name,
      own?.reserved ?? 0,
      own?.good ?? 0,
      own?.scrapped ?? 0,
      own?.missing ?? 0,
      own?.inFlight ?? 0,
      percent(own?.yieldPercent ?? null),
      own?.cardsPerHour ?? "-",
      own?.lastHour ?? 0,
      quotas.get(name) ?? "-",
    ];
  });
  const total: Row = [
    "all",
    all.reserved,
    all.good,
    all.scrapped,
    all.missing,
    all.inFlight,
    percent(all.yieldPercent),
    all.cardsPerHour ?? "-",
    all.lastHour,
    report.quantity,
  ];
  const shown = report.journal.slice(-SHOWN_MAX);
  return [
    `Batch ${report.batch}: ${report.state.toUpperCase()}, ${report.quantity} cards, serials ${report.firstSerial} to ${report.lastSerial}`,
    `profile ${report.profileName}, SHA-256 ${report.profileSha256}`,
    "",
    ...table(
      [
        "station",
        "reserved",
        "good",
        "scrapped",
        "missing",
        "in flight",
        "yield",
        "per hour",
        "last hour",
        "quota",
      ],
      [...rows, total],
    ),
    "",
    `${all.reserved} reserved = ${all.good} good + ${all.scrapped} scrapped + ${all.missing} missing + ${all.inFlight} in flight; ${unused} unused${
      unused === 0 ? "" : ` (${report.nextSerial} to ${report.lastSerial})`
    }${adds ? "" : "  THIS DOES NOT ADD UP TO THE QUANTITY"}`,
    ...(reasons.length === 0 ? [] : [
      "",
      ...table(
        ["why", "cards", "stations"],
        reasons.map(({ state, reason, cards, stations }): Row => [
          `${state}: ${reason}`,
          cards,
          Object.entries(stations).map(([name, count]) => `${name} ${count}`).join(", "),
        ]),
      ),
    ]),
    "",
    `stops at ${
      limits.scrappedInRow === null ? "no number of" : limits.scrappedInRow
    } scrapped cards in a row, and ${
      limits.yieldPercent === null
        ? "at no yield"
        : `below ${limits.yieldPercent} % of the last ${limits.yieldWindowCards} after ${limits.yieldAfterCards}`
    }`,
    ...(report.journal.length > shown.length
      ? [`(${report.journal.length - shown.length} earlier entries)`]
      : []),
    ...shown.flatMap(({ at, event, sender, reason, shared }) => [
      `${at.slice(0, 19).replace("T", " ")}  ${event} by ${sender}${reason === null ? "" : `: ${reason}`}`,
      ...shared.map((line) => `                       ${line}`),
    ]),
    ...(report.manifest === null
      ? []
      : [`${report.recordsSigned} signed records; \`rk batch export\` writes them`]),
  ];
}

function percent(value: number | null): string {
  return value === null ? "-" : `${value.toFixed(1)} %`;
}
