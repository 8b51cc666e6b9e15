/** The table of events against what the processes say, and against the page that shows it. */

import assert from "node:assert/strict";
import { REPOSITORY } from "cli/home.ts";
import { ENROLMENT_REFUSALS } from "gateway/domain/enrolment.ts";
import { REFUSALS } from "gateway/domain/refusals.ts";
import { EVENT_NAMES, eventRow, EVENTS, LINES_WITHOUT_EVENT } from "shared/log/events.ts";
import { RECOVER_LINES_WITHOUT_EVENT } from "shared/log/recover_events.ts";
import { eventTable } from "shared/log/event_table.ts";
import {
  CERTIFICATE_REASONS,
  CONNECTION_REASONS,
  ENROLMENT_REASONS,
  REQUEST_REASONS,
} from "shared/log/reasons.ts";

async function* sources(folder: string): AsyncGenerator<{ path: string; text: string }> {
  for await (const entry of Deno.readDir(`${REPOSITORY}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sources(path);
    else if (path.endsWith(".ts") && !path.endsWith("_test.ts")) {
      yield { path, text: await Deno.readTextFile(`${REPOSITORY}/${path}`) };
    }
  }
}

/** Every name in the first argument of a log call; both of `condition ? "a" : "b"`. */
function linesOf(text: string): string[] {
  const calls = text.matchAll(/\b(?:log|logger)(?:\.(?:info|warning|error)|\[level\])\(([^,)]*)/g);
  return [...calls].flatMap(([, first]) => [...first!.matchAll(/"([^"]+)"/g)].map(([, name]) => name!));
}

async function linesIn(...folders: string[]): Promise<Set<string>> {
  const lines = new Set<string>();
  for (const folder of folders) {
    for await (const { text } of sources(folder)) for (const line of linesOf(text)) lines.add(line);
  }
  return lines;
}

/** What every service with a listener and a log says through code that they share. */
const SHARED = ["shared/base/run_main.ts", "shared/service/tls_files.ts"];

async function linesOfService(folder: string): Promise<Set<string>> {
  const lines = await linesIn(folder);
  for (const path of SHARED) {
    for (const line of linesOf(await Deno.readTextFile(`${REPOSITORY}/${path}`))) lines.add(line);
  }
  return lines;
}

function linesOfWriter(writer: string): Set<string> {
  return new Set(
    EVENT_NAMES.map(eventRow).filter((row) => row.writer === writer).flatMap(({ line }) => line),
  );
}

Deno.test("linesOf() sees a log call that the table does not know", () => {
  assert.deepEqual(linesOf('front.log.warning("planted.fault", { a });'), ["planted.fault"]);
  assert.deepEqual(linesOf('log.info(isNew ? "one" : "two", {'), ["one", "two"]);
});

Deno.test("every line that the gateway logs is an event of the log, and every event of its a line", async () => {
  assert.deepEqual([...await linesIn("gateway")].sort(), [...linesOfWriter("gateway")].sort());
});

Deno.test("every line that the factory's services log is an event of the log, and the other way", async () => {
  const known = new Set([...linesOfWriter("attestation"), ...linesOfWriter("update")]);
  assert.deepEqual([...await linesOfService("factory")].sort(), [...known].sort());
});

Deno.test("every line of providers and orchestrator is an event of the log, or says why not", async () => {
  for (const [folder, writer] of [["providers", "provider"], ["orchestrator", "orchestrator"]] as const) {
    const known = linesOfWriter(writer);
    const told = await linesOfService(folder);
    const without = new Set(Object.keys(RECOVER_LINES_WITHOUT_EVENT));
    assert.deepEqual([...told].filter((line) => !known.has(line) && !without.has(line)), [], folder);
    assert.deepEqual([...known].filter((line) => !told.has(line)), [], folder);
    // A line that has an event needs no excuse.
    assert.deepEqual([...known].filter((line) => without.has(line)), [], folder);
  }
  const all = new Set([...await linesOfService("providers"), ...await linesIn("orchestrator")]);
  assert.deepEqual(Object.keys(RECOVER_LINES_WITHOUT_EVENT).filter((line) => !all.has(line)), []);
});

Deno.test("every event that a station tells is an event of the log, or says why not", async () => {
  const text = await Deno.readTextFile(`${REPOSITORY}/factory/service/station/events.ts`);
  const members = [...text.matchAll(/readonly event: ([^;}]+)/g)];
  const told = members.flatMap(([, names]) => [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => name!));
  const known = [...linesOfWriter("station"), ...Object.keys(LINES_WITHOUT_EVENT)];
  assert.deepEqual([...new Set(told)].sort(), known.sort());
});

Deno.test("the reasons of the gateway are those of its own tables", async () => {
  const own = new Set<string>(Object.keys(REFUSALS));
  // A client that went away and an answer that broke off are no refusals, and are told apart in the log.
  assert.deepEqual(REQUEST_REASONS.filter((reason) => !own.has(reason)), [
    "client-gone",
    "upstream-cut",
    "upstream-answer-too-large",
  ]);
  assert.deepEqual([...own].filter((reason) => !(REQUEST_REASONS as readonly string[]).includes(reason)), []);
  assert.deepEqual([...ENROLMENT_REASONS], Object.keys(ENROLMENT_REFUSALS));
  const verification = await Deno.readTextFile(`${REPOSITORY}/shared/protocol/x509/verification.ts`);
  const declared = /type CertificateRefusal =([^;]+);/.exec(verification)![1]!;
  assert.deepEqual([...declared.matchAll(/"([^"]+)"/g)].map(([, name]) => name), [...CERTIFICATE_REASONS]);
  for (const [file, type] of [["connections", "AcceptRefusal"], ["door", "DoorRefusal"]]) {
    const text = await Deno.readTextFile(`${REPOSITORY}/gateway/service/${file}.ts`);
    const names = [...new RegExp(`type ${type} =([^;]+);`).exec(text)![1]!.matchAll(/"([^"]+)"/g)];
    assert.ok(names.length > 0, type);
    for (const [, name] of names) {
      assert.ok((CONNECTION_REASONS as readonly string[]).includes(name!), name);
    }
  }
});

Deno.test("names say who writes, and are written once", () => {
  for (const name of EVENT_NAMES) {
    assert.match(name, /^[a-z]+\.[a-z]+(-[a-z]+)*$/);
    assert.equal(name.split(".")[0], EVENTS[name].writer);
  }
});

Deno.test("docs/log.md shows the table as it is", async () => {
  const page = await Deno.readTextFile(`${REPOSITORY}/docs/log.md`);
  assert.ok(page.includes(eventTable()), `docs/log.md should contain:\n${eventTable()}`);
});
