/**
 * A page that shows the newest entries of a process's log and whether they verify. For admin listeners: they mount it, and they say
 * who may see it. Rendered here, without script; nothing of a log is believed to be harmless text.
 */

import { Hono } from "hono";
import { html, raw } from "hono/html";
import { secureHeaders } from "hono/secure-headers";
import { sha256 } from "@noble/hashes/sha2.js";
import { toUtf8 } from "../base/bytes.ts";
import { CodedError } from "../base/errors.ts";
import { eventRow } from "./events.ts";
import { type Leaf, parseLeaf } from "./leaf.ts";
import { LogReader } from "./reader.ts";
import type { CheckpointPolicy } from "./signed_checkpoint.ts";
import { timeOf } from "./command/print.ts";
import type { LogSource } from "./source.ts";

/** Entries on the page. */
export const PAGE_ENTRIES = 50;

/** What the page shows. */
export interface LogPageOptions {
  /** Name of the process, for the title. */
  readonly process: string;
  readonly source: LogSource;
  readonly policy: CheckpointPolicy;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Row {
  readonly index: number;
  /** Undefined: it could not be read. */
  readonly leaf?: Leaf;
  /** Code of what is wrong with it. */
  readonly fault?: string;
}

interface View {
  readonly reader?: LogReader;
  /** What is wrong with the log as a whole. */
  readonly fault?: CodedError;
  readonly rows: readonly Row[];
}

type Checkpoint = Pick<LogReader["checkpoint"], "size" | "root">;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; --warn: #d29922; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .75rem; }
.verdict { border: 1px solid; border-left-width: .4rem; border-radius: .3rem; padding: .6rem .9rem; margin: 0 0 1rem; }
.good { border-color: var(--good); } .bad { border-color: var(--bad); }
.verdict strong { display: block; font-size: 1.05rem; } .good strong { color: var(--good); } .bad strong { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0 0 1rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; position: sticky; top: 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .88em ui-monospace, monospace; }
.warning { color: var(--warn); } .alarm, .fault { color: var(--bad); font-weight: 600; }
`;

const STYLE_HASH = sha256(toUtf8(STYLE)).toBase64();

/** Makes the handler: `GET /` is the page. */
export function logPage(options: LogPageOptions): Hono {
  // A page that is open for long compares with what it showed before: a log that went back is told.
  let last: Checkpoint | undefined;
  const app = new Hono();
  app.use(secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: [`'sha256-${STYLE_HASH}'`],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
    },
    xFrameOptions: "DENY",
    referrerPolicy: "no-referrer",
  }));
  app.get("/", async (c) => {
    const view = await look(options, last);
    if (view.reader !== undefined && view.fault === undefined) last = view.reader.checkpoint;
    c.header("cache-control", "no-store");
    // 200 also for a log that does not verify: the page works, and it says so.
    return c.html(render(options, view));
  });
  return app;
}

async function look({ source, policy }: LogPageOptions, last: Checkpoint | undefined): Promise<View> {
  let reader: LogReader | undefined;
  try {
    reader = await LogReader.open(source, policy);
    if (last !== undefined) await reader.compareWith(last);
    const { size } = reader.checkpoint;
    const rows: Row[] = [];
    for await (const { index, bytes } of reader.entries(Math.max(0, size - PAGE_ENTRIES), size)) {
      rows.push(readRow(index, bytes));
    }
    return { reader, rows: rows.reverse() };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { ...(reader === undefined ? {} : { reader }), fault: error, rows: [] };
  }
}

function readRow(index: number, bytes: Uint8Array): Row {
  try {
    return { index, leaf: parseLeaf(bytes) };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { index, fault: error.code };
  }
}

function render({ process, policy, now }: LogPageOptions, { reader, fault, rows }: View) {
  const wrong = rows.filter((row) => row.fault !== undefined).length;
  const good = fault === undefined && wrong === 0;
  const verdict = fault !== undefined
    ? html`<strong>Does not verify: ${fault.code}</strong>${fault.message}. ${fault.row.next}`
    : wrong > 0
    ? html`<strong>${wrong} of these entries are none of ours</strong>Signatures and tree verify; what is written there does not.`
    : html`<strong>Verified</strong>Signatures, and the path of every entry below to the signed root.`;
  // The title alone is seen in a row of tabs.
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${good ? "" : "NOT VERIFIED: "}Log of ${process}</title>
        <style>${raw(STYLE)}</style>
      </head>
      <body>
    <h1>Log of ${process}</h1>
    <div class="verdict ${good ? "good" : "bad"}" role="status">${verdict}</div>
    <dl>
    <dt>Origin</dt><dd><code>${policy.origin}</code></dd>
    ${reader === undefined ? "" : facts(reader, policy)}
    <dt>Looked at</dt><dd>${new Date(now()).toISOString()}</dd>
    </dl>
    ${rows.length === 0
      ? html`<p>${
        fault === undefined ? "No entries to show." : "No entry is shown: below a fault none can be believed."
      }</p>`
      : table(rows)}
      </body>
    </html>
  `;
}

function facts({ checkpoint }: LogReader, policy: CheckpointPolicy) {
  const { size, root, cosignatures } = checkpoint;
  const witnesses = cosignatures.map(({ name, timestamp }) => html`<br>${name}, ${timeOf(timestamp)}`);
  return html`
    <dt>Entries</dt>
    <dd>${size}</dd>
    <dt>Root</dt>
    <dd><code>${root.toHex()}</code></dd>
    <dt>Witnesses</dt>
    <dd>${cosignatures.length} of ${policy.witnesses.length} cosigned, ${policy
      .quorum} needed${witnesses}</dd>
  `;
}

function table(rows: readonly Row[]) {
  return html`
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">No.</th>
            <th scope="col">Time (UTC)</th>
            <th scope="col">Event</th>
            <th scope="col">Outcome</th>
            <th scope="col">Actor</th>
            <th scope="col">Subject</th>
            <th scope="col">Ticket</th>
          </tr>
        </thead>
        <tbody>${rows.map(tableRow)}</tbody>
      </table>
    </div>
  `;
}

function tableRow({ index, leaf, fault }: Row) {
  if (leaf === undefined) {
    return html`
      <tr>
        <td class="number">${index}</td>
        <td colspan="6" class="fault">not an entry of ours: ${fault}</td>
      </tr>
    `;
  }
  const { severity, meaning } = eventRow(leaf.event);
  return html`
    <tr>
      <td class="number">${index}</td>
      <td>${leaf.time.slice(0, 10)} ${leaf.time.slice(11, 23)}</td>
      <td class="${severity}" title="${meaning}">${leaf.event}</td>
      <td>${leaf.outcome}${leaf.reason === undefined ? "" : `: ${leaf.reason}`}${leaf.count === undefined
        ? ""
        : ` (${leaf.count} times)`}</td>
      <td><code>${leaf.actor}</code></td>
      <td><code>${leaf.subject ?? ""}</code></td>
      <td>${leaf.ticket ?? ""}</td>
    </tr>
  `;
}
