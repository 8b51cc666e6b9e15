/**
 * The orchestrator dies at every commit point: after each write, and before and after each request to a provider (between a write
 * and what follows it, nothing happens that could be lost). Then either the same companion repeats its
 * request to the next process, and the session completes; or nobody does, the sweep clears up, and a new session completes.
 */

import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { OrchestratorPort } from "device/recover/companion.ts";
import type { OrchestratorContext } from "orchestrator/service/ports.ts";
import { aroundProviders, BACKUP, RecoverScene, type Request, TIMES } from "./scene.ts";
import type { InMemoryProvider } from "./in_memory_provider.ts";

class Crash extends Error {}

/** Counts the points of one process, and kills it at one of them: it does nothing more afterwards. */
class Killer {
  points = 0;
  dead = false;
  constructor(readonly killAt: number) {}

  #pass(): void {
    if (this.dead) throw new Crash("dead");
    if (++this.points === this.killAt) {
      this.dead = true;
      throw new Crash("killed");
    }
  }

  async after<T>(work: () => Promise<T>): Promise<T> {
    if (this.dead) throw new Crash("dead");
    const value = await work();
    this.#pass();
    return value;
  }

  around<T>(work: () => Promise<T>): Promise<T> {
    this.#pass();
    return this.after(work);
  }

  change = (context: OrchestratorContext): OrchestratorContext => {
    const { store } = context;
    return {
      ...context,
      store: {
        insert: (row) => this.after(() => store.insert(row)),
        save: (row, version) => this.after(() => store.save(row, version)),
        load: (session) => store.load(session),
        unfinished: (before) => store.unfinished(before),
        backup: (backupId) => store.backup(backupId),
      },
      // Asynchronous, so that a kill rejects as a request does.
      providers: aroundProviders(
        context.providers,
        async (_operation, _index, work) => await this.around(work),
      ),
      sign: (message) => this.after(() => context.sign(message)),
    };
  };
}

/** One backup that every restore and deletion begins with. */
class Prepared {
  readonly scene = new RecoverScene();
  readonly #owner = this.scene.device(16);
  readonly entropy = toHex(this.#owner.entropy!);
  readonly #rows: InMemoryProvider["rows"][];

  private constructor(readonly flow: Request["flow"], private backupId: string) {
    this.#rows = [];
  }

  device = this.#owner;
  request: Request = BACKUP;

  static async make(flow: Request["flow"]): Promise<Prepared> {
    const prepared = new Prepared(flow, "");
    if (flow !== "backup") {
      prepared.backupId = (await prepared.scene.run(prepared.#owner, BACKUP)).backupId;
      prepared.request = { flow, backupId: prepared.backupId };
    }
    prepared.#rows.push(...prepared.scene.providers.map(({ rows }) => new Map(rows)));
    return prepared;
  }

  /** Everything as it was, with a new process. */
  again(killer: Killer): void {
    this.scene.providers.forEach(({ rows }, i) => {
      rows.clear();
      for (const [id, row] of this.#rows[i]!) rows.set(id, { ...row });
    });
    this.device = this.flow === "restore" ? this.scene.device() : this.#owner;
    this.device.device.end();
    this.scene.start(killer.change);
  }
}

/** What must hold when a session has completed. */
function assertCompleted({ scene, device, request, entropy }: Prepared, backupId: string): void {
  assert.equal(scene.inForce(backupId), request.flow === "delete" ? 0 : 3);
  assert.equal(scene.leftOver(), 0);
  if (request.flow === "restore") assert.equal(toHex(device.entropy!), entropy);
}

/** The companion's way to whichever process lives; a dead one answers as a broken connection does. */
function over(scene: RecoverScene, onCrash: () => CodedError): Partial<{ orchestrator: OrchestratorPort }> {
  const port = scene.port();
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw error instanceof Crash ? onCrash() : error;
    }
  };
  return {
    orchestrator: {
      create: (request) => guard(() => port.create(request)),
      apdus: (session, answers) => guard(() => port.apdus(session, answers)),
      verification: (session, result) => guard(() => port.verification(session, result)),
      giveUp: (session) => guard(() => port.giveUp(session)),
    },
  };
}

async function pointsOf(prepared: Prepared): Promise<number> {
  const killer = new Killer(0);
  prepared.again(killer);
  const { backupId } = await prepared.scene.run(prepared.device, prepared.request);
  assertCompleted(prepared, backupId);
  return killer.points;
}

for (const flow of ["backup", "restore", "delete"] as const) {
  Deno.test(`${flow}: killed at every point, and the companion repeats its request`, async () => {
    const prepared = await Prepared.make(flow);
    const { scene } = prepared;
    const points = await pointsOf(prepared);
    for (let point = 1; point <= points; point++) {
      let restarts = 0;
      prepared.again(new Killer(point));
      const { backupId } = await scene.run(
        prepared.device,
        prepared.request,
        over(scene, () => {
          restarts++;
          scene.start();
          return new CodedError("ORCHESTRATOR_BUSY", "Cannot reach the orchestrator");
        }),
      );
      assert.equal(restarts, 1, `point ${point}`);
      assertCompleted(prepared, backupId);
    }
    console.log(`${flow}: ${points} points, each complete after one repetition`);
  });

  Deno.test(`${flow}: killed at every point, the companion gone too: complete or absent, then complete`, async () => {
    const prepared = await Prepared.make(flow);
    const { scene } = prepared;
    const points = await pointsOf(prepared);
    let complete = 0;
    for (let point = 1; point <= points; point++) {
      prepared.again(new Killer(point));
      const gone = over(scene, () => new CodedError("RECOVER_FIELD", "gone"));
      await assert.rejects(scene.run(prepared.device, prepared.request, gone));
      prepared.device.device.end();
      scene.start();
      scene.now += TIMES.carryThroughMs;
      await scene.orchestrator.sweep();
      scene.now += TIMES.sessionMs;
      await scene.orchestrator.sweep();
      assert.deepEqual(await scene.store.unfinished(scene.now), [], `point ${point}`);
      const inForce = new Set(
        scene.providers.map(({ rows }) => JSON.stringify([...rows].map(([id, row]) => [id, row.inForce]))),
      );
      assert.equal(inForce.size, 1, `point ${point}: all providers say the same`);
      assert.equal(scene.leftOver(), 0, `point ${point}: nothing is left half-way`);
      const happened = flow === "restore"
        ? prepared.device.entropy !== undefined
        : (scene.providers[0]!.rows.size === 0) === (flow === "delete");
      if (happened) {
        complete++;
        if (flow === "restore") assert.equal(toHex(prepared.device.entropy!), prepared.entropy);
      } else {
        const { backupId } = await scene.run(prepared.device, prepared.request);
        assertCompleted(prepared, backupId);
      }
    }
    console.log(`${flow}: ${points} points, ${complete} completed by the sweep, the others by a new session`);
  });
}
