/**
 * The wallet's process.
 *
 *     wallet_main.ts genuine-check --reader NAME --trust FILE [--json] [--virtual-readers HOST:PORT]
 *
 * Exit code 0: the card is genuine. 5: it is not, or it cannot be read; `code` tells which. 2, 3, 7: usage, trust file,
 * PC/SC. With --json the last line is one object, `genuine` true or false.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, defineErrors, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import type { ReaderService } from "shared/transport/card_channel.ts";
import { openPcsc } from "shared/transport/pcsc/service.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openVirtualReaders } from "shared/transport/virtual_reader/service.ts";
import { genuineCheck } from "../wallet/genuine_check.ts";
import { readTrustFile, wipeTrust } from "../wallet/trust.ts";
import "shared/transport/card_channel.ts";

/** Options of `rk wallet genuine-check`. */
export interface GenuineCheckCommand {
  readonly reader: string;
  /** Trust file; see device/wallet/trust.ts. */
  readonly trust: string;
  readonly json?: boolean;
  /** `host:port`: a virtual reader, named as `reader`, instead of PC/SC. */
  readonly virtualReaders?: string;
}

/** Errors that say that the card is not genuine; others say that it could not be found out. */
const NOT_GENUINE = /^(MUTUAL_|CERTIFICATE_|WALLET_(NOT_ATTESTED|OTHER_TARGET|STATUS|NO_APPLET)|RK_)/;

const LIFE_CYCLE_WORDS: Readonly<Record<number, string>> = { 2: "attested, not in use yet", 3: "in use" };

async function openReaders(options: GenuineCheckCommand): Promise<ReaderService> {
  if (options.virtualReaders === undefined) return await openPcsc();
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(options.virtualReaders) ?? [];
  if (host === undefined) throw new CodedError("WALLET_USAGE", "Cannot open virtual reader: give HOST:PORT");
  return await openVirtualReaders({ host, readers: [{ name: options.reader, port: Number(port) }] });
}

/** The reader of this name, or the only one whose name holds it. */
async function findReader(service: ReaderService, name: string): Promise<string> {
  const connected = await service.readers();
  if (connected.includes(name)) return name;
  const alike = connected.filter((reader) => reader.toLowerCase().includes(name.toLowerCase()));
  if (alike.length === 1) return alike[0]!;
  throw new CodedError(
    "READER_UNKNOWN",
    `Cannot use reader ${name}: connected are ${connected.join(", ") || "none"}`,
  );
}

/** Waits until a card lies on the reader; `connect` says so when none came. */
async function waitForCard(service: ReaderService, reader: string): Promise<void> {
  const found = new AbortController();
  const timer = setTimeout(() => found.abort(), CARD_WAIT_MS);
  try {
    for await (const event of service.watch(found.signal)) {
      if (event.kind === "card-inserted" && event.reader === reader) return;
    }
  } finally {
    clearTimeout(timer);
    found.abort();
  }
}

const CARD_WAIT_MS = 10_000;

/** Checks the card on a reader and tells. @returns exit code, see the module's comment. */
export async function runGenuineCheckCommand(
  options: GenuineCheckCommand,
  { write }: { readonly write: (line: string) => void },
): Promise<number> {
  const trust = readTrustFile(options.trust);
  try {
    const service = await openReaders(options);
    try {
      const reader = await findReader(service, options.reader);
      await waitForCard(service, reader);
      const channel = await service.connect(reader);
      try {
        const card = await genuineCheck({ channel, trust, random: SYSTEM_RANDOM });
        if (options.json) write(JSON.stringify(card));
        else {
          write(
            `GENUINE. Serial ${card.serial}, applet ${card.version}, ${LIFE_CYCLE_WORDS[card.lifeCycle]}.`,
          );
          write(`Certificate ${card.certificateSha256}. ${card.apdus} APDUs, ${card.milliseconds} ms.`);
        }
        return EXIT_CODES.ok;
      } finally {
        await channel.close();
      }
    } finally {
      await service.close();
    }
  } finally {
    wipeTrust(trust);
  }
}

/** Runs a command line and returns the exit code; failures are told on standard error, and as JSON with `--json`. */
export async function main(args: readonly string[]): Promise<number> {
  let json = false;
  const write = (line: string) => console.log(line);
  try {
    let parsed;
    try {
      parsed = parseArgs({
        args: [...args],
        allowPositionals: true,
        options: {
          reader: { type: "string" },
          trust: { type: "string" },
          json: { type: "boolean" },
          "virtual-readers": { type: "string" },
        },
      });
    } catch (error) {
      throw new CodedError("WALLET_USAGE", `Cannot run: ${(error as Error).message}`);
    }
    const { values, positionals } = parsed;
    json = values.json ?? false;
    if (positionals.join() !== "genuine-check" || values.reader === undefined || values.trust === undefined) {
      throw new CodedError("WALLET_USAGE", "Cannot run: give genuine-check, --reader and --trust");
    }
    const virtual = values["virtual-readers"];
    return await runGenuineCheckCommand({
      reader: values.reader,
      trust: values.trust,
      json,
      ...(virtual === undefined ? {} : { virtualReaders: virtual }),
    }, { write });
  } catch (error) {
    return explain(error, json, write);
  }
}

function explain(error: unknown, json: boolean, write: (line: string) => void): number {
  const code = codeOf(error);
  const { fault, next } = errorRow(code);
  const message = error instanceof Error ? error.message : String(error);
  const exitCode = EXIT_CODES[fault];
  if (NOT_GENUINE.test(code)) console.error(`NOT GENUINE: ${message}\n    ${next}`);
  else console.error(`wallet: ${message}\n    ${next}`);
  if (json) write(JSON.stringify({ genuine: false, code, message, next, exitCode }));
  return exitCode;
}

defineErrors({
  WALLET_USAGE: { fault: "usage", retry: false, next: "`rk help wallet` tells what the options take." },
});

// Native libraries keep threads that would hold the process open.
if (import.meta.main) Deno.exit(await main(Deno.args));
