/**
 * `rk bench batch`: a large batch on PostgreSQL and SoftHSM2, from its report to the verified export. Its cards are entered as
 * rows; everything else is what `rk batch` does, through the gateways. What counts is that no request comes near its
 * deadline and that no process needs more memory for more cards.
 */

import { openDatabase } from "shared/transport/postgres/database.ts";
import { checkProfile } from "factory/domain/profile.ts";
import { profileTemplate } from "factory/domain/profile_template.ts";
import { enterManyCards } from "factory/transport/issuance_store/testing/many_cards.ts";
import { exportBatch, recordKeyOf } from "../batch/export.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { asBatchManager, createBatch } from "../spine/batch.ts";
import { LOCAL_STATION } from "../spine/configurations.ts";
import type { Spine } from "../spine/spine.ts";
import { cpuMsOf, peakMemoryMb } from "./cpu.ts";
import { rounded } from "./statistics.ts";

/** What to measure. */
export interface BatchBenchOptions {
  readonly spine: Spine;
  readonly cards: number;
  readonly tell: (line: string) => void;
}

/** The result. Times are seconds unless their names say otherwise. */
export interface BatchBench {
  readonly cards: number;
  /** Of them, declared missing by the closing. */
  readonly missing: number;
  readonly report: number;
  readonly close: number;
  readonly export: number;
  readonly verify: number;
  /** Verification that makes the proof of one card. */
  readonly proof: number;
  /** The longest of all requests, in milliseconds; the service's own deadline is 10,000. */
  readonly longestRequestMs: number;
  readonly exportMb: number;
  /**
   * Highest resident memory in megabytes: each service before and after, this process while it exports, `rk batch verify`,
   * and the same with the proof of a card.
   */
  readonly peakMb: Readonly<
    Record<"serviceBefore" | "service" | "export" | "verify" | "proof", number>
  >;
  /** Of both services together, processor milliseconds a card for the closing. */
  readonly closeCpuMsPerCard: number;
}

const SERVICES = ["attestation-a", "attestation-b"] as const;
const REASON = "measurement of a large batch";

/** Runs the benchmark on a real spine. */
export async function benchBatch({ spine, cards, tell }: BatchBenchOptions): Promise<BatchBench> {
  const { folder, batchManagerFile } = spine.descriptor;
  const profile = checkProfile(JSON.parse(profileTemplate("test-card")));
  const { batch } = await createBatch(batchManagerFile, profile, cards + 1);
  const missing = Math.floor(cards / 20);
  tell(`${cards} cards are entered, ${missing} of them in flight`);
  await enter(spine, batch, cards, missing);

  const pids = SERVICES.map((name) => spine.children.get(name)!.pid);
  const services = async () => Math.max(...await Promise.all(pids.map(peakMemoryMb)));
  const serviceBefore = await services();
  const cpuBefore = await cpuMsOf(...pids);
  let longestRequestMs = 0;
  const timed = async <T>(name: string, work: (lap: () => void) => Promise<T>): Promise<[T, number]> => {
    const begun = performance.now();
    let last = begun;
    const lap = () => {
      const now = performance.now();
      longestRequestMs = Math.max(longestRequestMs, now - last);
      last = now;
    };
    const value = await work(lap);
    const seconds = rounded((performance.now() - begun) / 1000);
    tell(`${name}: ${seconds} s`);
    return [value, seconds];
  };

  return await asBatchManager(batchManagerFile, async (client) => {
    const [, report] = await timed("report", async (lap) => {
      await client.report(batch);
      lap();
    });
    const [closed, close] = await timed("close", async (lap) => {
      const request = { batch, missing: "all", giveUpUnused: true, reason: REASON } as const;
      const answer = await client.close(request, lap);
      lap();
      return answer;
    });
    if (!closed.closed) throw new Error(`The batch is not closed: ${JSON.stringify(closed)}`);
    const closeCpuMsPerCard = rounded((await cpuMsOf(...pids) - cpuBefore) / cards, 2);
    const out = `${folder}/batch.jsonl`;
    const [, exported] = await timed("export", () => exportBatch(client, batch, out, "jsonl"));
    const exportMb = rounded((await Deno.stat(out)).size / 1e6);
    const key = `${folder}/record.jwk`;
    const { jwk } = await recordKeyOf(client);
    await Deno.writeTextFile(key, JSON.stringify({ ...jwk, use: "sig", alg: "ES256" }));
    const peak = { serviceBefore, service: await services(), export: await peakMemoryMb(Deno.pid) };
    const [verifyPeak, verify] = await timed("verify", () => verifier(out, key));
    const first = (await client.report(batch)).firstSerial;
    const [proofPeak, proof] = await timed(
      "verify with a proof",
      () => verifier(out, key, "--serial", first),
    );
    return {
      cards,
      missing,
      report,
      close,
      export: exported,
      verify,
      proof,
      longestRequestMs: Math.round(longestRequestMs),
      exportMb,
      peakMb: { ...peak, verify: verifyPeak, proof: proofPeak },
      closeCpuMsPerCard,
    };
  });
}

/** Enters cards straight into the database. */
async function enter({ postgres }: Spine, batch: string, cards: number, inFlight: number): Promise<void> {
  const database = openDatabase({
    url: postgres!.url,
    tls: postgres!.tls!,
    applicationName: "bench",
    max: 2,
    statementTimeoutMs: 120_000,
    deadlineMs: 120_000,
  });
  try {
    await enterManyCards(database, { batch, station: LOCAL_STATION, cards, inFlight, scrapEvery: 25 });
  } finally {
    await database.close();
  }
}

/** The process of `rk batch verify`, whose memory is asked for until it ends. @returns its peak in megabytes. */
async function verifier(file: string, key: string, ...more: string[]): Promise<number> {
  const child = new Deno.Command(DENO, {
    args: [
      "run",
      "--quiet",
      "--frozen",
      `--config=${REPOSITORY}/deno.json`,
      `--allow-read=${file},${key}`,
      `${REPOSITORY}/factory/app/batch_verify_main.ts`,
      file,
      "--key",
      key,
      ...more,
      "--json",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  let peak = 0;
  const status = child.status.finally(() => ended = true);
  while (!ended) {
    peak = Math.max(peak, await peakMemoryMb(child.pid));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const { code } = await status;
  if (code !== 0) throw new Error(`rk batch verify ended with ${code}`);
  return peak;
}
