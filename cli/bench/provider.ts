/**
 * `rk bench provider`: one backup provider over SoftHSM2 and PostgreSQL. Backups, restores and deletions with a real device; where
 * the milliseconds of a backup and of a restore go; and what a lookup and an insert cost among many rows.
 */

import { toHex } from "shared/base/bytes.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { Database } from "shared/transport/postgres/database.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { VaultStep } from "providers/vault/protocol.ts";
import type {
  DeleteAnswer,
  DepositAnswer,
  OpenSessionAnswer,
  OpenSessionRequest,
  ReleaseAnswer,
} from "shared/protocol/wire/recover.ts";
import { makeDevice, makeMaker, type TestDevice } from "tests/recover/device.ts";
import { openRequest, verify } from "tests/recover/flows.ts";
import { HostSession } from "tests/recover/host.ts";
import { type Instrument, startProviders, type TestProvider } from "tests/recover/provider.ts";
import { type CurveShare, curveShares, curveWork } from "./provider_curve.ts";
import { benchRows, type RowsBench } from "./provider_rows.ts";
import { percentile, rounded } from "./statistics.ts";

/** Requests that an act may take at one provider. */
export const REQUESTS_MAX = { backup: 3, restore: 4, delete: 3 } as const;
type Act = keyof typeof REQUESTS_MAX;

/** Milliseconds of one act at one provider, medians. */
export interface ActMs {
  readonly hsm: number;
  readonly curve: number;
  readonly database: number;
  readonly rest: number;
  readonly total: number;
}

/** The result. */
export interface ProviderBench {
  /** Acts a second of one provider on one processor, one after the other: its database and its token share that processor. */
  readonly perCore: { readonly backups: number; readonly restores: number; readonly deletes: number };
  readonly ms: {
    readonly backup: ActMs;
    readonly restore: ActMs;
    /** The larger of both, part by part. */
    readonly hsm: number;
    readonly curve: number;
    readonly database: number;
    readonly rest: number;
  };
  /** Requests from orchestrator to one provider, counted. */
  readonly requests: Readonly<Record<Act, number>>;
  /** Curve arithmetic beside the best software of Debian: times slower; by which libraries. */
  readonly curve: CurveShare;
  readonly rows: Readonly<Record<string, RowsBench>>;
}

/** What to measure. */
export interface ProviderBenchOptions {
  /** Acts of each kind. */
  readonly rounds: number;
  /** Numbers of rows, ascending. */
  readonly rows: readonly number[];
  readonly tell: (line: string) => void;
}

/** Rounds before anything counts. */
const WARM_UP = 5;

class Stopwatch {
  readonly spent = { hsm: 0, database: 0, total: 0 };
  requests = 0;
  reset(): void {
    Object.assign(this.spent, { hsm: 0, database: 0, total: 0 });
    this.requests = 0;
  }
  async time<T>(name: "hsm" | "database" | "total", work: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    try {
      return await work();
    } finally {
      this.spent[name] += performance.now() - begun;
    }
  }
}

function instrument(watch: Stopwatch): Instrument {
  return {
    tls: true,
    hsm: (hsm) =>
      new Proxy(hsm, {
        get(target, name) {
          const value = target[name as keyof Hsm] as unknown;
          if (typeof value !== "function") return value;
          return (...args: unknown[]) => watch.time("hsm", () => value.apply(target, args));
        },
      }),
    database: (database): Database => ({
      ...database,
      sql: database.sql,
      ping: (deadlineMs) => database.ping(deadlineMs),
      close: () => database.close(),
      transaction: (work, options) => watch.time("database", () => database.transaction(work, options)),
    }),
  };
}

/** One provider's part of each act; the device's work is done between the steps and is not counted. */
function actsAt(provider: TestProvider, watch: Stopwatch) {
  const maker = provider.maker;
  const step = async <T>(name: VaultStep, session: string, body: unknown): Promise<T> => {
    watch.requests++;
    const outcome = await watch.time("total", () => provider.service.step(name, session, body));
    if (outcome.kind === "refuse") throw new Error(`Cannot measure: ${name} was refused, ${outcome.reasons}`);
    return outcome.answer as T;
  };
  const open = async (device: TestDevice, flow: OpenSessionRequest["flow"], backupId: string) => {
    const host = await HostSession.open(maker, device);
    const request = openRequest(host, flow, backupId, true);
    const answer = await step<OpenSessionAnswer>("open", request.session, request);
    return { host, session: request.session, answer, confirmation: await host.introduce(answer) };
  };
  return {
    async backup(owner: TestDevice, backupId: string) {
      const { host, session, answer } = await open(owner, "backup", backupId);
      const sealed = await verify(provider, answer, owner, SYSTEM_CLOCK);
      await host.stored(await step<DepositAnswer>("deposit", session, await host.share(sealed)));
      await step("commit", session, {});
    },
    async restore(backupId: string) {
      const device = makeDevice(maker);
      const first = await open(device, "restore", backupId);
      await step("confirm", first.session, { sealedConfirmation: first.confirmation });
      const { host, session, answer } = await open(device, "release", backupId);
      const sealedVerification = await verify(provider, answer, device, SYSTEM_CLOCK);
      await host.restore(await step<ReleaseAnswer>("release", session, { sealedVerification }));
    },
    async delete(owner: TestDevice, backupId: string) {
      const { host, session } = await open(owner, "delete", backupId);
      const asked = await step<DeleteAnswer>("delete", session, { sealedVerification: null });
      await step("deletion", session, { sealedSignature: await host.sign(asked) });
    },
  };
}

interface Measured {
  readonly hsm: number;
  readonly database: number;
  readonly total: number;
  readonly requests: number;
}

/** Runs the benchmark. */
export async function benchProvider({ rounds, rows, tell }: ProviderBenchOptions): Promise<ProviderBench> {
  const watch = new Stopwatch();
  const maker = makeMaker();
  const verifies = { backup: true, delete: false };
  await using running = await startProviders(
    maker,
    SYSTEM_CLOCK,
    "PostgreSQL and SoftHSM",
    { verifies },
    [1],
    instrument(watch),
  );
  const [provider] = running.providers as [TestProvider];
  const acts = actsAt(provider, watch);
  const measured: Record<Act, Measured[]> = { backup: [], restore: [], delete: [] };
  const curves = curveWork();
  const curveMs = { backup: [] as number[], restore: [] as number[] };
  const measure = async (act: Act, work: () => Promise<void>) => {
    watch.reset();
    await work();
    measured[act].push({ ...watch.spent, requests: watch.requests });
  };
  tell(`${rounds} backups, restores and deletions`);
  for (let round = -WARM_UP; round < rounds; round++) {
    const owner = makeDevice(maker, SYSTEM_RANDOM(32));
    const backupId = toHex(SYSTEM_RANDOM(16));
    await measure("backup", () => acts.backup(owner, backupId));
    await measure("restore", () => acts.restore(backupId));
    await measure("delete", () => acts.delete(owner, backupId));
    for (const act of ["backup", "restore"] as const) {
      const begun = performance.now();
      curves[act]();
      curveMs[act].push(performance.now() - begun);
    }
    if (round === -1) {
      for (const each of [...Object.values(measured), ...Object.values(curveMs)]) each.length = 0;
    }
  }
  tell("curve arithmetic, ours and the best software of Debian");
  const curve = await curveShares({
    backup: rounded(percentile(curveMs.backup, 50), 3),
    restore: rounded(percentile(curveMs.restore, 50), 3),
  });
  const requests = { backup: 0, restore: 0, delete: 0 };
  for (const act of Object.keys(requests) as Act[]) {
    requests[act] = Math.max(...measured[act].map((each) => each.requests));
    if (requests[act] > REQUESTS_MAX[act]) {
      throw new Error(`Cannot accept: ${requests[act]} requests for one ${act}, not ${REQUESTS_MAX[act]}`);
    }
  }
  const ms = (act: "backup" | "restore"): ActMs => {
    const median = (name: "hsm" | "database" | "total") =>
      percentile(measured[act].map((each) => each[name]), 50);
    const rest = median("total") - median("hsm") - median("database") - curve.ours[act];
    return {
      hsm: rounded(median("hsm"), 2),
      curve: rounded(curve.ours[act], 2),
      database: rounded(median("database"), 2),
      rest: rounded(rest, 2),
      total: rounded(median("total"), 2),
    };
  };
  const perSecond = (act: Act) => {
    const total = measured[act].reduce((sum, each) => sum + each.total, 0);
    return rounded(measured[act].length / (total / 1000));
  };
  const backup = ms("backup");
  const restore = ms("restore");
  const larger = (name: keyof ActMs) => Math.max(backup[name], restore[name]);
  const rowsOf: Record<string, RowsBench> = {};
  for (const count of rows) rowsOf[count] = await benchRows(provider, count, tell);
  return {
    perCore: { backups: perSecond("backup"), restores: perSecond("restore"), deletes: perSecond("delete") },
    ms: {
      backup,
      restore,
      hsm: larger("hsm"),
      curve: larger("curve"),
      database: larger("database"),
      rest: larger("rest"),
    },
    requests,
    curve,
    rows: rowsOf,
  };
}
