/** `rk log show | follow | verify | prove | export`: reads a tamper-evident log, verifying all that it shows. */

import { Command, Option } from "commander";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { LogRequest } from "shared/log/command/request.ts";
import { OUTCOMES } from "shared/log/events.ts";
import { parseAddress } from "shared/transport/log_source/https.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runCollected, runForeground } from "../process/foreground.ts";
import { registerLogWitness } from "./log_witness.ts";

/** Options of every verb. */
interface LogOptions extends CommonOptions {
  vkey?: string[];
  witness?: string[];
  quorum?: string;
  origin?: string;
  trust?: string;
  ca?: string;
}

interface FilterOptions extends LogOptions {
  event?: string[];
  since?: string;
  actor?: string;
  subject?: string;
  ticket?: string;
  outcome?: string;
  severity?: string;
  pseudonymKey?: string;
}

interface VerifyOptions extends LogOptions {
  seen?: string[];
  maxAge?: string;
  proof?: string;
  entry?: string;
}

const several = (value: string, before: string[] = []) => [...before, value];
const LOG_ARGUMENT = "folder of the log, or the https address that serves it";

function withTrust(command: Command): Command {
  return command
    .option(
      "--vkey <key>",
      "verifier key of the log, <name>+<id>+<base64>; repeat it during a change of keys",
      several,
    )
    .option("--witness <key>", "verifier key of a witness; repeat it for each", several)
    .option("--quorum <number>", "how many witnesses must have cosigned (default: all that are named)")
    .option("--origin <name>", "origin of the log (default: the name in its key)")
    .option("--trust <file>", "origin, keys and quorum from a JSON file instead (docs/log.md)")
    .option("--ca <file>", "certificate authority of the log's server, PEM")
    .option("--json", "the last line is one JSON object");
}

function withFilter(command: Command): Command {
  return withTrust(command)
    .option("--event <name>", "only this event, or all of one writer: `gateway`; repeat it for more", several)
    .option("--since <time>", "only entries of this time or later: 2026-11-21T14:00:00Z")
    .option("--actor <pseudonym>", "only what this one did; `<kind>:<identifier>` with --pseudonym-key")
    .option("--subject <pseudonym>", "only what was done to this one; likewise")
    .option("--ticket <ticket>", "only entries of this ticket: OPS-1234")
    .addOption(new Option("--outcome <outcome>", "only entries that ended so").choices(OUTCOMES))
    .addOption(
      new Option("--severity <severity>", "at least this severity").choices(["info", "warning", "alarm"]),
    )
    .option("--pseudonym-key <file>", "the log's pseudonym key, to find an identifier");
}

/** Registers the commands. */
export function registerLog(program: Command): void {
  const log = program.command("log").description(
    "a tamper-evident log: read, follow, verify and prove it, off line from its files or from its address",
  );
  withFilter(
    log.command("show").description("show the newest entries that fit, oldest first").argument(
      "<log>",
      LOG_ARGUMENT,
    ),
  )
    .option("--last <number>", "how many at most", "20")
    .action(
      action(async (place: string, options: FilterOptions & { last: string }) =>
        await run({
          verb: "show",
          ...common(place, options),
          ...filter(options),
          last: count(options.last, "--last"),
        })
      ),
    );
  withFilter(
    log.command("follow").description("show entries as they come, until interrupted").argument(
      "<log>",
      LOG_ARGUMENT,
    ),
  )
    .option("--from <index>", "begin with this entry (default: with the next that comes)")
    .option("--interval <seconds>", "how often to look", "2")
    .action(
      action(async (place: string, options: FilterOptions & { from?: string; interval: string }) =>
        await run({
          verb: "follow",
          ...common(place, options),
          ...filter(options),
          ...(options.from === undefined ? {} : { from: count(options.from, "--from") }),
          intervalMs: Math.round(seconds(options.interval, "--interval") * 1000),
        })
      ),
    );
  withTrust(
    log.command("verify")
      .description(
        "verify signatures, every tile, the root and every entry; or with --proof a proof file alone",
      )
      .argument("[log]", LOG_ARGUMENT),
  )
    .option("--seen <file>", "a checkpoint of this log that was seen before; repeat it for more", several)
    .option("--max-age <seconds>", "how old the newest cosignature or entry may be")
    .option("--proof <file>", "verify this proof file (C2SP tlog-proof); no log is needed")
    .option("--entry <file>", "the entry that the proof must be about, when it does not carry it")
    .action(action(async (place: string | undefined, options: VerifyOptions) =>
      await run({
        verb: "verify",
        ...trust(options),
        ...(place === undefined ? {} : { log: located(place) }),
        seen: (options.seen ?? []).map(absolute),
        ...(options.maxAge === undefined
          ? {}
          : { maxAgeMs: Math.round(seconds(options.maxAge, "--max-age") * 1000) }),
        ...(options.proof === undefined ? {} : { proof: absolute(options.proof) }),
        ...(options.entry === undefined ? {} : { entry: absolute(options.entry) }),
      })
    ));
  withTrust(
    log.command("prove")
      .description("write a proof file (C2SP tlog-proof) that an entry is in the log")
      .argument("<log>", LOG_ARGUMENT)
      .argument("<index>", "the entry's number"),
  )
    .option("--output <file>", "write it there; without, to standard output")
    .action(
      action(async (place: string, index: string, options: LogOptions & { output?: string }) =>
        await prove({ verb: "prove", ...common(place, options), index: count(index, "the index") }, options)
      ),
    );
  withFilter(
    log.command("export").description("print every entry that fits as one JSON object a line").argument(
      "<log>",
      LOG_ARGUMENT,
    ),
  )
    .action(
      action(async (place: string, options: FilterOptions) =>
        await run({ verb: "export", ...common(place, options), ...filter(options) })
      ),
    );
  registerLogWitness(log);
}

function located(place: string): string {
  return /^https?:\/\//i.test(place) ? place : absolute(place);
}

function common(place: string, options: LogOptions) {
  return { log: located(place), ...trust(options) };
}

function trust(options: LogOptions) {
  const { vkey, witness, quorum, origin } = options;
  const inline = vkey !== undefined || witness !== undefined || quorum !== undefined || origin !== undefined;
  if (options.trust !== undefined && inline) {
    throw new CodedError(
      "LOG_OPTIONS",
      "Cannot use --trust together with --vkey, --witness, --quorum or --origin",
    );
  }
  return {
    json: options.json ?? false,
    ...(options.ca === undefined ? {} : { authority: absolute(options.ca) }),
    ...(options.trust === undefined ? {} : { trustFile: absolute(options.trust) }),
    ...(vkey === undefined ? {} : {
      trust: {
        log: vkey,
        witnesses: witness ?? [],
        quorum: quorum === undefined ? witness?.length ?? 0 : count(quorum, "--quorum"),
        ...(origin === undefined ? {} : { origin }),
      },
    }),
  };
}

function filter(options: FilterOptions) {
  const { event, since, actor, subject, ticket, outcome, severity, pseudonymKey } = options;
  const filter = { events: event, since, actor, subject, ticket, outcome, severity };
  return {
    // The process checks them: their tables are there.
    filter: Object.fromEntries(
      Object.entries(filter).filter(([, value]) => value !== undefined),
    ) as Extract<LogRequest, { verb: "show" }>["filter"],
    ...(pseudonymKey === undefined ? {} : { pseudonymKey: absolute(pseudonymKey) }),
  };
}

function count(text: string, what: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new CodedError("LOG_OPTIONS", `Cannot use ${what}: it is no number`);
  return Number(text);
}

function seconds(text: string, what: string): number {
  if (!/^[0-9]{1,9}(\.[0-9]{1,3})?$/.test(text)) {
    throw new CodedError("LOG_OPTIONS", `Cannot use ${what}: it is no number of seconds`);
  }
  return Number(text);
}

/** The process of a request, with leave to read what the request names, to reach the address that it names, and nothing else. */
export function logSpec(request: LogRequest): Omit<ChildSpec, "logFile"> {
  const address = request.log !== undefined && /^https?:\/\//i.test(request.log)
    ? parseAddress(request.log)
    : undefined;
  const files = [
    ...(address === undefined && request.log !== undefined ? [request.log] : []),
    request.trustFile,
    request.authority,
    ...(request.verb === "verify" ? [request.proof, request.entry, ...request.seen] : []),
    ..."pseudonymKey" in request ? [request.pseudonymKey] : [],
  ].filter((path) => path !== undefined);
  return {
    name: "log",
    module: "shared/log/command/main.ts",
    permissions: address === undefined ? "log-reader" : "log-reader-https",
    substitution: {
      ".rk/log": files,
      ...(address === undefined ? {} : { "127.0.0.1:8495": authorityOf(address) }),
    },
    args: [JSON.stringify(request)],
  };
}

function authorityOf({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
}

async function run(request: LogRequest): Promise<number> {
  return await runForeground(logSpec(request));
}

/** The process may write nothing, so this command writes the file. */
async function prove(
  request: Extract<LogRequest, { verb: "prove" }>,
  options: LogOptions & { output?: string },
): Promise<number> {
  if (options.output === undefined) return await run(request);
  const { code, output, errors } = await runCollected(logSpec({ ...request, json: false }));
  if (code !== 0) {
    await new Blob([errors]).stream().pipeTo(Deno.stderr.writable, { preventClose: true });
    return code;
  }
  const path = absolute(options.output);
  await Deno.writeTextFile(path, output);
  say(options, `proof of entry ${request.index} in ${path}`);
  result(options, { index: request.index, file: path });
  return 0;
}

defineErrors({
  LOG_OPTIONS: { fault: "usage", retry: false, next: "`rk help log <verb>` explains the options." },
});
