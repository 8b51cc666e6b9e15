/** `rk card info | list | diagnose | keys | lock | unlock | apdu | replay`. Wiring only. */

import { toHex } from "shared/base/bytes.ts";
import { describeStatus, formatStatus } from "shared/protocol/apdu/status_words.ts";
import { parseRecording, RECORDING_BYTES_MAX } from "../domain/card_tool/recording.ts";
import { wipeKeySource } from "../domain/card_tool/key_file.ts";
import { sensitivityOf, showData } from "../domain/card_tool/sensitive.ts";
import { parseCommands, sendCommands } from "../service/card_tool/apdu.ts";
import { diagnoseCard, factsReport } from "../service/card_tool/diagnose.ts";
import { deleteKeys, listKeys, putKeys } from "../service/card_tool/keys.ts";
import { type LockTarget, setLock, targetWord } from "../service/card_tool/lock.ts";
import { cplcReport, lookAt } from "../service/card_tool/look.ts";
import { openDomain } from "../service/card_tool/open.ts";
import { listCard } from "../service/card_tool/registry.ts";
import { replayRecording, requireEqual } from "../service/card_tool/replay.ts";
import { aidOption, usage, versionOption } from "./card_tool_arguments.ts";
import { readFile, readKeys, readStandardInput } from "./card_tool_files.ts";
import {
  checkValueLine,
  diagnosisLines,
  factsLines,
  keyLines,
  listingLines,
  replayLines,
} from "./card_tool_print.ts";
import type { CardToolResult, CardToolRun } from "./card_tool_run.ts";
import { fromUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { hexByte } from "../domain/card_tool/names.ts";

/** Longest list of commands, in bytes. */
const COMMANDS_BYTES_MAX = 8 * 1024 * 1024;

/** `rk card info`. */
export async function runInfo(run: CardToolRun): Promise<CardToolResult> {
  const facts = await lookAt(run.session, run.wish.domain);
  return {
    report: {
      reader: run.reader,
      atr: toHex(run.session.atr),
      ...factsReport(facts),
      cplc: facts.cplc === undefined ? null : cplcReport(facts.cplc),
      keys: facts.keys ?? null,
      authenticationFailure: await run.records.read(facts.chip) ?? null,
    },
    lines: factsLines(run.reader, run.session.atr, facts),
  };
}

/** `rk card list`. */
export async function runList(run: CardToolRun): Promise<CardToolResult> {
  const listing = await listCard(run.session, run.wish);
  return { report: { ...listing }, lines: listingLines(listing) };
}

/** `rk card diagnose`. */
export async function runDiagnose(run: CardToolRun): Promise<CardToolResult> {
  const diagnosis = await diagnoseCard(run.session, run.records, run.wish);
  const { facts, ...rest } = diagnosis;
  return {
    report: { reader: run.reader, atr: toHex(run.session.atr), ...factsReport(facts), ...rest },
    lines: diagnosisLines(run.reader, run.session.atr, diagnosis),
  };
}

/** `rk card keys list | put | delete`. */
export async function runKeys(run: CardToolRun): Promise<CardToolResult> {
  const { session, options, wish } = run;
  switch (run.words[1] ?? "list") {
    case "list": {
      const listed = await listKeys(session, wish.domain, wish.keys);
      return { report: { ...listed }, lines: keyLines(listed.keys, listed.given) };
    }
    case "put": {
      const file = options["new-keys"];
      if (file === undefined) throw usage("Cannot put keys: give --new-keys FILE");
      if (file === "-" && options.keys === "-") throw usage("Cannot read both key sets from standard input");
      const source = readKeys(file);
      try {
        const newVersion = versionOption(options["new-version"]) ?? source.version;
        if (newVersion === undefined) throw usage("Cannot put keys: give --new-version");
        const replaceVersion = versionOption(options["replace-version"]);
        await openDomain(session, wish);
        const written = await putKeys(session, {
          source,
          newVersion,
          kdd: session.secureChannel?.info.keyDiversificationData,
          ...(replaceVersion === undefined ? {} : { replaceVersion }),
        }, run.begin);
        return {
          report: { ...written },
          lines: [
            checkValueLine(`key version ${hexByte(written.version)} is on the card`, written.checkValues),
          ],
        };
      } finally {
        wipeKeySource(source);
      }
    }
    case "delete": {
      const version = versionOption(run.words[2]);
      if (version === undefined) throw usage("Cannot delete keys: give a key version");
      await openDomain(session, wish);
      await deleteKeys(session, version, run.begin);
      return { report: { deletedVersion: version }, lines: [`deleted key version ${hexByte(version)}`] };
    }
    default:
      throw usage("Cannot run: rk card keys takes list, put or delete");
  }
}

/** `rk card lock | unlock`. */
export async function runLock(run: CardToolRun, lock: boolean): Promise<CardToolResult> {
  const aid = aidOption(run.words[1], "AID");
  if ((aid === undefined) === !run.options.card || run.words.length > 2) {
    throw usage(`Cannot ${run.words[0]}: give one AID, or --card`);
  }
  const target: LockTarget = aid === undefined
    ? { kind: "card" }
    : { kind: "application", aid, withApplications: run.options.applications ?? false };
  await openDomain(run.session, run.wish);
  const changed = await setLock(run.session, target, lock, run.begin);
  return {
    report: { target: targetWord(target), ...changed },
    lines: [`${targetWord(target)} was ${changed.before ?? "unknown"}, is ${changed.after ?? "not told"}`],
  };
}

/** `rk card apdu`. */
export async function runApdu(run: CardToolRun): Promise<CardToolResult> {
  const { options, session } = run;
  const given = run.words.slice(1);
  if ((given.length === 0) === (options.file === undefined)) {
    throw usage("Cannot send: give commands in hex, or --file FILE");
  }
  if (options.file === "-" && options.keys === "-") {
    throw usage("Cannot read keys and commands from standard input");
  }
  const commands = options.file === undefined
    ? parseCommands(given, true)
    : parseCommands(linesOf(options.file), false);
  const select = aidOption(options.select, "--select");
  if (options.secure) {
    await openDomain(session, select === undefined ? run.wish : { ...run.wish, domain: select });
  }
  const sent = await sendCommands(session, commands, {
    secure: options.secure ?? false,
    records: run.records,
    retryAuthentication: options["retry-authentication"] ?? false,
    now: Date.now,
    ...(select === undefined || options.secure ? {} : { select }),
  });
  const rows = sent.map(({ command, answer }) => ({
    data: showData(answer.data, sensitivityOf(command).answer),
    sw: formatStatus(answer.sw),
  }));
  return {
    report: { answers: rows },
    lines: sent.flatMap(({ answer }, i) => [
      ...(rows[i]!.data === "" ? [] : [rows[i]!.data]),
      describeStatus(answer.sw),
    ]),
  };
}

function linesOf(path: string): string[] {
  const bytes = path === "-"
    ? readStandardInput(COMMANDS_BYTES_MAX)
    : readFile(path, "commands", COMMANDS_BYTES_MAX);
  return textOf(bytes, path).split("\n");
}

/** Text of a file. @throws {CodedError} `CARDTOOL_FILE`. */
export function textOf(bytes: Uint8Array, path: string): string {
  try {
    return fromUtf8(bytes);
  } catch {
    throw new CodedError("CARDTOOL_FILE", `Cannot read ${path}: it is not UTF-8`);
  }
}

/** `rk card replay FILE`. */
export async function runReplay(run: CardToolRun): Promise<CardToolResult> {
  const path = run.words[1];
  if (path === undefined || run.words.length > 2) throw usage("Cannot replay: give one recording");
  const recording = parseRecording(textOf(readFile(path, "recording", RECORDING_BYTES_MAX), path));
  const report = await replayRecording(run.session, {
    recording,
    ...(run.wish.keys === undefined ? {} : { keys: run.wish.keys }),
  });
  let failure: CodedError | undefined;
  try {
    requireEqual(report);
  } catch (error) {
    failure = error as CodedError;
  }
  return { report: { ...report }, lines: replayLines(report), ...(failure === undefined ? {} : { failure }) };
}
