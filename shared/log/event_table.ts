/** The table of events as Markdown: docs/log.md shows it, and a test compares. */

import { EVENT_NAMES, eventRow } from "./events.ts";
import {
  CONNECTION_REASONS,
  DEMONSTRATION_REASONS,
  ENROLMENT_REASONS,
  PROVIDER_REASONS,
  REQUEST_REASONS,
  SENDER_REASONS,
} from "./reasons.ts";

const LISTS: readonly (readonly [name: string, reasons: readonly string[]])[] = [
  ["connection", CONNECTION_REASONS],
  ["request", REQUEST_REASONS],
  ["sender", SENDER_REASONS],
  ["demonstration", DEMONSTRATION_REASONS],
  ["enrolment", ENROLMENT_REASONS],
  ["provider", PROVIDER_REASONS],
];

/** Lists that a row's reasons contain whole, and `error code`; longest lists first, so that none is named twice. */
function reasonNames(reasons: readonly string[]): string {
  const names: string[] = [];
  const covered = new Set<string>();
  for (const [name, list] of LISTS) {
    if (list.every((reason) => reasons.includes(reason)) && list.some((reason) => !covered.has(reason))) {
      names.push(name);
      for (const reason of list) covered.add(reason);
    }
  }
  for (const reason of reasons) {
    if (!covered.has(reason)) names.push(reason === "error-code" ? "error code" : `\`${reason}\``);
  }
  return names.join(", ") || "-";
}

/** Rows of the table, one a line, with its head. */
export function eventTable(): string {
  const rows = EVENT_NAMES.map((name) => {
    const { severity, actor, subject, outcomes, reasons, meaning } = eventRow(name);
    const cells = [
      `\`${name}\``,
      severity,
      actor.join(", "),
      subject.join(", ") || "-",
      outcomes.join(", "),
      reasonNames(reasons),
      meaning,
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "| event | severity | actor | subject | outcome | reasons | what |",
    "|---|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}
