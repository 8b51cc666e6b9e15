/**
 * `rk bench gateway`: our gateway beside nginx, HAProxy and Caddy from Debian, configured alike and loaded by turns, so that a slow
 * minute of the machine hits them all. Each gateway has one processor for itself, load and upstream have another: what is compared
 * is what a gateway makes of one processor.
 */

import { cpuMsOfTree } from "./cpu.ts";
import { BENCH_PATH, writeBenchFiles } from "./gateway_files.ts";
import { buildLoad, type LoadResult, runLoad } from "./gateway_load.ts";
import { benchAttack, type GatewayAttack } from "./gateway_attack.ts";
import { benchGrowth, type GatewayGrowth } from "./gateway_growth.ts";
import { memoryMbOfTree } from "./memory.ts";
import { startSubject, startUpstreamProcess, type Subject, type SubjectName } from "./gateway_subjects.ts";
import { percentile, rounded } from "./statistics.ts";

/** What to measure. */
export interface GatewayBenchOptions {
  /** Temporary folder. */
  readonly folder: string;
  /** Folder with the others' configuration files. */
  readonly peers: string;
  /** Time of requests and of handshakes for each gateway, all rounds together. */
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  /** Client certificates. */
  readonly certificates: number;
  /** Keep gateway and load apart, each on a processor of its own. */
  readonly pinned: boolean;
  readonly subjects: readonly SubjectName[];
  /** Also how the cost of ours grows. */
  readonly growth: boolean;
  /** Also how honest clients fare at ours under attack. */
  readonly attack: boolean;
  readonly tell: (line: string) => void;
}

/** What one gateway did. */
export interface GatewayFigures {
  /** Median of the rounds. */
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Full handshakes, each with a request and its answer. */
  readonly handshakesPerSecond: number;
  /** Processor time of the gateway for a request; says the same on a busy machine. */
  readonly cpuUsPerRequest: number;
  readonly cpuUsPerHandshake: number;
  /** Proportional set size after the load. */
  readonly memoryMB: number;
  /** Broken connections and answers other than 200. */
  readonly failed: number;
}

/** Ours divided by another's. */
export interface GatewayRatio {
  readonly requests: number;
  /** Above 1: ours waits longer. */
  readonly p99: number;
  readonly handshakes: number;
  /** Above 1: ours costs more processor time a request. */
  readonly cpu: number;
}

/** The result; names are those of the commands that measure. */
export interface GatewayBench extends Partial<Record<SubjectName, GatewayFigures>> {
  readonly ratio: Partial<Record<SubjectName, GatewayRatio>>;
  /** Where it was asked for. */
  readonly growth?: GatewayGrowth;
  /** Where it was asked for. */
  readonly attack?: GatewayAttack;
  /** How it was measured. */
  readonly setting: {
    readonly processors: number;
    readonly pinned: boolean;
    readonly connections: number;
    readonly certificates: number;
    readonly rounds: number;
    readonly path: string;
    /** Share of its processor that the load generator used at most: near 1 it would hold the gateways back. */
    readonly loadShare: number;
  };
}

/** Load before anything is counted, seconds. */
const WARM_SECONDS = 4;
/** Denied networks. */
const DENIED = 100;

interface Rounds {
  readonly requests: LoadResult[];
  readonly handshakes: LoadResult[];
  readonly cpu: { requests: number[]; handshakes: number[] };
  memoryMB: number;
}

/** Runs the benchmark. @throws {CodedError} `BENCH_GATEWAY`. */
export async function benchGateway(options: GatewayBenchOptions): Promise<GatewayBench> {
  const { folder, tell, subjects } = options;
  tell(`${options.certificates} client certificates`);
  await writeBenchFiles(folder, { certificates: options.certificates, denied: DENIED });
  await buildLoad(folder);
  const [gatewayProcessor, loadProcessor] = options.pinned ? [0, 1] : [undefined, undefined];
  const shared = { folder, peers: options.peers, denied: DENIED, connections: 16_000 };
  const running = new Map<SubjectName, Subject>();
  const upstream = await startUpstreamProcess({ ...shared, processor: loadProcessor });
  try {
    for (const name of subjects) {
      const at = { ...shared, upstream: `127.0.0.1:${upstream.port}`, processor: gatewayProcessor };
      running.set(name, await startSubject(name, at));
    }
    const seen = new Map(subjects.map((name): [SubjectName, Rounds] => [name, {
      requests: [],
      handshakes: [],
      cpu: { requests: [], handshakes: [] },
      memoryMB: 0,
    }]));
    for (const name of subjects) {
      tell(`warming up ${name}`);
      const { port } = running.get(name)!;
      const { connections, seconds } = options;
      // What is compared is a gateway that has been serving for a while: caches, connections and compiled code are there.
      const warm = { connections, seconds: Math.min(WARM_SECONDS, seconds), processor: loadProcessor };
      await runLoad(folder, { ...warm, port, mode: "requests" });
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const mode of ["requests", "handshakes"] as const) {
        for (const name of subjects) {
          tell(`round ${round + 1} of ${options.rounds}: ${mode} through ${name}`);
          const { port, pid } = running.get(name)!;
          const rounds = seen.get(name)!;
          let [before, after] = [0, 0];
          const load = await runLoad(folder, {
            port,
            mode,
            connections: options.connections,
            seconds: options.seconds / options.rounds,
            processor: loadProcessor,
            onCounting: async () => void (before = await cpuMsOfTree(String(pid))),
            onCounted: async () => void (after = await cpuMsOfTree(String(pid))),
          });
          rounds[mode].push(load);
          rounds.cpu[mode].push((after - before) * 1000 / Math.max(1, load.count));
          rounds.memoryMB = Math.max(rounds.memoryMB, await memoryMbOfTree(pid));
        }
      }
    }
    const figures = new Map(subjects.map((name) => [name, figuresOf(seen.get(name)!)]));
    const loads = [...seen.values()].flatMap(({ requests, handshakes }) => [...requests, ...handshakes]);
    const growth = options.growth
      ? await benchGrowth({
        ...shared,
        upstream: `127.0.0.1:${upstream.port}`,
        processor: gatewayProcessor,
        loadProcessor,
        seconds: 3,
        networks: [10, 1_000, 1_000_000],
        idle: 10_000,
        tell,
      })
      : undefined;
    const attack = options.attack
      ? await benchAttack({
        ...shared,
        upstream: `127.0.0.1:${upstream.port}`,
        processor: gatewayProcessor,
        loadProcessor,
        seconds: Math.min(8, Math.max(3, options.seconds)),
        slowClients: 5_000,
        tell,
      })
      : undefined;
    return {
      ...Object.fromEntries(figures),
      ...(attack === undefined ? {} : { attack }),
      ...(growth === undefined ? {} : { growth }),
      ratio: ratiosOf(figures),
      setting: {
        processors: navigator.hardwareConcurrency,
        pinned: options.pinned,
        connections: options.connections,
        certificates: options.certificates,
        rounds: options.rounds,
        path: BENCH_PATH,
        loadShare: rounded(Math.max(...loads.map((load) => load.cpuSeconds / load.seconds)), 2),
      },
    };
  } finally {
    await Promise.all([...running.values(), upstream].map((subject) => subject.stop()));
  }
}

const median = (values: readonly number[]) => percentile(values, 50);

function figuresOf({ requests, handshakes, cpu, memoryMB }: Rounds): GatewayFigures {
  const rate = (loads: readonly LoadResult[]) =>
    Math.round(median(loads.map(({ count, seconds }) => count / seconds)));
  return {
    requestsPerSecond: rate(requests),
    p50Ms: rounded(median(requests.map(({ p50Ms }) => p50Ms)), 2),
    p99Ms: rounded(median(requests.map(({ p99Ms }) => p99Ms)), 2),
    handshakesPerSecond: rate(handshakes),
    cpuUsPerRequest: rounded(median(cpu.requests)),
    cpuUsPerHandshake: Math.round(median(cpu.handshakes)),
    memoryMB: rounded(memoryMB),
    failed: [...requests, ...handshakes].reduce((sum, load) => sum + load.errors + load.refused, 0),
  };
}

function ratiosOf(figures: ReadonlyMap<SubjectName, GatewayFigures>): GatewayBench["ratio"] {
  const ours = figures.get("ours");
  if (ours === undefined) return {};
  return Object.fromEntries(
    [...figures].filter(([name]) => name !== "ours").map(([name, other]): [string, GatewayRatio] => [name, {
      requests: rounded(ours.requestsPerSecond / other.requestsPerSecond, 2),
      p99: rounded(ours.p99Ms / other.p99Ms, 2),
      handshakes: rounded(ours.handshakesPerSecond / other.handshakesPerSecond, 2),
      cpu: rounded(ours.cpuUsPerRequest / other.cpuUsPerRequest, 2),
    }]),
  );
}
