/** How the cost of our gateway grows: with rules, with denied networks, and with connections that do nothing. */

import { compileNetworks } from "gateway/domain/networks.ts";
import { cpuMsOfTree } from "./cpu.ts";
import { deniedNetworks } from "./gateway_files.ts";
import { runLoad } from "./gateway_load.ts";
import { startSubject, type Subject, type SubjectOptions } from "./gateway_subjects.ts";
import { memoryMbOfTree } from "./memory.ts";
import { rounded } from "./statistics.ts";

/** The result. */
export interface GatewayGrowth {
  /** Routes -> processor time of a request, and how long the gateway takes to start. */
  readonly rules: Readonly<Record<string, { readonly cpuUsPerRequest: number; readonly startMs: number }>>;
  /** Networks -> time of one look, and to compile them all. */
  readonly networks: Readonly<Record<string, { readonly lookupNs: number; readonly compileMs: number }>>;
  /** Connections that are open, each after one request. */
  readonly idle: { readonly connections: number; readonly memoryMB: number; readonly memoryMBBefore: number };
}

const RULES = [10, 1_000, 10_000] as const;
const LOOKUPS = 20_000;

/** What to measure. */
export interface GrowthOptions extends Omit<SubjectOptions, "routes" | "denied"> {
  readonly seconds: number;
  readonly networks: readonly number[];
  readonly idle: number;
  readonly loadProcessor: number | undefined;
  readonly tell: (line: string) => void;
}

/** Measures. */
export async function benchGrowth(options: GrowthOptions): Promise<GatewayGrowth> {
  const { folder, tell } = options;
  const load = { connections: 32, seconds: options.seconds, processor: options.loadProcessor };
  const rules: Record<string, { cpuUsPerRequest: number; startMs: number }> = {};
  for (const routes of RULES) {
    tell(`${routes} rules`);
    const begun = performance.now();
    await using subject = disposable(await startSubject("ours", { ...options, routes, denied: 0 }));
    const startMs = Math.round(performance.now() - begun);
    const { port, pid } = subject;
    await runLoad(folder, { ...load, port, mode: "requests" }); // compiled and warm
    let [before, after] = [0, 0];
    const { count } = await runLoad(folder, {
      ...load,
      port,
      mode: "requests",
      onCounting: async () => void (before = await cpuMsOfTree(String(pid))),
      onCounted: async () => void (after = await cpuMsOfTree(String(pid))),
    });
    rules[routes] = { cpuUsPerRequest: rounded((after - before) * 1000 / Math.max(1, count)), startMs };
  }
  const networks = Object.fromEntries(options.networks.map((count) => {
    tell(`${count} networks`);
    return [String(count), networkCost(count)];
  }));
  tell(`${options.idle} idle connections`);
  await using subject = disposable(await startSubject("ours", { ...options, denied: 0 }));
  const memoryMBBefore = rounded(await memoryMbOfTree(subject.pid));
  let memoryMB = 0;
  await runLoad(folder, {
    ...load,
    port: subject.port,
    mode: "idle",
    connections: options.idle,
    seconds: 3,
    onCounting: async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      memoryMB = rounded(await memoryMbOfTree(subject.pid));
    },
  });
  return { rules, networks, idle: { connections: options.idle, memoryMB, memoryMBBefore } };
}

function disposable(subject: Subject): Subject & AsyncDisposable {
  return { ...subject, [Symbol.asyncDispose]: () => subject.stop() };
}

function networkCost(count: number): { lookupNs: number; compileMs: number } {
  const texts = deniedNetworks(count);
  const begun = performance.now();
  const set = compileNetworks(texts);
  const compileMs = Math.round(performance.now() - begun);
  const addresses = Array.from({ length: 256 }, (_, i) => `${1 + i % 200}.${i}.7.${255 - i}`);
  const from = performance.now();
  let looked = 0;
  // A set that is looked through one by one would take minutes.
  while (looked < LOOKUPS && performance.now() - from < 2_000) {
    set.contains(addresses[looked++ % addresses.length]!);
  }
  const lookupNs = Math.round((performance.now() - from) * 1e6 / looked);
  return { lookupNs, compileMs };
}
