/** How honest clients fare at our gateway while others attack it: p99 quiet, under slow clients, and under a flood of bad handshakes. */

import { runLoad } from "./gateway_load.ts";
import { startSubject, type SubjectOptions } from "./gateway_subjects.ts";
import { rounded } from "./statistics.ts";

/** What honest clients saw. */
export interface HonestFigures {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Broken connections and answers other than 200. */
  readonly failed: number;
}

/** The result. */
export interface GatewayAttack {
  readonly quiet: HonestFigures;
  /** While so many clients send heads that never end, and come again ten seconds after they are cut off. */
  readonly slow: HonestFigures & { readonly clients: number };
  /** While 64 connections at a time fail their handshakes as fast as they can. */
  readonly flood: HonestFigures & { readonly handshakes: number };
  /** p99 divided by the quiet one. */
  readonly ratio: { readonly slow: number; readonly flood: number };
}

/** What to measure. */
export interface AttackOptions extends Omit<SubjectOptions, "routes" | "denied"> {
  readonly seconds: number;
  readonly slowClients: number;
  readonly loadProcessor: number | undefined;
  readonly tell: (line: string) => void;
}

/** Honest clients at the same time: few, so that it is the gateway that is measured and not its queue. */
const HONEST = 8;
const FLOODERS = 64;
/** A flood lasts this much longer than what is measured in it, seconds. */
const AROUND = 3;

/** Measures. */
export async function benchAttack(options: AttackOptions): Promise<GatewayAttack> {
  const { folder, tell, seconds, slowClients, loadProcessor: processor } = options;
  const subject = await startSubject("ours", { ...options, denied: 0 });
  const at = { port: subject.port, processor };
  const honest = async (): Promise<HonestFigures> => {
    const load = await runLoad(folder, { ...at, mode: "requests", connections: HONEST, seconds });
    return {
      requestsPerSecond: Math.round(load.count / load.seconds),
      p50Ms: rounded(load.p50Ms, 2),
      p99Ms: rounded(load.p99Ms, 2),
      failed: load.errors + load.refused,
    };
  };
  try {
    tell("honest clients, quiet");
    await honest(); // compiled and warm
    const quiet = await honest();
    tell(`honest clients under ${slowClients} slow ones`);
    const opened = Promise.withResolvers<void>();
    const slowLoad = runLoad(folder, {
      ...at,
      mode: "slow",
      givesWay: true,
      connections: slowClients,
      seconds: seconds + AROUND,
      onCounting: () => Promise.resolve(opened.resolve()),
    });
    await Promise.race([opened.promise, slowLoad]);
    const slow = { ...await honest(), clients: slowClients };
    await slowLoad;
    tell("honest clients under a flood of bad handshakes");
    const floodLoad = runLoad(folder, {
      ...at,
      mode: "flood",
      givesWay: true,
      connections: FLOODERS,
      seconds: seconds + AROUND,
    });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const flood = await honest();
    const { errors } = await floodLoad;
    const of = (figures: HonestFigures) => rounded(figures.p99Ms / quiet.p99Ms, 2);
    return {
      quiet,
      slow,
      flood: { ...flood, handshakes: errors },
      ratio: { slow: of(slow), flood: of(flood) },
    };
  } finally {
    await subject.stop();
  }
}
