/**
 * `rk wallet recover`: the companion as a process.
 *
 *     recover_companion_main.ts backup|restore|delete --config FILE --device HOST:PORT [--identity FILE | --backup ID] [--avoid N] [--json]
 *
 * Progress goes to standard error. When an identity verification is asked, the address of the verifier's page is shown, and the
 * result (one line, sealed to the provider) is read from standard input. With --json every step is a line on standard output:
 * `{"event":"verify",...}` is the one that waits for input. The last line is `{"done":FLOW,"backupId":...}`, or `error`.
 *
 * Exit code 0: done. 2: usage. 3: a file is wrong. 4: the device, its owner, a provider or the service said no. 6: not reached.
 */

import { parseArgs } from "node:util";
import { z } from "zod";
import { CodedError, defineErrors, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { RecoverIdentity } from "shared/protocol/wire/recover.ts";
import {
  CompanionFlow,
  CreateRecoverSession,
  RecoverSessionAnswer,
  type RecoverStep,
  VERIFICATION_MAX,
} from "shared/protocol/wire/recover_session.ts";
import { JsonOverHttps } from "shared/service/https_json.ts";
import { ApduClient } from "../recover/apdu_client.ts";
import { type OrchestratorPort, runSession, type VerifyStep } from "../recover/companion.ts";
import { readCompanionConfig } from "./recover_companion_config.ts";

const SESSIONS = "/v1/recover/sessions";
const BACKUP_ID = /^[0-9A-Fa-f]{32}$/;

interface Options {
  readonly request: CreateRecoverSession;
  readonly config: string;
  readonly device: { hostname: string; port: number };
  readonly json: boolean;
}

function usage(why: string): CodedError {
  return new CodedError("COMPANION_USAGE", `Cannot recover: ${why}`);
}

function readOptions(args: readonly string[]): Options {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string" },
        device: { type: "string" },
        identity: { type: "string" },
        backup: { type: "string" },
        avoid: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw usage((error as Error).message);
  }
  const { values: { config, device, identity, backup, avoid, json }, positionals } = parsed;
  const flow = CompanionFlow.safeParse(positionals[0]).data;
  if (flow === undefined || positionals.length !== 1) throw usage("give one of backup, restore, delete");
  if (config === undefined || device === undefined) throw usage("give --config and --device");
  const [, hostname, port] = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(device) ?? [];
  if (hostname === undefined || Number(port) > 65535) throw usage("--device takes HOST:PORT on loopback");
  return {
    request: requestOf(flow, identity, backup, avoid),
    config,
    device: { hostname: hostname.replace(/[[\]]/g, ""), port: Number(port) },
    json,
  };
}

function requestOf(
  flow: CompanionFlow,
  identity?: string,
  backup?: string,
  avoid?: string,
): CreateRecoverSession {
  if (avoid !== undefined && (flow !== "restore" || !/^[123]$/.test(avoid))) {
    throw usage("--avoid takes 1, 2 or 3, in a restore");
  }
  const session = crypto.randomUUID();
  if (flow === "backup") {
    if (identity === undefined || backup !== undefined) {
      throw usage("a backup takes --identity FILE, and no --backup");
    }
    return { session, flow, identity: readIdentity(identity) };
  }
  if (identity !== undefined || !BACKUP_ID.test(backup ?? "")) {
    throw usage(`to ${flow}, give --backup with the 32 hexadecimal digits that the backup told`);
  }
  const request = { session, backupId: backup!.toUpperCase() };
  if (flow === "delete") return { ...request, flow };
  return { ...request, flow, ...(avoid === undefined ? {} : { avoid: Number(avoid) }) };
}

function readIdentity(path: string): RecoverIdentity {
  try {
    return RecoverIdentity.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch (error) {
    // Only names of fields: what they hold is a person's.
    const fields = error instanceof z.ZodError
      ? error.issues.map((issue) => issue.path.join(".")).join(", ")
      : "";
    const why = fields ? `wrong ${fields}` : "it is missing, closed to us, or no JSON";
    throw new CodedError("COMPANION_IDENTITY", `Cannot use identity ${path}: ${why}`);
  }
}

/** The orchestrator over HTTPS, through the gateways. */
export function orchestratorOver(http: JsonOverHttps): OrchestratorPort {
  const call = (method: "POST" | "DELETE", path: string, idempotencyKey: string, body?: unknown) =>
    http.call(
      { method, path, idempotencyKey, ...(body === undefined ? {} : { body }) },
      RecoverSessionAnswer,
    );
  return {
    create: (request) => call("POST", SESSIONS, request.session, request),
    apdus: (session, answers) =>
      call("POST", `${SESSIONS}/${session}/apdus`, `${session}-${answers.batch}`, answers),
    verification: (session, result) =>
      call("POST", `${SESSIONS}/${session}/verifications`, `${session}-${result.batch}`, result),
    giveUp: (session) => call("DELETE", `${SESSIONS}/${session}`, `${session}-end`),
  };
}

/** What each phase is to the person. */
const PHASE_TEXTS: Readonly<Record<string, string>> = {
  greeting: "The device begins a session.",
  introducing: "Device and service show each other their certificates.",
  sharing: "Confirm on the device who you are; it gives this provider its share.",
  proving: "The provider proves that it holds the share.",
  binding: "Confirm on the device.",
  "greeting-again": "The device begins the second half, with new channels.",
  "introducing-again": "Device and service show each other their certificates again.",
  "binding-again": "Confirm on the device.",
  restoring: "The device takes this provider's share.",
  signing: "The device signs that this provider shall delete its share.",
};

/** The verifier's page for this question. */
function pageOf({ verifier, nonce }: VerifyStep): string {
  const page = new URL(verifier);
  page.searchParams.set("nonce", nonce);
  return page.href;
}

function progressOf(json: boolean) {
  return (step: RecoverStep, batch: number) => {
    if (step.kind === "verify") {
      const code = step.securityCode ? " Have the four digits ready that the device shows." : "";
      console.error(
        `${batch}. ${step.provider} wants to know who you are.${code}\n    Open ${pageOf(step)}\n` +
          "    and give the result here, as one line:",
      );
      if (json) console.log(JSON.stringify({ event: "verify", batch, ...step }));
      return;
    }
    if (step.kind !== "apdus") return;
    const { phase, provider } = step;
    console.error(`${batch}. ${provider === null ? "" : `${provider}: `}${PHASE_TEXTS[phase] ?? phase}`);
    if (json) console.log(JSON.stringify({ event: "step", batch, phase, provider }));
  };
}

/** Lines of standard input, one for each verification. */
function lineReader(): () => Promise<string> {
  const reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  return async () => {
    for (;;) {
      const end = rest.indexOf("\n");
      if (end >= 0) {
        const line = rest.slice(0, end).trim();
        rest = rest.slice(end + 1);
        if (line !== "") return line;
        continue;
      }
      const { value, done } = await reader.read();
      if (done || rest.length > VERIFICATION_MAX) {
        throw new CodedError("COMPANION_VERIFICATION", "Cannot go on: no verification result was given");
      }
      rest += value;
    }
  };
}

async function recover({ request, config, device, json }: Options): Promise<void> {
  const { gateways, tls } = readCompanionConfig(config);
  const http = new JsonOverHttps({
    what: "the Recover service",
    servers: gateways,
    tls: { ca: readFile(tls.authority), cert: readFile(tls.certificate), key: readFile(tls.key) },
  });
  try {
    using client = await ApduClient.connect(device);
    let nextLine: (() => Promise<string>) | undefined;
    const { backupId } = await runSession({
      orchestrator: orchestratorOver(http),
      device: (apdu) => client.exchange(apdu),
      verify: (_step: VerifyStep) => (nextLine ??= lineReader())(),
      progress: progressOf(json),
    }, request);
    console.error(
      request.flow === "backup"
        ? `Done. Keep this number; a restore asks for it: ${backupId}`
        : `Done: ${request.flow} of backup ${backupId}`,
    );
    if (json) console.log(JSON.stringify({ done: request.flow, backupId }));
  } finally {
    http.close();
  }
}

function readFile(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    throw new CodedError("COMPANION_CONFIG", `Cannot read ${path}: it is missing or closed to us`);
  }
}

/** Runs the process. @returns exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await recover(readOptions(args));
    return EXIT_CODES.ok;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    // A code of the service is no row of this program's tables: its advice came along.
    const isService = error.details.fromService === true;
    const fault = isService ? "peer" : errorRow(error.code).fault;
    const next = typeof error.details.next === "string" ? error.details.next : errorRow(error.code).next;
    const code = typeof error.details.code === "string" ? error.details.code : error.code;
    console.error(`recover: ${error.message}\n    ${next}`);
    if (args.includes("--json")) {
      console.log(JSON.stringify({ error: { code, message: error.message, next } }));
    }
    return EXIT_CODES[fault];
  }
}

defineErrors({
  COMPANION_USAGE: {
    fault: "usage",
    retry: false,
    next: "`rk help wallet recover` tells what the options take.",
  },
  COMPANION_IDENTITY: {
    fault: "configuration",
    retry: false,
    next:
      "Give a JSON file with backupName, firstName, lastName, dateOfBirth and placeOfBirth: at most 195 bytes together.",
  },
  COMPANION_VERIFICATION: {
    fault: "usage",
    retry: false,
    next:
      "Give each provider's verification result as one line on standard input, in the order in which they are asked.",
  },
});

if (import.meta.main) Deno.exit(await main(Deno.args));
