/** What the limits' part of a configuration points at: lists of networks, the store's credentials, the backups' key. */

import { CodedError } from "shared/base/errors.ts";
import { compilingNetworks, type NetworkSet } from "../domain/networks.ts";
import type { RedisAddress } from "../transport/redis_script.ts";
import type { GatewayConfig } from "./config.ts";
import { besideConfig, readTextFile } from "./config_file.ts";

/** The contents. */
export interface ProtectionMaterial {
  readonly denied: NetworkSet;
  readonly store: RedisAddress | undefined;
  readonly backupKey: Uint8Array | undefined;
}

/** Shortest key for backups, bytes. */
const MIN_BACKUP_KEY_BYTES = 32;

/** Reads it. A million networks take seconds: requests are served in between. @throws {CodedError} `GATEWAY_FILE`. */
export async function readProtection(configPath: string, config: GatewayConfig): Promise<ProtectionMaterial> {
  const read = (path: string, what: string) => readTextFile(besideConfig(configPath, path), what);
  return {
    denied: await readDenied(configPath, config),
    store: await readStore(config.limitStore, read),
    backupKey: config.backupKeyFile === undefined
      ? undefined
      : await readKey(besideConfig(configPath, config.backupKeyFile)),
  };
}

/** Reads the networks that are refused, and nothing secret. @throws {CodedError} `GATEWAY_FILE`. */
export async function readDenied(
  configPath: string,
  { denyNetworks, denyNetworkFiles }: Pick<GatewayConfig, "denyNetworks" | "denyNetworkFiles">,
): Promise<NetworkSet> {
  const lists = await Promise.all(
    denyNetworkFiles.map((file) => readTextFile(besideConfig(configPath, file), "list of networks")),
  );
  return await compileGently(networkLines(denyNetworks, lists));
}

function* networkLines(own: readonly string[], lists: readonly string[]): Generator<string> {
  yield* own;
  for (const list of lists) {
    for (let at = 0; at < list.length;) {
      const found = list.indexOf("\n", at);
      const end = found < 0 ? list.length : found;
      const line = list.slice(at, end);
      const mark = line.indexOf("#");
      const network = (mark < 0 ? line : line.slice(0, mark)).trim();
      if (network !== "") yield network;
      at = end + 1;
    }
  }
}

/** Longest stretch of work before others have their turn. */
const STRETCH_MS = 5;

async function compileGently(networks: Iterable<string>): Promise<NetworkSet> {
  const steps = compilingNetworks(networks);
  let began = performance.now();
  try {
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      if (performance.now() - began < STRETCH_MS) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      began = performance.now();
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CodedError("GATEWAY_FILE", `Cannot use the list of networks: ${error.message}`);
  }
}

async function readStore(
  store: GatewayConfig["limitStore"],
  read: (path: string, what: string) => Promise<string>,
): Promise<RedisAddress | undefined> {
  if (store === undefined) return undefined;
  const { hostname, port } = new URL(store.url);
  const optional = async (path: string | undefined, what: string) =>
    path === undefined ? undefined : await read(path, what);
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    username: store.username,
    password: (await optional(store.passwordFile, "password of the limit store"))?.replace(/\r?\n$/, ""),
    tls: store.authorities && {
      authorities: await Promise.all(store.authorities.map((file) => read(file, "limit store authority"))),
      certificate: await optional(store.certificate, "limit store certificate"),
      key: await optional(store.key, "limit store key"),
    },
    timeoutMs: store.timeoutMs,
  };
}

async function readKey(path: string): Promise<Uint8Array> {
  let key: Uint8Array;
  try {
    key = await Deno.readFile(path);
  } catch (error) {
    const why = error instanceof Error ? error.name : "unreadable";
    throw new CodedError("GATEWAY_FILE", `Cannot read backup key ${path}: ${why}`, { path }, error);
  }
  if (key.length >= MIN_BACKUP_KEY_BYTES) return key;
  throw new CodedError("GATEWAY_FILE", `Cannot use backup key ${path}: it has fewer than 32 bytes`);
}

/** Files of this part, for the process's permissions. */
export function protectionFiles(config: GatewayConfig): string[] {
  const { limitStore } = config;
  return [
    ...config.denyNetworkFiles,
    config.backupKeyFile,
    limitStore?.passwordFile,
    limitStore?.certificate,
    limitStore?.key,
    ...limitStore?.authorities ?? [],
  ].filter((file) => file !== undefined);
}
