/**
 * The enrolment's processes:
 *
 *     enrol_main.ts serve --config FILE     EST; SIGHUP reloads, SIGTERM ends
 *     enrol_main.ts init --config FILE      key in the token, certificate of the authority
 *     enrol_main.ts revoke --config FILE (--serial HEX | --identity URI) [--reason TEXT]
 *     enrol_main.ts issued --config FILE [--identity URI]
 *
 * The last line on standard output is one JSON object; logs go to standard error.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { certificatePem } from "shared/protocol/x509/authority.ts";
import { normalSerial } from "shared/protocol/x509/serial_number.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { foundAuthority } from "../service/enrolment_issuer.ts";
import "../transport/enrolment_errors.ts";
import { besideConfig, readConfig } from "./config_file.ts";
import { EnrolConfig } from "./enrol_config.ts";
import { startEnrolment } from "./enrol.ts";
import { openEnrolParts, openEnrolToken } from "./enrol_parts.ts";

const AUTHORITY_DAYS = 3650;
const REASON_LIMIT = 200;

interface Arguments {
  readonly config: string;
  readonly serial?: string;
  readonly identity?: string;
  readonly reason?: string;
}

const VERBS: Readonly<Record<string, (args: Arguments) => Promise<object>>> = {
  serve: async ({ config: path }) => {
    const { log } = await readConfig(path, EnrolConfig);
    const logger = createLogger("enrolment", { level: log.level });
    const running = await startEnrolment(path, logger);
    console.log(JSON.stringify({ ready: true, listen: running.listen, publication: running.publication }));
    await new Promise<void>((resolve) => {
      Deno.addSignalListener("SIGTERM", () => resolve());
      Deno.addSignalListener("SIGINT", () => resolve());
      Deno.addSignalListener("SIGHUP", () => {
        running.reload().catch((error) => logger.error("reload-refused", { code: codeOf(error), error }));
      });
    });
    await running.stop();
    return { stopped: true };
  },
  init: async ({ config: path }) => {
    const config = await readConfig(path, EnrolConfig);
    const hsm = await openEnrolToken(path, config.hsm, createLogger("enrolment"));
    try {
      const { label, name } = config.issuer;
      const certificate = await foundAuthority(
        hsm,
        { label, name, now: SYSTEM_CLOCK.now(), days: AUTHORITY_DAYS },
        SYSTEM_RANDOM,
      );
      const file = besideConfig(path, config.issuer.certificate);
      try {
        // Never over one that is there: gateways trust it.
        await Deno.writeTextFile(file, certificatePem(certificate), { createNew: true });
      } catch (error) {
        throw new CodedError("ENROL_ISSUER", `Cannot write ${file}: ${(error as Error).name}`);
      }
      return {
        certificate: file,
        subject: certificate.subject,
        notAfter: certificate.notAfter.toISOString(),
      };
    } finally {
      await hsm.close();
    }
  },
  revoke: async ({ config: path, serial, identity, reason = "unspecified" }) => {
    if ((serial === undefined) === (identity === undefined)) {
      throw new CodedError("ENROL_USAGE", "Cannot revoke: give --serial or --identity");
    }
    const config = await readConfig(path, EnrolConfig);
    await using parts = await openEnrolParts(path, config, createLogger("enrolment", { level: "warning" }));
    const { store } = parts.issuer.parts;
    const what = serial === undefined
      ? { identity: identity! }
      : { serial: normalSerial(serial.replaceAll(":", "")) };
    const revoked = await store.revoke(what, reason.slice(0, REASON_LIMIT));
    if (revoked.length === 0) {
      throw new CodedError(
        "ENROL_NOTHING",
        "Cannot revoke: no certificate of that name is there that is not revoked",
      );
    }
    const list = await parts.issuer.currentList();
    return { revoked, list: String(list.number) };
  },
  issued: async ({ config: path, identity }) => {
    const config = await readConfig(path, EnrolConfig);
    await using parts = await openEnrolParts(path, config, createLogger("enrolment", { level: "warning" }));
    return { certificates: await parts.issuer.parts.store.issued(identity) };
  },
};

function readArguments(
  args: readonly string[],
): { run: (args: Arguments) => Promise<object>; values: Arguments } {
  const [verb = "", ...rest] = args;
  const run = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      args: rest,
      options: { config: text, serial: text, identity: text, reason: text },
      strict: true,
    });
    if (run !== undefined && values.config !== undefined) {
      return { run, values: { ...values, config: values.config } };
    }
  } catch {
    // Told below.
  }
  throw new CodedError(
    "ENROL_USAGE",
    `Cannot read the arguments: ${Object.keys(VERBS).join(", ")} and --config FILE`,
  );
}

/** Runs one verb; resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const { run, values } = readArguments(args);
    console.log(JSON.stringify(await run(values)));
    return EXIT_CODES.ok;
  } catch (error) {
    const code = codeOf(error);
    const { fault, next } = errorRow(code);
    console.error(`${code}: ${error instanceof Error ? error.message : "unknown fault"}\n${next}`);
    return EXIT_CODES[fault];
  }
}

// At once: a token's library may crash while it unloads.
if (import.meta.main) Deno.exit(await main(Deno.args));
