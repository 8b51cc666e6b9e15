/** `rk batch`: batches from their quota to the signed account of every card. */

import { type Command, InvalidArgumentError } from "commander";
import { parseProfile } from "factory/domain/profile.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { CodedError, defineErrors, EXIT_CODES } from "shared/base/errors.ts";
import { NAMED_MISSING_MAX } from "shared/protocol/wire/batch.ts";
import { exportBatch } from "../batch/export.ts";
import { type BatchLimitOptions, limitsFrom, stationQuotas } from "../batch/options.ts";
import { type LineFacts, reconcileBatch } from "../batch/reconcile.ts";
import { reportJson, reportLines } from "../batch/report.ts";
import { table } from "../batch/table.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { absolute, absoluteIfGiven, writePrivate } from "../paths.ts";
import { asBatchManager, createBatch } from "../spine/batch.ts";
import { withSpine } from "../spine/running.ts";
import { registerKey, registerVerify } from "./batch_proof.ts";

interface ManagerOptions extends CommonOptions {
  as?: string;
}

interface CreateOptions extends ManagerOptions, BatchLimitOptions {
  profile: string;
  quantity: number;
  out: string;
  name?: string;
  held?: boolean;
  stations?: { name: string; quota?: number }[];
}

interface CloseOptions extends ManagerOptions {
  reason?: string;
  missing?: string[] | true;
  giveUpUnused?: boolean;
}

interface ReconcileOptions extends ManagerOptions {
  journal: string[];
  allJournals?: boolean;
  good: string[];
  scrap: string[];
}

/** Registers the commands. */
export function registerBatch(program: Command): void {
  const batch = program.command("batch").description(
    "batches of cards: create, open, close, report, reconcile, export, verify",
  );
  registerCreate(batch);
  manager(batch.command("open").description("let a held batch go on, once the cause is removed"))
    .requiredOption("--reason <text>", "why it may go on; it goes on record", reasonText)
    .action(action(async (name: string, options: ManagerOptions & { reason: string }) => {
      const answer = await asBatchManager(
        absoluteIfGiven(options.as),
        (client) => client.open({ batch: name, reason: options.reason }),
      );
      say(options, `Batch ${name} is open.`);
      result(options, answer);
    }));
  manager(
    batch.command("close").description(
      "close a batch whose cards are all accounted for, and sign its account",
    ),
  )
    .option("--missing [serials...]", "declare cards in flight missing: these, or all of them")
    .option("--give-up-unused", "serials that no card was given are given up for good")
    .option("--reason <text>", "why it is closed so; needed with both", reasonText)
    .action(action(close));
  manager(
    batch.command("report").description(
      "how far a batch is: counts, yield, rate, reasons, stations, history",
    ),
  )
    .action(action(async (name: string, options: ManagerOptions) => {
      const report = await asBatchManager(absoluteIfGiven(options.as), (client) => client.report(name));
      for (const line of reportLines(report)) say(options, line);
      result(options, reportJson(report));
    }));
  manager(
    batch.command("reconcile").description(
      "compare the records with journals of stations and with counted cards",
    ),
  )
    .option("--journal <file>", "journal of a station that is stopped, or a copy; repeat it", many, [])
    .option(
      "--all-journals",
      "these are the journals of every station: a card in none of them is a difference",
    )
    .option("--good <file>", "CSV of the serials counted in the tray of good cards; repeat it", many, [])
    .option("--scrap <file>", "CSV of the serials counted in the box of scrapped cards; repeat it", many, [])
    .addHelpText(
      "after",
      `\nExit code ${EXIT_CODES.ok} when everything agrees, ${EXIT_CODES.card} when something differs.`,
    )
    .action(action(reconcile));
  manager(batch.command("export").description("write a closed batch: signed records and the signed manifest"))
    .requiredOption("--out <file>", "file to write (mode 0600); with .csv a table, the manifest beside it")
    .option("--format <jsonl|csv>", "jsonl, or csv for spreadsheets; by the file's name otherwise", format)
    .action(
      action(async (name: string, options: ManagerOptions & { out: string; format?: "jsonl" | "csv" }) => {
        const out = absolute(options.out);
        const kind = options.format ?? (out.toLowerCase().endsWith(".csv") ? "csv" : "jsonl");
        const { manifest, files } = await asBatchManager(
          absoluteIfGiven(options.as),
          (client) => exportBatch(client, name, out, kind),
        );
        say(options, `${manifest.totals.reserved} records of batch ${name}: ${files.join(", ")}`);
        result(options, {
          batch: name,
          format: kind,
          files,
          totals: manifest.totals,
          rootSha256: manifest.tree.rootSha256,
        });
      }),
    );
  registerKey(batch);
  registerVerify(batch);
}

function registerCreate(batch: Command): void {
  batch.command("create")
    .description("open a batch; the file that it writes is what stations run")
    .requiredOption("--profile <file>", "profile, from `rk profile template`")
    .requiredOption("--quantity <n>", "how many cards, 1 to 10,000,000", quantity)
    .requiredOption("--out <file>", "batch file to write (mode 0600: it holds the profile's keys)")
    .option("--name <name>", "the batch's name; the service chooses one otherwise")
    .option("--held", "give out nothing until `rk batch open`")
    .option("--stations <list>", "stations that work on it, with quotas: a=100,b=50,c", stationQuotas)
    .option("--stop-after <n>", "hold the batch after so many scrapped cards in a row; 0: never")
    .option("--min-yield <percent>", "hold the batch when fewer of a hundred cards are good; 0: never")
    .option("--yield-after <n>", "cards that must have ended before the yield counts")
    .option("--yield-window <n>", "the yield is that of so many last cards")
    .option("--as <file>", "configuration of a factory's batch manager; the local spine's otherwise")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CreateOptions) => {
      const profile = parseProfile(await readProfile(absolute(options.profile)));
      const { name, held, stations } = options;
      const limits = limitsFrom(options);
      const details = {
        ...(name === undefined ? {} : { name }),
        ...(held === undefined ? {} : { held }),
        ...(stations === undefined ? {} : { stations }),
        limits,
      };
      const manager = absoluteIfGiven(options.as);
      const created = manager === undefined
        ? await withSpine(
          (line) => console.error(`rk: ${line}`),
          (spine) => createBatch(spine.batchManagerFile, profile, options.quantity, details),
        )
        : await createBatch(manager, profile, options.quantity, details);
      await writePrivate(absolute(options.out), encodeBatchFile(created));
      const { profile: _, ...facts } = created;
      say(
        options,
        `Batch ${created.batch}: ${created.quantity} cards, serials ${created.firstSerial} to ${created.lastSerial}, ` +
          `profile ${profile.name} (SHA-256 ${created.profileSha256.slice(0, 16)}...). Next: ` +
          (held ? `rk batch open ${created.batch} --reason TEXT` : `rk station run --batch ${options.out}`),
      );
      result(options, {
        ...facts,
        profileName: profile.name,
        state: held ? "held" : "open",
        limits,
        ...(stations === undefined ? {} : { stations }),
        out: options.out,
      });
    }));
}

async function close(name: string, options: CloseOptions): Promise<number> {
  const missing = options.missing === undefined
    ? "none"
    : options.missing === true
    ? "all"
    : options.missing.flatMap((one) => one.split(",")).map(serial);
  if (typeof missing !== "string" && missing.length > NAMED_MISSING_MAX) {
    throw new CodedError("BATCH_SERIALS_MANY", `Cannot name ${missing.length} missing cards at once`);
  }
  const request = {
    batch: name,
    missing,
    giveUpUnused: options.giveUpUnused ?? false,
    reason: options.reason ?? null,
  } as const;
  const answer = await asBatchManager(
    absoluteIfGiven(options.as),
    (client) =>
      client.close(request, ({ missingToDeclare, recordsToSign }) =>
        console.error(
          `rk: ${
            missingToDeclare > 0 ? `${missingToDeclare} cards to declare missing, ` : ""
          }${recordsToSign} records to sign`,
        )),
  );
  result(options, answer);
  if (answer.closed) {
    say(options, `Batch ${name} is closed. Next: rk batch export ${name} --out ${name}.jsonl`);
    return EXIT_CODES.ok;
  }
  if (answer.recordsToSign > 0 || answer.missingToDeclare > 0) {
    say(
      options,
      `Batch ${name} is not closed: ${answer.missingToDeclare} cards are not declared missing yet, ` +
        `${answer.recordsToSign} records are not signed yet. Try again.`,
    );
    return EXIT_CODES.service;
  }
  for (
    const line of table(
      ["serial", "state", "station", "since"],
      answer.cards.map((card) => [card.serial, card.state, card.station, card.changedAt.slice(0, 19)]),
    )
  ) {
    say(options, line);
  }
  say(
    options,
    `Batch ${name} is not closed: ${answer.inFlight} cards in flight. Present them to a reader again, scrap them there, or ` +
      "declare them missing: --missing [SERIAL ...] --reason TEXT",
  );
  return EXIT_CODES.card;
}

async function reconcile(name: string, options: ReconcileOptions): Promise<number> {
  const line: LineFacts = {
    journals: options.journal.map(absolute),
    allJournals: options.allJournals ?? false,
    good: options.good.map(absolute),
    scrapped: options.scrap.map(absolute),
  };
  const { report, compared, differences } = await asBatchManager(
    absoluteIfGiven(options.as),
    (client) => reconcileBatch(client, name, line),
  );
  for (const { code, serial, text, next } of differences) {
    say(options, `${serial}  ${code}: ${text}\n          ${next}`);
  }
  say(
    options,
    `Batch ${name} (${report.state}): ${compared.cards} cards, ${compared.journalEntries} entries in journals, ` +
      `${compared.counted} counted: ${
        differences.length === 0 ? "everything agrees" : `${differences.length} differences`
      }`,
  );
  result(options, {
    batch: name,
    state: report.state,
    compared,
    agrees: differences.length === 0,
    differences,
  });
  return differences.length === 0 ? EXIT_CODES.ok : EXIT_CODES.card;
}

/** What every command about one batch of a service takes. */
function manager(command: Command): Command {
  return command
    .argument("<batch>", "the batch's name")
    .option("--as <file>", "configuration of a factory's batch manager; the local spine's otherwise")
    .option("--json", "the last line is one JSON object");
}

function many(value: string, others: string[]): string[] {
  return [...others, value];
}

function quantity(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 10_000_000) {
    throw new InvalidArgumentError("It is a whole number from 1 to 10,000,000.");
  }
  return value;
}

function reasonText(text: string): string {
  const reason = text.trim();
  if (reason.length < 1 || reason.length > 200) throw new InvalidArgumentError("It has 1 to 200 characters.");
  return reason;
}

function format(text: string): "jsonl" | "csv" {
  if (text !== "jsonl" && text !== "csv") throw new InvalidArgumentError("It is jsonl or csv.");
  return text;
}

function serial(text: string): string {
  if (!/^[0-9A-Fa-f]{8}$/.test(text)) {
    throw new CodedError("BATCH_SERIAL", `Cannot use serial ${text}: it is not 8 hexadecimal digits`);
  }
  return text.toUpperCase();
}

async function readProfile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("PROFILE_FILE", `Cannot read profile ${path}: ${(error as Error).name}`);
  }
}

defineErrors({
  PROFILE_FILE: {
    fault: "configuration",
    retry: false,
    next: "`rk profile template test-card` prints one to begin with.",
  },
  BATCH_SERIAL: {
    fault: "usage",
    retry: false,
    next: "`rk batch report` and `rk batch close` list serials as they are given here.",
  },
  BATCH_SERIALS_MANY: {
    fault: "usage",
    retry: false,
    next:
      `Name ${NAMED_MISSING_MAX} at most; --missing without serials declares every card in flight missing.`,
  },
});
