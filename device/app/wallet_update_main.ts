/**
 * The wallet's updater: `wallet_update_main.ts --config FILE --folder FOLDER --reader NAME --trust FILE [--check]`, and as the other
 * commands of the wallet [--json] [--virtual-readers HOST:PORT] [--wait SECONDS] [--secrets-stdin] [--confirm last-try].
 *
 * FOLDER holds what is trusted of the repository, what was fetched, and the journal of updates. Exit code 0: it did what it says.
 * With --json each line is one object, `event` progress or torn, and the last one is the result: `done`, and `from`, `to`, `seedKept`, or with --check `installed`, `release`, `offer`.
 */

import { parseArgs } from "node:util";
import { fromHex } from "shared/base/bytes.ts";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { httpSource } from "../update/tuf/http_source.ts";
import { openTufClient } from "../update/tuf/client.ts";
import { initTrust } from "../update/tuf/trust_store.ts";
import { updateServiceOver } from "../update/https_service.ts";
import { mirroredSource } from "../update/mirrored_source.ts";
import { openUpdateJournal } from "../update/journal.ts";
import { packageReader } from "../update/package_reader.ts";
import { repositoryReleases } from "../update/repository_releases.ts";
import { checkUpdate } from "../update/check.ts";
import { type UpdateOptions, Updater } from "../update/updater.ts";
import type { Person } from "../wallet/person.ts";
import { readTrustFile, wipeTrust } from "../wallet/trust.ts";
import { openReader } from "./wallet_readers.ts";
import { failure } from "./wallet_results.ts";
import { readSecrets, scriptPerson, wipeSecrets } from "./wallet_secrets.ts";
import { terminalPerson, withQuietTerminal, writeError } from "./wallet_terminal.ts";
import { readWalletUpdateConfig } from "./wallet_update_config.ts";
import { checkWords, progressWords, PROVE_WORDS, resultWords, TORN_WORDS } from "./wallet_update_words.ts";
import "./wallet_errors.ts";

const WAIT_SECONDS = { usual: 60, max: 600 } as const;

interface Options {
  readonly config: string;
  readonly folder: string;
  readonly reader: string;
  readonly trust: string;
  readonly virtualReaders: string | undefined;
  readonly check: boolean;
  readonly json: boolean;
  readonly secretsGiven: boolean;
  readonly confirmed: ReadonlySet<"last-try">;
  readonly waitMs: number;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: { type: "string" },
      folder: { type: "string" },
      reader: { type: "string" },
      trust: { type: "string" },
      "virtual-readers": { type: "string" },
      check: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      "secrets-stdin": { type: "boolean", default: false },
      confirm: { type: "string", multiple: true, default: [] },
      wait: { type: "string", default: `${WAIT_SECONDS.usual}` },
    },
  });
  const { config, folder, reader, trust } = values;
  const seconds = Number(values.wait);
  const known = values.confirm.every((word) => word === "last-try");
  const waits = /^\d{1,3}$/.test(values.wait) && seconds >= 1 && seconds <= WAIT_SECONDS.max;
  if (
    config === undefined || folder === undefined || reader === undefined || trust === undefined || !known ||
    !waits
  ) {
    throw new CodedError("WALLET_USAGE", "Cannot run: give --config, --folder, --reader and --trust");
  }
  return {
    config,
    folder,
    reader,
    trust,
    virtualReaders: values["virtual-readers"],
    check: values.check,
    json: values.json,
    secretsGiven: values["secrets-stdin"],
    confirmed: new Set(values.confirm.length > 0 ? ["last-try"] : []),
    waitMs: 1000 * seconds,
  };
}

/** Runs a command line and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  try {
    const options = readOptions(args);
    return await withPerson(options, (person) => run(options, person));
  } catch (error) {
    const { code, message, next, exitCode } = failure(error);
    // What the service advises is newer than what this wallet knows.
    const advised = error instanceof CodedError && typeof error.details.next === "string"
      ? error.details.next
      : next;
    writeError(`\nwallet: ${message}\n    ${advised}\n`);
    if (!(error instanceof CodedError) && error instanceof Error && error.stack) {
      writeError(`${error.stack}\n`);
    }
    if (json) {
      console.log(JSON.stringify({ command: "update", done: false, code, message, next: advised, exitCode }));
    }
    return exitCode;
  }
}

async function run(options: Options, person: Person): Promise<number> {
  const { json } = options;
  const config = readWalletUpdateConfig(options.config);
  const trust = readTrustFile(options.trust);
  using journal = openUpdateJournal(options.folder);
  const tls = {
    ca: Deno.readTextFileSync(config.tls.authority),
    cert: Deno.readTextFileSync(config.tls.certificate),
    key: Deno.readTextFileSync(config.tls.key),
  };
  const trustedRoot = Deno.readFileSync(config.root);
  const metadataDir = `${options.folder}/metadata`;
  const targetsDir = `${options.folder}/targets`;
  Deno.mkdirSync(targetsDir, { recursive: true, mode: 0o700 });
  if (!isThere(`${metadataDir}/root.json`)) {
    Deno.mkdirSync(metadataDir, { recursive: true, mode: 0o700 });
    initTrust(metadataDir, trustedRoot);
  }
  const servers = config.gateways.map((gateway) => gateway.replace(/\/$/, "") + config.repository);
  const source = mirroredSource(httpSource(tls), servers);
  using client = openTufClient({
    metadataDir,
    targetsDir,
    metadataBaseUrl: `${servers[0]}/metadata`,
    targetsBaseUrl: `${servers[0]}/targets`,
    source,
  });
  using service = updateServiceOver({ servers: config.gateways, tls });
  const terminal = Deno.stderr.isTerminal() && !json;
  const reader = await openReader({
    reader: options.reader,
    ...(options.virtualReaders === undefined ? {} : { virtualReaders: options.virtualReaders }),
  });
  let lineOpen = false;
  let proving = false;
  const endLine = () => {
    if (lineOpen) writeError("\n");
    lineOpen = false;
  };
  const update: UpdateOptions = {
    connect: () => reader.connect(options.waitMs),
    trust,
    person: {
      ...person,
      // A question begins a line of its own.
      secret(name, about) {
        endLine();
        if (proving && !json) writeError(`${PROVE_WORDS}\n`);
        return person.secret(name, about);
      },
      confirm(what, about) {
        endLine();
        return person.confirm(what, about);
      },
    },
    random: SYSTEM_RANDOM,
    clock: SYSTEM_CLOCK,
    journal,
    releases: repositoryReleases({
      client,
      trustedRoot,
      clock: SYSTEM_CLOCK,
      place: { source, repositoryUrl: servers[0]!, seenFile: `${options.folder}/releases.checkpoint` },
    }),
    service,
    readPackage: packageReader(fromHex(config.releaseKey)),
    domain: { aid: fromHex(config.domain.aid), keyVersion: config.domain.keyVersion },
    onProgress: (progress) => {
      proving = progress.stage === "proving";
      if (terminal && progress.stage !== "looking") {
        writeError(`\r${progressWords(progress)}`);
        lineOpen = true;
      } else if (json) console.log(JSON.stringify({ event: "progress", ...progress }));
    },
    onTorn: (code) => {
      if (json) console.log(JSON.stringify({ event: "torn", code }));
      else {
        endLine();
        writeError(`${TORN_WORDS}\n`);
      }
    },
  };
  try {
    if (options.check) {
      const found = await checkUpdate(update);
      console.log(json ? JSON.stringify({ command: "update", done: true, ...found }) : checkWords(found));
    } else {
      if (!json) writeError("Put the card on the reader and leave it there until the end is told.\n");
      const result = await new Updater(update).run();
      endLine();
      console.log(json ? JSON.stringify({ command: "update", done: true, ...result }) : resultWords(result));
    }
    return EXIT_CODES.ok;
  } finally {
    await reader.close();
    wipeTrust(trust);
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The person: a script when secrets are given or nobody is at a terminal. */
async function withPerson(options: Options, work: (person: Person) => Promise<number>): Promise<number> {
  if (!options.secretsGiven && Deno.stdin.isTerminal()) {
    const interrupted = () => {
      Deno.stdin.setRaw(false);
      writeError("\nwallet: Stopped. The card goes on where it stands: `rk wallet update`.\n");
      Deno.exit(EXIT_CODES[errorRow("WALLET_CANCELLED").fault]);
    };
    Deno.addSignalListener("SIGINT", interrupted);
    Deno.addSignalListener("SIGTERM", interrupted);
    return await withQuietTerminal(
      Deno.stdin,
      () => work(terminalPerson(Deno.stdin, writeError, options.confirmed)),
    );
  }
  if (options.secretsGiven && Deno.stdin.isTerminal()) {
    throw new CodedError(
      "WALLET_USAGE",
      "Cannot read secrets: the descriptor is a terminal, which would show them",
    );
  }
  const given = options.secretsGiven ? await readSecrets((buffer) => Deno.stdin.read(buffer)) : undefined;
  try {
    return await work(scriptPerson(given, writeError, options.confirmed));
  } finally {
    wipeSecrets(given);
  }
}

// Native libraries keep threads that would hold the process open.
if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    writeError(`${codeOf(error)}\n`);
    Deno.exit(EXIT_CODES.bug);
  }
}
