/** The section of a process's configuration that says where and how its log is written. */

import { z } from "zod";
import { isKeyName } from "../note.ts";
import { WitnessPeersConfig } from "../witness/peers_config.ts";

const Path = z.string().min(1).max(4096);

const COMMON = {
  /** Origin: an address without scheme that is yours and this log's alone, such as `log.example.com/gateway-a`. */
  origin: z.string().min(1).max(255).refine(isKeyName, "a space, a plus or a control character"),
  /** Folder that the log is published in: `checkpoint` and `tile/`. The process must be able to write there. */
  folder: Path,
  /** File (mode 0600) of at least 32 bytes: the key of the log's pseudonyms. */
  pseudonymKeyFile: Path,
  /** Who cosigns it. Without it nobody outside can tell that the whole log was exchanged for another. */
  witnesses: WitnessPeersConfig.optional(),
};

/** Log of a process without a database: its sequence is a file of its own, its key one as well. */
export const FileEventLogConfig = z.strictObject({
  ...COMMON,
  /** SQLite file of the entries' order; beside it SQLite writes two more. */
  sequenceFile: Path,
  /** File (mode 0600) with the Base64 of the key's seed of 32 bytes. */
  keyFile: Path,
});

/** Log of a service: its sequence is in the service's database, its key in the service's token. */
export const ServiceEventLogConfig = z.strictObject({
  ...COMMON,
  /** Label of the Ed25519 key in the token. */
  keyLabel: z.string().min(1).max(64).default("log"),
});

/** Log of a process that has a database and no token of its own: its sequence is in the database, its key a file. */
export const DatabaseEventLogConfig = z.strictObject({
  ...COMMON,
  /** File (mode 0600) with the Base64 of the key's seed of 32 bytes. */
  keyFile: Path,
});

/** See {@link DatabaseEventLogConfig}. */
export type DatabaseEventLogConfig = z.infer<typeof DatabaseEventLogConfig>;
/** See {@link FileEventLogConfig}. */
export type FileEventLogConfig = z.infer<typeof FileEventLogConfig>;
/** See {@link ServiceEventLogConfig}. */
export type ServiceEventLogConfig = z.infer<typeof ServiceEventLogConfig>;

/** The section with its paths resolved. @param at resolves one path. */
export function resolveEventLog<
  C extends FileEventLogConfig | ServiceEventLogConfig | DatabaseEventLogConfig,
>(
  config: C,
  at: (path: string) => string,
): C {
  return {
    ...config,
    folder: at(config.folder),
    pseudonymKeyFile: at(config.pseudonymKeyFile),
    ...(config.witnesses === undefined ? {} : {
      witnesses: {
        ...config.witnesses,
        tls: Object.fromEntries(
          Object.entries(config.witnesses.tls).map(([name, path]) => [name, at(path!)]),
        ),
      },
    }),
    ...("keyFile" in config ? { keyFile: at(config.keyFile) } : {}),
    ...("sequenceFile" in config ? { sequenceFile: at(config.sequenceFile) } : {}),
  };
}
