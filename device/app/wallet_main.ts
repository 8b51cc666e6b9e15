/**
 * The wallet's process.
 *
 *     wallet_main.ts genuine-check --reader NAME --trust FILE [--revocations FILE|URL --revocations-memory FOLDER]
 *     wallet_main.ts setup|status|words|erase --state FILE
 *     wallet_main.ts identify|backup|restore|manage --state FILE --reader NAME --trust FILE
 *     wallet_main.ts serve --state FILE [--listen unix:PATH|HOST:PORT] [--reader NAME --trust FILE]
 *
 * Common: [--json] [--virtual-readers HOST:PORT] [--wait SECONDS] [--secrets-stdin] [--confirm WORD]..., see wallet_options.ts.
 *
 * Exit code 0: it did what it says. 5: the card is not genuine, in a wrong state, left, or refused; `code` tells which. 2: usage,
 * the wallet's own PIN or state, a missing answer. 3: trust file or wallet file. 6: another process holds the wallet. 7: PC/SC,
 * disk. With --json the last line is one object; genuine-check: `genuine` true or false, the others: `done` true or false.
 */

import { CodedError, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { genuineCheck } from "../wallet/genuine_check.ts";
import type { Person } from "../wallet/person.ts";
import { readTrustFile, wipeTrust } from "../wallet/trust.ts";
import { Wallet } from "../wallet/wallet.ts";
import { fileWalletStore } from "../wallet/wallet_store.ts";
import { WALLET_RUNS, type WalletOutput } from "./wallet_commands.ts";
import { readRevocations, type RevocationSource } from "./wallet_revocations.ts";
import { readWalletOptions, type WalletOptions } from "./wallet_options.ts";
import { openReader } from "./wallet_readers.ts";
import { failure } from "./wallet_results.ts";
import { type GivenSecrets, readSecrets, scriptPerson, wipeSecrets } from "./wallet_secrets.ts";
import { serveWallet } from "./wallet_serve.ts";
import { terminalPerson, withQuietTerminal, writeError } from "./wallet_terminal.ts";
import { LIFE_CYCLE_WORDS } from "./wallet_words.ts";
import "./wallet_errors.ts";
import "shared/transport/card_channel.ts";

/** Options of `rk wallet genuine-check`. */
export interface GenuineCheckCommand {
  readonly reader: string;
  /** Trust file; see device/wallet/trust.ts. */
  readonly trust: string;
  readonly json?: boolean;
  /** `host:port`: a virtual reader, named as `reader`, instead of PC/SC. */
  readonly virtualReaders?: string;
  /** Longest wait for a card, in milliseconds. */
  readonly waitMs?: number;
  /** The list of revoked certificates; none is looked at otherwise. */
  readonly revocations?: RevocationSource;
}

/** Errors that say that the card is not genuine; others say that it could not be found out. */
const NOT_GENUINE = /^(MUTUAL_|CERTIFICATE_|WALLET_(NOT_ATTESTED|OTHER_TARGET|STATUS|NO_APPLET|REVOKED)|RK_)/;

const CARD_WAIT_MS = 10_000;

/** Checks the card on a reader and tells. @returns exit code, see the module's comment. */
export async function runGenuineCheckCommand(
  options: GenuineCheckCommand,
  { write }: { readonly write: (line: string) => void },
): Promise<number> {
  const trust = readTrustFile(options.trust);
  try {
    const now = Math.floor(Date.now() / 1000);
    const revocations = options.revocations === undefined
      ? undefined
      : await readRevocations(options.revocations, trust.issuerPublicKey, now);
    const reader = await openReader(options);
    try {
      const channel = await reader.connect(options.waitMs ?? CARD_WAIT_MS);
      try {
        const card = await genuineCheck({
          channel,
          trust,
          random: SYSTEM_RANDOM,
          ...(revocations === undefined ? {} : { revocations }),
        });
        if (options.json) write(JSON.stringify(card));
        else {
          write(
            `GENUINE. Serial ${card.serial}, applet ${card.version}, ${LIFE_CYCLE_WORDS[card.lifeCycle]}.`,
          );
          if (card.packageHash !== undefined) {
            write(`It claims to run the package with SHA-256 ${card.packageHash}.`);
          }
          if (revocations !== undefined) {
            write(`Not among the ${revocations.revoked.length} of revocation list ${revocations.number}.`);
          }
          write(`Certificate ${card.certificateSha256}. ${card.apdus} APDUs, ${card.milliseconds} ms.`);
        }
        return EXIT_CODES.ok;
      } finally {
        await channel.close();
      }
    } finally {
      await reader.close();
    }
  } finally {
    wipeTrust(trust);
  }
}

/** Runs a command line and returns the exit code; failures are told on standard error, and as JSON with `--json`. */
export async function main(args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  const write = (line: string) => console.log(line);
  let command = args[0] ?? "";
  try {
    const options = readWalletOptions(args);
    command = options.command;
    if (command === "genuine-check") {
      const { reader, trust, virtualReaders, waitMs, revocations } = options;
      return await runGenuineCheckCommand({
        reader: reader!,
        trust: trust!,
        json,
        waitMs,
        ...(virtualReaders === undefined ? {} : { virtualReaders }),
        ...(revocations === undefined ? {} : { revocations }),
      }, { write });
    }
    const wallet = new Wallet(fileWalletStore(options.state!), SYSTEM_RANDOM);
    try {
      if (command === "serve") return await serveWallet(options, wallet, write);
      return await withPerson(
        options,
        (person) => WALLET_RUNS[command]!(options, wallet, person, outputOf(json, write)),
      );
    } finally {
      wallet.close();
    }
  } catch (error) {
    return explain(error, command, json, write);
  }
}

/** The person: a script when secrets are given or nobody is at a terminal. */
async function withPerson<T>(options: WalletOptions, work: (person: Person) => Promise<T>): Promise<T> {
  const { confirmed } = options;
  if (options.secretsGiven && Deno.stdin.isTerminal()) {
    throw new CodedError(
      "WALLET_USAGE",
      "Cannot read secrets: the descriptor is a terminal, which would show them",
    );
  }
  if (!options.secretsGiven && Deno.stdin.isTerminal()) {
    const interrupted = () => {
      Deno.stdin.setRaw(false);
      writeError("\nwallet: Stopped.\n");
      Deno.exit(EXIT_CODES[errorRow("WALLET_CANCELLED").fault]);
    };
    Deno.addSignalListener("SIGINT", interrupted);
    Deno.addSignalListener("SIGTERM", interrupted);
    try {
      return await withQuietTerminal(
        Deno.stdin,
        () => work(terminalPerson(Deno.stdin, writeError, confirmed)),
      );
    } finally {
      Deno.removeSignalListener("SIGINT", interrupted);
      Deno.removeSignalListener("SIGTERM", interrupted);
    }
  }
  let given: GivenSecrets | undefined;
  try {
    if (options.secretsGiven) given = await readSecrets((buffer) => Deno.stdin.read(buffer));
    return await work(scriptPerson(given, writeError, confirmed));
  } finally {
    wipeSecrets(given);
  }
}

function outputOf(json: boolean, write: (line: string) => void): WalletOutput {
  return {
    say: (text) => json ? writeError(`${text}\n`) : write(text),
    result: (value) => {
      if (json) write(JSON.stringify(value));
    },
    screen: Deno.stdout.isTerminal() ? write : undefined,
  };
}

function explain(error: unknown, command: string, json: boolean, write: (line: string) => void): number {
  const failed = failure(error);
  const { code, message, next, exitCode } = failed;
  const genuine = command === "genuine-check";
  writeError(`${genuine && NOT_GENUINE.test(code) ? "NOT GENUINE" : "wallet"}: ${message}\n    ${next}\n`);
  if (!(error instanceof CodedError) && error instanceof Error && error.stack) writeError(`${error.stack}\n`);
  if (json) {
    write(JSON.stringify(genuine ? { genuine: false, ...failed } : { command, done: false, ...failed }));
  }
  return exitCode;
}

// Native libraries keep threads that would hold the process open.
if (import.meta.main) Deno.exit(await main(Deno.args));
