/**
 * `rk bench attest`: cards that the attestation service reserves and attests in a second, on PostgreSQL and SoftHSM2, beside the
 * limit that nothing can pass: the token's own signing rate, measured in the same run.
 */

import { fromHex, toUtf8 } from "shared/base/bytes.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { profileTemplate } from "factory/domain/profile_template.ts";
import { checkProfile } from "factory/domain/profile.ts";
import { ISSUER_LABEL } from "factory/domain/factory_keys.ts";
import { createBatch } from "../spine/batch.ts";
import type { Spine } from "../spine/spine.ts";
import {
  direct,
  enterStations,
  oneCard,
  type StationAttestation,
  throughGateway,
} from "./attest_stations.ts";
import { cpuMsOf, cpuMsOfTree } from "./cpu.ts";
import { percentile, rounded } from "./statistics.ts";

/** What to measure. */
export interface AttestBenchOptions {
  readonly spine: Spine;
  /** How long each load lasts, in seconds. */
  readonly seconds: number;
  readonly tell: (line: string) => void;
}

/** The result; the first four names are those of the commands that measure. */
export interface AttestBench {
  /**
   * Cards a second by number of stations, each one reservation and one attestation: two signed requests over HTTPS with
   * client certificates straight to one service process, two transactions, one signature of the token.
   */
  readonly perSecond: Readonly<Record<string, number>>;
  /** 99th percentile of one request with 16 stations, in milliseconds. */
  readonly p99Ms: number;
  /** Signatures a second of the issuer's key: the same library and sessions, nothing else to do. */
  readonly tokenSignsPerSecond: number;
  /** `perSecond["16"]` as a share of it. */
  readonly share: number;
  /** Median and 99th percentile of each request by number of stations, in milliseconds. */
  readonly requestMs: Readonly<
    Record<string, Readonly<Record<"reserve" | "attest", { p50: number; p99: number }>>>
  >;
  /** The same load with 16 stations through both gateways to both services, with the station's own client. */
  readonly throughGateways: { readonly perSecond: number; readonly p99Ms: number };
  /** Processor milliseconds a card by process with 16 stations straight to the service; `load` plays stations and cards. */
  readonly cpuMsPerCard: Readonly<Record<"service" | "database" | "load", number>>;
  /** Processors of this machine: everything above shares them. */
  readonly processors: number;
}

const STATIONS = [1, 4, 16] as const;
/** Serials of the batch: more than any machine uses up in the time. */
const QUANTITY = 500_000;
/** Before anything is counted: connections and the compiler. */
const WARM_UP_SECONDS = 1;
/** Sessions of the token, those of the service. */
const SIGNERS = 4;

interface Load {
  readonly perSecond: number;
  readonly reserveMs: readonly number[];
  readonly attestMs: readonly number[];
}

/** Runs the benchmark on a real spine. */
export async function benchAttest({ spine, seconds, tell }: AttestBenchOptions): Promise<AttestBench> {
  tell("16 stations enter");
  const stations = await enterStations(spine, Math.max(...STATIONS));
  const profile = checkProfile(JSON.parse(profileTemplate("test-card")));
  const { batch } = await createBatch(spine.descriptor.batchManagerFile, {
    ...profile,
    anonymousChips: false,
  }, QUANTITY);
  const targetId = fromHex(profile.targetId);
  const run = async (open: typeof direct, count: number, forSeconds: number) => {
    const services = await Promise.all(stations.slice(0, count).map((station) => open(spine, station)));
    try {
      return await load(services, batch, targetId, forSeconds);
    } finally {
      for (const service of services) service.close();
    }
  };
  await run(direct, stations.length, WARM_UP_SECONDS);

  const perSecond: Record<string, number> = {};
  const requestMs: Record<string, AttestBench["requestMs"][string]> = {};
  let crowded: Load | undefined;
  let cpuMsPerCard: AttestBench["cpuMsPerCard"] | undefined;
  for (const count of STATIONS) {
    const before = await cpuOf(spine);
    const measured = await run(direct, count, seconds);
    const after = await cpuOf(spine);
    perSecond[count] = rounded(measured.perSecond);
    requestMs[count] = { reserve: spread(measured.reserveMs), attest: spread(measured.attestMs) };
    tell(`${count} station${count === 1 ? "" : "s"}: ${perSecond[count]} cards a second`);
    crowded = measured;
    const cards = measured.attestMs.length;
    const each = (name: keyof typeof after) => rounded((after[name] - before[name]) / cards, 2);
    cpuMsPerCard = { service: each("service"), database: each("database"), load: each("load") };
  }
  tell("16 stations through the gateways");
  await run(throughGateway, stations.length, WARM_UP_SECONDS);
  const gateways = await run(throughGateway, stations.length, seconds);
  tell("the token alone");
  const tokenSignsPerSecond = await tokenRate(spine, seconds);
  const { reserveMs, attestMs } = crowded!;
  return {
    perSecond,
    p99Ms: rounded(percentile([...reserveMs, ...attestMs], 99)),
    tokenSignsPerSecond: rounded(tokenSignsPerSecond),
    share: rounded(perSecond["16"]! / tokenSignsPerSecond, 3),
    requestMs,
    throughGateways: {
      perSecond: rounded(gateways.perSecond),
      p99Ms: rounded(percentile([...gateways.reserveMs, ...gateways.attestMs], 99)),
    },
    cpuMsPerCard: cpuMsPerCard!,
    processors: navigator.hardwareConcurrency,
  };
}

/** Every station works on one card after the other until the time is up. */
async function load(
  services: readonly StationAttestation[],
  batch: string,
  targetId: Uint8Array,
  seconds: number,
): Promise<Load> {
  const reserveMs: number[] = [];
  const attestMs: number[] = [];
  const begun = performance.now();
  const end = begun + seconds * 1000;
  await Promise.all(services.map(async (service) => {
    while (performance.now() < end) {
      const card = await oneCard(service, batch, targetId);
      reserveMs.push(card.reserveMs);
      attestMs.push(card.attestMs);
    }
  }));
  return { perSecond: attestMs.length / (performance.now() - begun) * 1000, reserveMs, attestMs };
}

function spread(values: readonly number[]): { p50: number; p99: number } {
  return { p50: rounded(percentile(values, 50)), p99: rounded(percentile(values, 99)) };
}

async function cpuOf(spine: Spine): Promise<Record<"service" | "database" | "load", number>> {
  return {
    service: await cpuMsOf(spine.children.get("attestation-a")!.pid),
    database: await cpuMsOfTree(await postmaster(spine)),
    load: await cpuMsOf(Deno.pid),
  };
}

/** The database server's process id, from the server itself: its data folder's postmaster.pid begins with it. */
async function postmaster({ postgres }: Spine): Promise<string> {
  const text = await Deno.readTextFile(`${postgres!.socketDirectory}/data/postmaster.pid`);
  return text.split("\n")[0]!;
}

/** Signatures a second with the sessions of the service, while nothing else runs. */
async function tokenRate({ token }: Spine, seconds: number): Promise<number> {
  const { configuration } = token;
  if (configuration.kind !== "pkcs11") throw new Error("Cannot measure the token: it is no PKCS#11 token");
  const { kind: _, ...options } = configuration;
  const hsm: Hsm = await openPkcs11Hsm({ ...options, sessions: SIGNERS });
  try {
    const message = toUtf8(
      "what a certificate of a card is about as long as: serial, key, target, 90 bytes or so",
    );
    let count = 0;
    const begun = performance.now();
    const end = begun + seconds * 1000;
    await Promise.all(Array.from({ length: 2 * SIGNERS }, async () => {
      while (performance.now() < end) {
        await hsm.sign(ISSUER_LABEL, message);
        count++;
      }
    }));
    return count / (performance.now() - begun) * 1000;
  } finally {
    await hsm.close();
  }
}
