/** `rk station run | diagnose`: cards on readers, personalized or only looked at. */

import type { Command } from "commander";
import { parse } from "yaml";
import { parseBatchFile } from "factory/domain/profile_batch.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { libraryCandidates } from "shared/transport/pcsc/library.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import type { Substitution } from "../process/permissions.ts";
import { STANDARD, STANDARD_FOLDER } from "../spine/layout.ts";
import { withSpine } from "../spine/running.ts";
import type { SpineDescriptor } from "../spine/spine.ts";

/** Standard addresses of virtual readers in the permission sets. */
export const STANDARD_VIRTUAL_READERS = "127.0.0.1:8471";
/** Standard path of the PC/SC library in the permission sets. */
export const STANDARD_PCSC_LIBRARY = "/usr/lib/x86_64-linux-gnu/libpcsclite.so.1";

interface RunOptions extends CommonOptions {
  batch: string;
  station?: string;
  reader?: string[];
  once?: boolean;
  count?: string;
  operator?: string;
  retryAuthentication?: boolean;
  goOn?: boolean;
  virtualReaders?: string;
}

interface DiagnoseOptions extends CommonOptions {
  reader: string;
  profile: string;
  station?: string;
  authenticate?: boolean;
  virtualReaders?: string;
}

/** Registers the commands. */
export function registerStation(program: Command): void {
  const station = program.command("station").description("a factory station: cards on readers");
  station.command("run")
    .description("personalize every card that is put on a reader")
    .requiredOption("--batch <file>", "batch file, from `rk batch create`")
    .option("--station <file>", "the station's configuration; the local spine's otherwise")
    .option("--reader <name...>", "readers to use, by name or a part of it; all otherwise")
    .option("--once", "one card on each reader, then end")
    .option("--count <n>", "end after so many cards")
    .option("--operator <name>", "who works here, for the cards' records")
    .option("--retry-authentication", "try a card again whose keys were refused before: cards can lock")
    .option("--go-on", "work was stopped by itself: its cause is removed, it goes on")
    .option("--virtual-readers <host:port,...>", "virtual readers instead of PC/SC; never in production")
    .option("--json", "events as JSON lines; the last one is the summary")
    .action(action(async (options: RunOptions) => {
      const batch = absolute(options.batch);
      if (options.station) return await runForeground(runSpec(options, absolute(options.station), batch));
      return await withSpine(
        (line) => console.error(`rk: ${line}`),
        (spine) => runForeground(runSpec(options, spine.stationFile, batch, spine)),
      );
    }));
  station.command("diagnose")
    .description("tell in which state a card is and what comes next, changing nothing")
    .requiredOption("--reader <name>", "reader, by name or a part of it")
    .requiredOption("--profile <file>", "profile of the card")
    .option("--station <file>", "the station's configuration, for what its journal knows of the card")
    .option("--authenticate", "also try the profile's keys: a wrong key counts as an attempt on the card")
    .option("--virtual-readers <host:port,...>", "virtual readers instead of PC/SC")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: DiagnoseOptions) => await runForeground(diagnoseSpec(options))));
}

/** The process of `rk station run`. `spine` is the local one, when the station belongs to it. */
export function runSpec(
  options: Omit<RunOptions, "station">,
  stationFile: string,
  batch: string,
  spine?: SpineDescriptor,
): Omit<ChildSpec, "logFile"> {
  const files = [batch, ...packageFiles(batch)];
  return {
    name: "station",
    module: "factory/app/station_main.ts",
    ...permissions(options.virtualReaders, stationFile, files, spine),
    args: [
      "run",
      "--batch",
      batch,
      "--station",
      stationFile,
      ...(options.reader ?? []).flatMap((name) => ["--reader", name]),
      ...(options.once ? ["--once"] : []),
      ...(options.count ? ["--count", options.count] : []),
      ...(options.operator ? ["--operator", options.operator] : []),
      ...(options.retryAuthentication ? ["--retry-authentication"] : []),
      ...(options.goOn ? ["--go-on"] : []),
      ...(options.virtualReaders ? ["--virtual-readers", options.virtualReaders] : []),
      ...(options.json ? ["--json"] : []),
    ],
  };
}

function diagnoseSpec(options: DiagnoseOptions): Omit<ChildSpec, "logFile"> {
  const profile = absolute(options.profile);
  const station = options.station ? absolute(options.station) : undefined;
  return {
    name: "station",
    module: "factory/app/station_main.ts",
    ...permissions(options.virtualReaders, station ?? profile, [profile]),
    args: [
      "diagnose",
      "--reader",
      options.reader,
      "--profile",
      profile,
      ...(station ? ["--station", station] : []),
      ...(options.authenticate ? ["--authenticate"] : []),
      ...(options.virtualReaders ? ["--virtual-readers", options.virtualReaders] : []),
      ...(options.json ? ["--json"] : []),
    ],
  };
}

/** The package that a batch loads and its signatures, as paths. */
function packageFiles(batch: string): string[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(batch);
  } catch (error) {
    throw new CodedError("BATCH_FILE", `Cannot read batch file ${batch}: ${(error as Error).name}`);
  }
  const { capPath, signedPath } = parseBatchFile(text).profile.applet;
  return [capPath, signedPath].filter((path) => typeof path === "string")
    .map((path) => path.startsWith("/") ? path : `${batch.replace(/\/[^/]*$/, "")}/${path}`);
}

/** Permission set of a station and what is exchanged in it. */
function permissions(
  virtualReaders: string | undefined,
  stationFile: string,
  files: readonly string[],
  spine?: SpineDescriptor,
): Pick<ChildSpec, "permissions" | "substitution" | "env"> {
  const folder = stationFile.replace(/\/[^/]*$/, "");
  const configuration = readStation(stationFile);
  const gateways = configuration.gateways ?? [];
  const tls = Object.values(configuration.tls ?? {});
  const state = configuration.stateFolder ?? folder;
  const substitution: Substitution = {
    [STANDARD.gatewayA.listen]: gateways,
    [STANDARD.gatewayB.listen]: gateways,
    [STANDARD_VIRTUAL_READERS]: virtualReaders?.split(",") ?? [],
    [STANDARD_PCSC_LIBRARY]: libraryCandidates(),
    [`${STANDARD_FOLDER}/station`]: [state, ...configuration.eventLog ?? []],
    [`${STANDARD_FOLDER}/station/station.yaml`]: [stationFile, folder],
    [`${STANDARD_FOLDER}/pki`]: spine ? `${spine.folder}/pki` : tls,
    [`${STANDARD_FOLDER}/batch.json`]: [...files],
  };
  const socket = Deno.env.get("PCSCLITE_CSOCK_NAME");
  return {
    permissions: virtualReaders ? "station-virtual" : "station",
    substitution,
    ...(socket ? { env: { PCSCLITE_CSOCK_NAME: socket } } : {}),
  };
}

interface StationFacts {
  readonly gateways?: string[];
  readonly tls?: Record<string, string>;
  readonly stateFolder?: string;
  /** Where the log is written, and its keys. */
  readonly eventLog?: string[];
}

/** What the permission set needs of a station's configuration; the station itself checks it and says what is wrong. */
function readStation(file: string): StationFacts {
  try {
    const value = parse(Deno.readTextFileSync(file)) as Omit<StationFacts, "eventLog"> & {
      eventLog?: Record<"folder" | "sequenceFile" | "keyFile" | "pseudonymKeyFile", string>;
    };
    const folder = file.replace(/\/[^/]*$/, "");
    const at = (path: string) => path.startsWith("/") ? path : `${folder}/${path}`;
    return {
      gateways: (value.gateways ?? []).map((url) => new URL(url).host),
      tls: Object.fromEntries(Object.entries(value.tls ?? {}).map(([key, path]) => [key, at(path)])),
      ...(value.stateFolder ? { stateFolder: at(value.stateFolder) } : {}),
      ...(value.eventLog
        ? {
          eventLog: [
            at(value.eventLog.folder),
            at(value.eventLog.sequenceFile).replace(/\/[^/]*$/, ""),
            at(value.eventLog.keyFile),
            at(value.eventLog.pseudonymKeyFile),
          ],
        }
        : {}),
    };
  } catch {
    return {};
  }
}

defineErrors({
  BATCH_FILE: { fault: "usage", retry: false, next: "`rk batch create --out FILE` writes one." },
});
