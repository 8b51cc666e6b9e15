/**
 * The tamper-evident logs of a local spine: one for each gateway, one that both attestation services share, one for the station.
 * Keys are made once; beside the logs stands, for each, the trust file that `rk log` takes.
 */

import { toUtf8 } from "shared/base/bytes.ts";
import { generateEd25519PrivateKey } from "shared/crypto/ed25519.ts";
import type { FileEventLogConfig, ServiceEventLogConfig } from "shared/log/writer/config.ts";
import { fileLogVerifierKey } from "shared/log/writer/file_event_log.ts";
import { hsmLogSigner } from "shared/log/store/note_signers.ts";
import { formatVerifierKey } from "shared/log/vkey.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { LOG_LABEL } from "factory/domain/factory_keys.ts";
import { exists, writePrivate } from "../paths.ts";
import { RECOVER_LOGS, type RecoverLogName } from "./recover/event_logs.ts";

/** Processes of a spine that have a log; both attestation services write one. */
export const EVENT_LOGS = ["gateway-a", "gateway-b", "attestation", "station"] as const;
/** One of {@link EVENT_LOGS}. */
export type EventLogName = (typeof EVENT_LOGS)[number];

/** Name of the update service's log. */
export const UPDATE_LOG = "update";

/** A log of a spine: those of {@link EVENT_LOGS} are always there, the others where Recover and updates run. */
export type SpineLogName = EventLogName | RecoverLogName | typeof UPDATE_LOG;

/** Where the logs of a spine are. */
export function eventLogPaths(folder: string, name: SpineLogName): { log: string; trust: string } {
  const isShared = name === UPDATE_LOG || EVENT_LOGS.some((each) => each === name && each !== "station");
  const recover = RECOVER_LOGS.some((each) => each === name) ? "recover/" : "";
  return {
    log: isShared ? `${folder}/event-logs/${name}/log` : `${folder}/${recover}${name}/event-log/log`,
    trust: `${folder}/event-logs/${name}.trust.json`,
  };
}

/** Sections `eventLog` of the configurations. */
export type EventLogSections =
  & Readonly<Record<Exclude<EventLogName, "attestation">, FileEventLogConfig>>
  & { readonly attestation: ServiceEventLogConfig };

/** Origin of a spine's log. */
export function originOf(name: SpineLogName): string {
  return `local.invalid/${name}`;
}

/** Writes the trust file that `rk log` takes. @param folder the spine's. @param vkey key of the log's checkpoints. */
export function writeTrust(folder: string, name: SpineLogName, vkey: string): Promise<void> {
  return writeTrustFile(eventLogPaths(folder, name).trust, originOf(name), vkey);
}

function writeTrustFile(file: string, origin: string, vkey: string): Promise<void> {
  return Deno.writeTextFile(file, `${JSON.stringify({ origin, log: [vkey] }, null, 2)}\n`);
}

/** Makes the file of a log's key where there is none. */
export async function ensureLogKey(keyFile: string): Promise<void> {
  if (await exists(keyFile)) return;
  using seed = generateEd25519PrivateKey(SYSTEM_RANDOM);
  const line = toUtf8(`${seed.reveal().toBase64()}\n`);
  await writePrivate(keyFile, line);
  line.fill(0);
}

/** Makes or keeps keys, folders and trust files. @param folder the spine's. */
export async function provisionEventLogs(folder: string, hsm: Hsm): Promise<EventLogSections> {
  const file = (name: Exclude<EventLogName, "attestation">, keys: string) => {
    const { log, trust } = eventLogPaths(folder, name);
    return provisionFileLog({ origin: originOf(name), own: log.replace(/\/log$/, ""), trust, keys });
  };
  const shared = eventLogPaths(folder, "attestation").log;
  await Deno.mkdir(shared.replace(/\/log$/, ""), { recursive: true, mode: 0o700 });
  ensureSecretFile(`${folder}/hsm/pseudonym.key`);
  const { verifierKey } = await hsmLogSigner(hsm, LOG_LABEL, originOf("attestation"));
  await writeTrust(folder, "attestation", formatVerifierKey(verifierKey));
  return {
    "gateway-a": await file("gateway-a", `${folder}/gateway-a`),
    "gateway-b": await file("gateway-b", `${folder}/gateway-b`),
    station: await file("station", `${folder}/station`),
    attestation: {
      origin: originOf("attestation"),
      folder: shared,
      pseudonymKeyFile: `${folder}/hsm/pseudonym.key`,
      keyLabel: LOG_LABEL,
    },
  };
}

/** Where a log whose keys are files is. */
export interface FileLogPlace {
  readonly origin: string;
  /** Folder of the log and its sequence. */
  readonly own: string;
  /** Trust file that `rk log` takes. */
  readonly trust: string;
  /** Folder of the keys, which the process only reads; the station's state is one folder. */
  readonly keys: string;
}

/** Makes or keeps the keys, the folder and the trust file of one log. */
export async function provisionFileLog(
  { origin, own, trust, keys }: FileLogPlace,
): Promise<FileEventLogConfig> {
  await Deno.mkdir(own, { recursive: true, mode: 0o700 });
  const keyFile = `${keys}/event-log.key`;
  await ensureLogKey(keyFile);
  ensureSecretFile(`${keys}/pseudonym.key`);
  await writeTrustFile(trust, origin, fileLogVerifierKey(origin, keyFile));
  return {
    origin,
    folder: `${own}/log`,
    sequenceFile: `${own}/sequence.sqlite`,
    keyFile,
    pseudonymKeyFile: `${keys}/pseudonym.key`,
  };
}
