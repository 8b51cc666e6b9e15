/** A station's screen as text: one block for each reader, large where there is room, and a line for the manager. */

import { BIG_ROWS, bigWord } from "./big_letters.ts";
import { cardsPerMinute, type ReaderView, type StationView, yieldPercent } from "./model.ts";

/** The terminal. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
}

const STYLE: Readonly<Record<ReaderView["state"], string>> = {
  empty: "\x1b[2m",
  working: "\x1b[1;36m",
  done: "\x1b[1;30;42m",
  again: "\x1b[1;30;43m",
  failed: "\x1b[1;97;41m",
  stopped: "\x1b[1;97;45m",
};
const RESET = "\x1b[0m";

const WORD: Readonly<Record<ReaderView["state"], string>> = {
  empty: "CARD",
  working: "",
  done: "DONE",
  again: "AGAIN",
  failed: "FAILED",
  stopped: "STOP",
};

/** Rows of a block: heading, the large word, two lines of words, and one between blocks. */
const BLOCK_ROWS = 1 + BIG_ROWS + 3;
const COMPACT_ROWS = 3;
const FOOTER_ROWS = 3;

/** Control characters from cards, readers or services never reach the terminal. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- taking control characters out is the purpose
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}

function fit(text: string, width: number): string {
  const characters = [...text];
  return characters.length > width
    ? characters.slice(0, Math.max(0, width - 1)).join("") + "…"
    : text + " ".repeat(width - characters.length);
}

/** Breaks words into at most `lines` lines of `width`. */
function wrap(text: string, width: number, lines: number): string[] {
  const broken: string[] = [""];
  for (const word of text.split(" ")) {
    const line = broken.at(-1)!;
    if (line.length === 0) broken[broken.length - 1] = word;
    else if (line.length + 1 + word.length <= width) broken[broken.length - 1] = `${line} ${word}`;
    else broken.push(word);
  }
  const kept = broken.slice(0, lines);
  if (broken.length > lines) kept[lines - 1] = fit(`${kept[lines - 1]} ${broken[lines]}`, width);
  return kept;
}

function bar(progress: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, progress)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

function styled(lines: readonly string[], view: ReaderView, terminal: Terminal): string[] {
  const width = terminal.columns;
  return lines.map((line) => {
    const text = fit(printable(line), width);
    return terminal.color ? `${STYLE[view.state]}${text}${RESET}` : text.trimEnd();
  });
}

function heading(view: ReaderView, number: number, width: number): string {
  const serial = view.serial === null ? "" : `serial ${view.serial} `;
  return fit(` ${number}  ${view.reader}`, Math.max(0, width - serial.length)) + serial;
}

function block(view: ReaderView, number: number, terminal: Terminal): string[] {
  const width = terminal.columns;
  const word = view.state === "working" ? `${Math.floor(100 * view.progress)}%` : WORD[view.state];
  const words = wrap(view.words, width - 4, 2);
  const last = view.state === "working" && words.length < 2
    ? [...words, bar(view.progress, Math.max(10, width - 4))]
    : [...words, ""].slice(0, 2);
  const lines = [
    heading(view, number, width),
    ...bigWord(word).map((row) => `   ${row}`),
    ...last.map((line) => `  ${line}`),
  ];
  return [...styled(lines, view, terminal), ""];
}

function compactBlock(view: ReaderView, number: number, terminal: Terminal): string[] {
  const word = view.state === "working" ? `${Math.floor(100 * view.progress)}%` : WORD[view.state];
  const lines = [heading(view, number, terminal.columns), `    ${word.padEnd(6)} ${view.words}`];
  return [...styled(lines, view, terminal), ""];
}

/** The manager's line: counts, yield, rate. */
export function footer(view: StationView): string {
  const parts = [
    `attested ${view.attested}`,
    `scrapped ${view.scrapped}`,
    `refused ${view.refused}`,
    `again ${view.repeated}`,
  ];
  const good = yieldPercent(view);
  if (good !== undefined) parts.push(`yield ${good.toFixed(1)} %`);
  const rate = cardsPerMinute(view);
  if (rate !== undefined) parts.push(`${rate.toFixed(1)} a minute`);
  parts.push(`batch ${view.batch}`);
  if (view.package) parts.push(`package ${view.package}`);
  return parts.join(" · ");
}

/** The whole screen. Blocks are large as long as all of them fit. */
export function renderStation(view: StationView, terminal: Terminal): string {
  const room = terminal.rows - FOOTER_ROWS;
  const large = view.readers.length * BLOCK_ROWS <= room;
  const blocks = view.readers.map((reader, i) =>
    large ? block(reader, i + 1, terminal) : compactBlock(reader, i + 1, terminal)
  );
  const visible = large ? blocks : blocks.slice(0, Math.max(1, Math.floor(room / COMPACT_ROWS)));
  const hidden = blocks.length - visible.length;
  const notices = [
    ...(view.serviceLost ? ["the reader service is gone: start pcscd again"] : []),
    ...(hidden > 0 ? [`${hidden} more readers: make the window larger`] : []),
    ...(view.notice ? [view.notice] : []),
  ].map((line) => fit(printable(line), terminal.columns).trimEnd());
  const foot = fit(footer(view), terminal.columns).trimEnd();
  return [...visible.flat(), ...notices.slice(0, 1), terminal.color ? `\x1b[1m${foot}${RESET}` : foot].join(
    "\n",
  );
}
