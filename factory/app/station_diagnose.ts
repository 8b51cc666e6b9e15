/** `rk station diagnose`: in which state a card is and what comes next. Changes nothing. Wiring only. */

import { CodedError, EXIT_CODES } from "shared/base/errors.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { cardLifeCycleName } from "shared/protocol/gp/constants.ts";
import { parseProfile, type Profile } from "../domain/profile.ts";
import { parseBatchFile } from "../domain/profile_batch.ts";
import { diagnose, type Diagnosis } from "../service/station/diagnose.ts";
import { openJournal } from "../transport/journal/sqlite.ts";
import { readStationConfig } from "./station_config.ts";
import { chooseReaders, openReaders } from "./station_readers.ts";

/** Options of `rk station diagnose`. */
export interface DiagnoseCommand {
  readonly reader: string;
  /** Profile, or a batch file. */
  readonly profile: string;
  /** Configuration of a station that does not run: its journal is asked as well. */
  readonly station?: string;
  readonly authenticate?: boolean;
  readonly json?: boolean;
  readonly virtualReaders?: string;
}

/** Looks at the card on a reader and tells. @returns exit code 0. @throws {CodedError} what keeps it from looking. */
export async function runDiagnoseCommand(
  options: DiagnoseCommand,
  { write }: { readonly write: (line: string) => void },
): Promise<number> {
  const profile = await readProfile(options.profile);
  const config = options.station === undefined ? undefined : await readStationConfig(options.station);
  const journal = config === undefined ? undefined : openJournal(`${config.stateFolder}/journal.sqlite`);
  const readers = await openReaders(options.virtualReaders);
  try {
    const [reader] = chooseReaders(await readers.service.readers(), [options.reader]);
    const channel = await readers.service.connect(reader!);
    try {
      const diagnosis = await diagnose({
        channel,
        profile,
        clock: SYSTEM_CLOCK,
        random: SYSTEM_RANDOM,
        authenticate: options.authenticate ?? false,
        ...(journal === undefined ? {} : { journal }),
      });
      if (!options.json) { for (const line of words(diagnosis)) write(line); }
      else write(JSON.stringify(diagnosis));
      return EXIT_CODES.ok;
    } finally {
      await channel.close();
    }
  } finally {
    await readers.service.close();
    await journal?.close();
  }
}

async function readProfile(path: string): Promise<Profile> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("PROFILE_NOT_JSON", `Cannot read profile ${path}: ${(error as Error).name}`, {
      path,
    });
  }
  return /"profileSha256"\s*:/.test(text) ? parseBatchFile(text).profile : parseProfile(text);
}

/** A diagnosis for people. */
export function words(diagnosis: Diagnosis): string[] {
  const { applet, journal, next } = diagnosis;
  return [
    `chip        ${diagnosis.cplc ?? "tells no CPLC"}`,
    `diversified ${diagnosis.keyDiversificationData ?? "unknown"}`,
    `ISD keys    ${diagnosis.isdKeys}${
      diagnosis.keyVersions === null ? "" : ` (versions ${diagnosis.keyVersions.join(", ") || "none"})`
    }`,
    ...(diagnosis.authenticated === null
      ? []
      : [`card        ${cardLifeCycleName(diagnosis.cardLifeCycle ?? 0)} (authenticated)`]),
    applet === null
      ? "applet      not on the card"
      : `applet      ${applet.version}, serial ${applet.serial}, ${applet.lifeCycle} ${applet.lifeCycleName}`,
    `journal     ${
      journal === null ? "knows nothing of it" : `${journal.state}, serial ${journal.serial ?? "none yet"}`
    }`,
    next.kind === "refuse"
      ? `next        none: ${next.message} [${next.code}]`
      : `next        ${next.step}: ${next.words}`,
  ];
}
