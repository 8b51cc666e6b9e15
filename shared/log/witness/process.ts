/** A witness process, from a checked configuration to listeners that serve. */

import { sha256 } from "@noble/hashes/sha2.js";
import { toUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { readTrust } from "../../protocol/x509/trust.ts";
import { SYSTEM_CLOCK } from "../../transport/clock.ts";
import { ed25519Verifier, formatVerifierKey, parseVerifierKey } from "../vkey.ts";
import type { WitnessConfig } from "./config.ts";
import "./config.ts";
import { openEvidenceFolder } from "./evidence_folder.ts";
import { witnessAdminApp, witnessApp } from "./http_app.ts";
import { openWitnessListener, type WitnessListener, type WitnessTls } from "./listener.ts";
import { witnessMetrics } from "./metrics.ts";
import { Mirror } from "./mirror.ts";
import { folderSource, httpsSource, tileFolder } from "./mirror_files.ts";
import { RateLimit } from "./rate.ts";
import { openWitnessKey } from "./signing_key.ts";
import { openWitnessState } from "./sqlite_store.ts";
import { Witness, type WitnessedLog } from "./witness.ts";

/** For requests in work when the process ends, in milliseconds. */
const DRAIN_MS = 5_000;
/** For one file of a mirrored log, in milliseconds. */
const MIRROR_DEADLINE_MS = 10_000;

/** A running witness. */
export interface RunningWitness {
  /** `host:port` of both listeners. */
  readonly listen: string;
  readonly admin: string;
  /** Verifier key that logs are configured with. */
  readonly vkey: string;
  /** Ends requests in work and closes everything. */
  stop(): Promise<void>;
}

/** Makes key and state folder when they are missing. @returns the verifier key. */
export async function initWitness(config: WitnessConfig, log: Logger): Promise<string> {
  Deno.mkdirSync(config.state, { recursive: true, mode: 0o700 });
  const key = await openWitnessKey(config.name, config.key, log, { make: true });
  await key.close();
  return formatVerifierKey(key.key);
}

/** Reads everything that a configuration names, without serving. @throws {CodedError} of what is not fit. */
export async function checkWitness(config: WitnessConfig, log: Logger): Promise<string> {
  await witnessedLogs(config);
  if (config.tls !== undefined) await readTls(config.tls);
  const key = await openWitnessKey(config.name, config.key, log);
  await key.close();
  return formatVerifierKey(key.key);
}

/** Starts a witness. @throws {CodedError} of whatever is not there: key, state, files, addresses. */
export async function startWitness(config: WitnessConfig, log: Logger): Promise<RunningWitness> {
  const clock = SYSTEM_CLOCK;
  const logs = await witnessedLogs(config);
  const tls = config.tls === undefined ? undefined : await readTls(config.tls);
  const key = await openWitnessKey(config.name, config.key, log);
  const vkey = formatVerifierKey(key.key);
  Deno.mkdirSync(config.state, { recursive: true, mode: 0o700 });
  const closers: (() => Promise<void> | void)[] = [() => key.close()];
  let closing: Promise<void> | undefined;
  // Once only: a supervisor and a terminal may both send a signal.
  const closeAll = () =>
    closing ??= (async () => {
      for (const close of closers.toReversed()) await close();
    })();
  try {
    const store = openWitnessState({
      file: `${config.state}/witness.sqlite`,
      highWaterFile: config.highWaterFile ?? `${config.state}/high-water`,
      ...(config.stateBytesMax === undefined ? {} : { bytesMax: config.stateBytesMax }),
    });
    closers.push(() => store.close());
    const evidence = openEvidenceFolder(`${config.state}/evidence`, log);
    const metrics = witnessMetrics(() => evidence.count());
    const witness = new Witness({
      logs,
      store,
      evidence,
      key: key.key,
      sign: (message) => key.sign(message),
      clock,
      log,
      clockToleranceSeconds: config.clockToleranceSeconds,
      observe: metrics.observe,
    });
    const app = witnessApp({ witness, rate: new RateLimit(config.rate), clock });
    const adminApp = witnessAdminApp(metrics, vkey);
    const open = async (...parameters: Parameters<typeof openWitnessListener>): Promise<WitnessListener> => {
      const listener = await openWitnessListener(...parameters);
      closers.push(() => listener.close(DRAIN_MS));
      return listener;
    };
    const admin = await open(config.admin, undefined, clock, (request) => adminApp.fetch(request));
    const listener = await open(config.listen, tls, clock, (request, env) => app.fetch(request, env));
    log.info("witness.ready", { vkey, logs: logs.map(({ origin }) => origin) });
    return { listen: listener.address, admin: admin.address, vkey, stop: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function witnessedLogs(config: WitnessConfig): Promise<WitnessedLog[]> {
  return await Promise.all(config.logs.map(async ({ origin, keys, mirror }) => ({
    origin,
    vkeys: keys,
    keys: keys.map((key) => ed25519Verifier(parseVerifierKey(key))),
    ...(mirror === undefined ? {} : { mirror: await openMirror(config.state, origin, mirror) }),
  })));
}

type MirrorConfig = NonNullable<WitnessConfig["logs"][number]["mirror"]>;

async function openMirror(state: string, origin: string, mirror: MirrorConfig): Promise<Mirror> {
  // The folder's name as tlog-mirror has it: SHA-256 of the origin in lower-case hex.
  const store = tileFolder(`${state}/mirror/${sha256(toUtf8(origin)).toHex()}`);
  if ("folder" in mirror) return new Mirror(folderSource(mirror.folder), store);
  const tls = mirror.authority === undefined ? {} : { authority: await readText(mirror.authority) };
  return new Mirror(httpsSource(mirror.url, MIRROR_DEADLINE_MS, tls), store);
}

async function readTls(
  { certificate, key, clients }: NonNullable<WitnessConfig["tls"]>,
): Promise<WitnessTls> {
  const own = { certificate: await readText(certificate), key: await readText(key) };
  if (clients === undefined) return own;
  const { authority, revocationList, whenStale } = clients;
  const pem = await readText(authority);
  const trust = await readTrust([{
    certificates: { name: authority, pem },
    ...(revocationList === undefined
      ? {}
      : { revocationList: { name: revocationList, pem: await readText(revocationList) } }),
    whenStale,
  }]);
  return { ...own, clients: { authority: pem, trust } };
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("WITNESS_CONFIG", `Cannot read ${path}: ${(error as Error).name}`, { path });
  }
}
