/**
 * The status page of a gateway, for people on call: is it well, and if not, what is wrong. Rendered here, without script; it loads
 * itself again. Colours only repeat what words say. What clients choose (their names) is escaped like any text.
 */

import { Hono } from "hono";
import { html, raw } from "hono/html";
import { secureHeaders } from "hono/secure-headers";
import { sha256 } from "@noble/hashes/sha2.js";
import { toUtf8 } from "shared/base/bytes.ts";
import type { ReasonCount } from "../service/activity.ts";
import { findings } from "../domain/findings.ts";
import type { GatewayStatus } from "./status.ts";

/** The page loads itself again after so many seconds. */
export const REFRESH_SECONDS = 5;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; --warn: #d29922; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.25rem auto; max-width: 84rem; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; justify-content: space-between; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .4rem; }
header p { margin: 0; opacity: .75; }
.verdict { border: 1px solid; border-left-width: .4rem; border-radius: .3rem; padding: .6rem .9rem; margin: .75rem 0 1rem; }
.verdict strong { font-size: 1.05rem; } .verdict ul { margin: .25rem 0 0; padding-left: 1.2rem; }
.verdict.good { border-color: var(--good); } .verdict.warning { border-color: var(--warn); } .verdict.alarm { border-color: var(--bad); }
.good { color: var(--good); } .warning { color: var(--warn); } .alarm { color: var(--bad); font-weight: 600; }
.verdict { color: inherit; } .verdict.good strong { color: var(--good); }
.verdict.warning strong { color: var(--warn); } .verdict.alarm { font-weight: 400; } .verdict.alarm strong { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 0 0 1.2rem; }
.figures div { background: var(--soft); border-radius: .3rem; padding: .5rem .7rem; }
.figures dt { opacity: .75; font-size: .85rem; } .figures dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1.2rem 2rem; align-items: start; }
section { min-width: 0; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; font-size: .85rem; opacity: .8; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td code { font: .88em ui-monospace, monospace; overflow-wrap: anywhere; }
.none { opacity: .7; margin: 0; }
@media (max-width: 32rem) { main { grid-template-columns: 1fr; } }
`;

// In one piece: the policy allows exactly these bytes, and a formatter may move what stands in a template.
const STYLE_ELEMENT = `<style>${STYLE}</style>`;
const STYLE_HASH = sha256(toUtf8(STYLE)).toBase64();

/** What the page is made of. */
export interface StatusPageOptions {
  readonly status: () => GatewayStatus;
  /** Hosts, with port, under which people may ask: another name is a foreign page that was sent here (DNS rebinding). */
  readonly hosts: () => readonly string[];
}

/** Makes the handlers: `GET /` is the page, `GET /status.json` the same for programs. */
export function statusPage(options: StatusPageOptions): Hono {
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
  app.use(async (c, next) => {
    c.header("cache-control", "no-store");
    if (!options.hosts().includes(c.req.header("host") ?? "")) {
      return c.text("Ask by the listener's own address.", 421);
    }
    await next();
  });
  app.get("/", (c) => c.html(render(options.status())));
  app.get("/status.json", (c) => {
    const status = options.status();
    return c.json({ ...status, findings: findings(status) });
  });
  return app;
}

function render(status: GatewayStatus) {
  const found = findings(status);
  const worst = found.some(({ severity }) => severity === "alarm")
    ? "alarm"
    : found.length > 0
    ? "warning"
    : "good";
  const word = { good: "Well", warning: "Look at this", alarm: "Something is wrong" }[worst];
  const { activity } = status;
  // The title alone is seen in a row of tabs.
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="refresh" content="${REFRESH_SECONDS}">
        <title>${worst === "good" ? "" : `${word}: `}Gateway ${status.listen}</title>
        ${raw(STYLE_ELEMENT)}
      </head>
      <body>
        <header>
          <h1>Gateway ${status.listen}</h1>
          <p>
            ${status.phase} for ${span(status.now - status.startedAt)}, configuration ${status.config
              .generation} since ${timeOf(status.config.loadedAt)}
            (${status.config.routes} routes); looked at ${timeOf(status.now)}
          </p>
        </header>
        <div class="verdict ${worst}" role="status">
          <strong>${word}</strong>
          ${found.length === 0 ? "" : html`
            <ul>${found.map(({ severity, text }) =>
              html`
                <li><span class="${severity}">${severity}</span> ${text}</li>
              `
            )}</ul>
          `}
        </div>
        <dl class="figures">
          ${figure("Requests a second", number(activity.requestsPerSecond))}
          ${figure("Refused a second", number(activity.refusedPerSecond))}
          ${figure("Server errors a second", number(activity.faultsPerSecond))}
          ${figure("Latency p50 / p99", `${activity.p50Ms} / ${activity.p99Ms} ms`)}
          ${figure("In flight", number(status.inFlight))}
          ${figure("Connections", number(status.connections))}
          ${figure("Memory", bytes(status.memoryBytes))}
          ${figure("Requests in all", number(activity.totalRequests))}
        </dl>
        <main>
          ${section(
            "Upstreams",
            ["Pool", "Instance", "State"],
            status.upstreams.map(({ pool, instance, state }) =>
              html`
                <tr>
                  <td>${pool}</td>
                  <td><code>${instance}</code></td>
                  <td class="${state === "up"
                    ? "good"
                    : state === "down"
                    ? "alarm"
                    : "warning"}">${state}</td>
                </tr>
              `
            ),
          )} ${reasons("Blocked and shed requests", activity.refusals)} ${reasons(
            "Refused connections",
            activity.connectionRefusals,
          )} ${section(
            "Top talkers",
            ["Client", "#Requests", "#Refused", "#Sent"],
            activity.talkers.map((talker) =>
              html`
                <tr>
                  <td><code>${talker.identity}</code></td>
                  <td class="number">${talker.above > 0 ? "≤ " : ""}${number(talker.requests)}</td>
                  <td class="number">${number(talker.refused)}</td>
                  <td class="number">${bytes(talker.bytes)}</td>
                </tr>
              `
            ),
          )} ${section(
            "What leaves",
            ["Destination", "#Last window", "#Usual", "#Allowed", "#In all"],
            status.outbound.map((each) =>
              html`
                <tr>
                  <td><code>${each.destination}</code> ${each.alarmed
                    ? html`
                      <span class="alarm">too much</span>
                    `
                    : ""}</td>
                  <td class="number">${bytes(each.windowBytes)}</td>
                  <td class="number">${bytes(each.baselineBytes)}</td>
                  <td class="number">${bytes(each.allowedBytes)}</td>
                  <td class="number">${bytes(each.totalBytes)}</td>
                </tr>
              `
            ),
          )} ${section(
            "Certificates",
            ["Use", "Ends", "#Left"],
            status.certificates.map(({ use, notAfter }) =>
              html`
                <tr>
                  <td>${use}</td>
                  <td>${timeOf(notAfter)}</td>
                  <td class="number">${left(notAfter - status.now)}</td>
                </tr>
              `
            ),
          )} ${section(
            "Revocation lists",
            ["Authority", "#Entries", "Fresh until", "When stale"],
            status.revocation.map(({ authority, entries, freshUntil, whenStale }) =>
              html`
                <tr>
                  <td>${authority}</td>
                  <td class="number">${number(entries)}</td>
                  <td>${freshUntil === undefined
                    ? html`
                      <span class="alarm">no list</span>
                    `
                    : freshUntil < status.now
                    ? html`
                      <span class="alarm">stale since ${timeOf(freshUntil)}</span>
                    `
                    : timeOf(freshUntil)}</td>
                  <td>${whenStale}</td>
                </tr>
              `
            ),
          )}
        </main>
      </body>
    </html>
  `;
}

type Html = ReturnType<typeof html>;

function figure(name: string, value: string): Html {
  return html`
    <div>
      <dt>${name}</dt>
      <dd>${value}</dd>
    </div>
  `;
}

/** A table; a heading that begins with `#` is of numbers. */
function section(title: string, headings: readonly string[], rows: readonly Html[]): Html {
  if (rows.length === 0) {
    return html`
      <section>
        <h2>${title}</h2>
        <p class="none">None.</p>
      </section>
    `;
  }
  const heads = headings.map((heading) =>
    heading.startsWith("#")
      ? html`
        <th scope="col" class="number">${heading.slice(1)}</th>
      `
      : html`
        <th scope="col">${heading}</th>
      `
  );
  return html`
    <section>
      <h2>${title}</h2>
      <table>
        <thead>
          <tr>${heads}</tr>
        </thead>
        <tbody>${rows}</tbody>
      </table>
    </section>
  `;
}

function reasons(title: string, counts: readonly ReasonCount[]): Html {
  return section(
    title,
    ["Rule", "#Last minute", "#In all"],
    counts.slice(0, 15).map(({ reason, lastMinute, total }) =>
      html`
        <tr>
          <td>${reason}</td>
          <td class="number">${number(lastMinute)}</td>
          <td class="number">${number(total)}</td>
        </tr>
      `
    ),
  );
}

const number = (value: number) => value.toLocaleString("en-GB", { maximumFractionDigits: 2 });
const timeOf = (ms: number) =>
  Number.isFinite(ms) ? `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC` : "for ever";

function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toLocaleString("en-GB", { maximumFractionDigits: unit === 0 ? 0 : 1 })} ${units[unit]}`;
}

function span(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`;
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}

const left = (ms: number) => ms <= 0 ? "ended" : span(ms);
