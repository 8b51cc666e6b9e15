/** The tamper-evident logs of Recover in a local spine: one for each provider, which its nodes share, and one of the orchestrators. */

import type { DatabaseEventLogConfig, ServiceEventLogConfig } from "shared/log/writer/config.ts";
import { fileLogVerifierKey } from "shared/log/writer/file_event_log.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { ensureLogKey, originOf, writeTrust } from "../event_logs.ts";
import { providerFolder, type ProviderIndex } from "./layout.ts";

/** Who has a log. */
export const RECOVER_LOGS = ["orchestrator", "provider-1", "provider-2", "provider-3"] as const;
/** One of {@link RECOVER_LOGS}. */
export type RecoverLogName = (typeof RECOVER_LOGS)[number];

/** Makes or keeps a provider's keys, and writes its log's trust file. @returns section `eventLog` of its nodes. */
export async function provisionProviderLog(
  folder: string,
  index: ProviderIndex,
): Promise<DatabaseEventLogConfig> {
  const name = `provider-${index}` as const;
  const own = providerFolder(folder, index);
  const section = {
    origin: originOf(name),
    folder: `${own}/event-log/log`,
    keyFile: `${own}/event-log.key`,
    pseudonymKeyFile: `${own}/pseudonym.key`,
  };
  await Deno.mkdir(`${own}/event-log`, { recursive: true, mode: 0o700 });
  await ensureLogKey(section.keyFile);
  ensureSecretFile(section.pseudonymKeyFile);
  await writeTrust(folder, name, fileLogVerifierKey(section.origin, section.keyFile));
  return section;
}

/** Makes or keeps what the orchestrators' log needs beside its key in their token. @returns their section `eventLog`. */
export async function provisionOrchestratorLog(folder: string): Promise<ServiceEventLogConfig> {
  const own = `${folder}/recover/orchestrator`;
  await Deno.mkdir(`${own}/event-log`, { recursive: true, mode: 0o700 });
  const pseudonymKeyFile = `${own}/pseudonym.key`;
  ensureSecretFile(pseudonymKeyFile);
  return {
    origin: originOf("orchestrator"),
    folder: `${own}/event-log/log`,
    pseudonymKeyFile,
    keyLabel: "orchestrator-log",
  };
}
