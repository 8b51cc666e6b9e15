/**
 * Recover's services as processes of their own behind two gateways, each company with its PostgreSQL and its SoftHSM token, a proxy
 * before each database that knows every commit, and the means to kill any of them there and to start it again.
 */

import { HOME } from "cli/home.ts";
import { isEveryUpstreamUp, waitFor } from "cli/spine/recover/readiness.ts";
import type { RecoverServices } from "cli/spine/recover/services.ts";
import { type Spine, startSpine } from "cli/spine/spine.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { type CommitProxy, type OnCommit, startCommitProxy } from "./commit_proxy.ts";

/**
 * Who can be killed at a commit. `process` is the instance that commits, `vault` the one of the node that commits, `both` are both
 * instances with their vaults, `gateways` both gateways, `database` the server that commits.
 */
export const CRASH_VICTIMS = ["process", "vault", "both", "gateways", "database"] as const;
/** One of {@link CRASH_VICTIMS}. */
export type CrashVictim = (typeof CRASH_VICTIMS)[number];

/**
 * Times of the orchestrators' sweep in milliseconds: it looks often. A session that somebody works on is not given up however slow
 * the machine is; one that nobody works on is made old in the database (`settled`).
 */
const TIMES = { sweepMs: 300, carryThroughMs: 1_000, sessionMs: 120_000 } as const;
/** Longest wait for the services to be up or for sessions to end. */
const WAIT_MS = 90_000;

/** The service of an instance: `orchestrator`, `provider-1` and so on. */
export function serviceOf(instance: string): string {
  return instance.replace(/-[ab]$/, "");
}

/** Whether it is an instance, and not what its log commits by itself on connections of its own. */
export function isInstance(who: string): boolean {
  return /-[ab]$/.test(who);
}

/** The services under fire. */
export interface RecoverSpine extends AsyncDisposable {
  readonly spine: Spine;
  readonly services: RecoverServices;
  /** Called at each commit of each database. */
  onCommit(handler: OnCommit): void;
  /** Rows of backups at the three providers. */
  rows(): Promise<number[]>;
  /** Makes open sessions old, so that the sweep takes them up, and waits until none is open. @returns false when one stays. */
  settled(): Promise<boolean>;
  /** Waits until both gateways see every instance. */
  ready(): Promise<void>;
  /** SIGKILL; for a database an immediate shutdown. @param who the instance that commits. */
  kill(victim: CrashVictim, who: string): Promise<void>;
  /** Starts again what was killed. */
  revive(): Promise<void>;
}

const GATEWAYS = ["gateway-a", "gateway-b"];

/** Starts them. */
export async function openRecoverSpine(): Promise<RecoverSpine> {
  await Deno.mkdir(HOME, { recursive: true });
  await using started = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ dir: HOME, prefix: "crash-" });
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const proxies: CommitProxy[] = [];
  const spine = await startSpine({
    folder,
    real: true,
    recover: true,
    recoverTimes: TIMES,
    databaseProxy: ({ socketDirectory, port }, name) => {
      if (name === "attestation") return Promise.resolve(undefined);
      const proxy = startCommitProxy(`${socketDirectory}/.s.PGSQL.${port}`);
      proxies.push(started.use(proxy));
      return Promise.resolve(proxy.address);
    },
  });
  started.defer(() => spine.stop());
  const services = await spine.startRecover();
  const look = ({ url }: { readonly url: string }): Database => {
    const database = openDatabase({ url, applicationName: "audit", max: 1 });
    started.defer(() => database.close());
    return database;
  };
  const orchestrators = look(services.database);
  const databases = services.providers.map(({ database }) => look(database));
  const dead = new Set<string>();
  const deadDatabases = new Set<string>();
  const postgresOf = (service: string) =>
    (service === "orchestrator"
      ? services.database
      : services.providers.find(({ index }) => service === `provider-${index}`)!.database).postgres!;
  const { addresses } = spine.descriptor;
  const owned = started.move();
  return {
    spine,
    services,
    onCommit(handler) {
      for (const proxy of proxies) proxy.onCommit = handler;
    },
    rows: () => Promise.all(databases.map(rowsOf)),
    settled: () =>
      waitFor(async () => {
        const open = await orchestrators.sql`
          UPDATE recover_sessions SET changed_at = changed_at - interval '1 hour'
          WHERE NOT ended AND changed_at > now() - interval '30 minutes'`;
        const [row] = await orchestrators.sql<{ open: number }[]>`
          SELECT count(*)::int AS open FROM recover_sessions WHERE NOT ended`;
        return open.count === 0 && row!.open === 0;
      }, WAIT_MS),
    async ready() {
      for (const { admin } of [addresses.gatewayA, addresses.gatewayB]) {
        if (!await waitFor(() => isEveryUpstreamUp(admin), WAIT_MS)) {
          throw new Error(`gateway ${admin} is not ready`);
        }
      }
    },
    async kill(victim, who) {
      const service = serviceOf(who);
      if (victim === "database") {
        deadDatabases.add(service);
        return await postgresOf(service).kill();
      }
      const both = [`${service}-a`, `${service}-b`];
      const names = victim === "gateways"
        ? GATEWAYS
        : victim === "vault"
        ? [`${who}-vault`]
        : victim === "process"
        ? [who]
        : [...both, ...both.map((name) => `${name}-vault`)];
      await Promise.all(
        names.filter((name) => spine.children.has(name)).map((name) => {
          dead.add(name);
          return spine.children.get(name)!.kill();
        }),
      );
    },
    async revive() {
      await Promise.all([...deadDatabases].map((service) => postgresOf(service).restart()));
      deadDatabases.clear();
      await Promise.all([...dead].map((name) => spine.restart(name)));
      dead.clear();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function rowsOf({ sql }: Database): Promise<number> {
  const [row] = await sql<{ rows: number }[]>`SELECT count(*)::int AS rows FROM backups`;
  return row!.rows;
}
