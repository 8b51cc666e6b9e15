/** A pool of upstream instances: whom to ask next, from active checks and from what became of requests. */

import type { Clock } from "shared/transport/clock.ts";
import {
  candidates,
  cooled,
  type HealthRule,
  initialHealth,
  type InstanceHealth,
  type Observation,
  observe,
} from "../domain/health.ts";
import type { UpstreamClient } from "../transport/upstream_client.ts";
import type { Telemetry } from "./telemetry.ts";

/** Active checks of a pool. */
export interface ProbeOptions {
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** An instance as the pool sees it. */
export interface Instance {
  /** Host and port; label in logs and metrics. */
  readonly name: string;
  readonly client: UpstreamClient;
  /** Where its readiness is asked, when that is another address. */
  readonly probe: UpstreamClient;
}

/** The pool. */
export class Pool {
  #healths: InstanceHealth[];
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  readonly #stop = new AbortController();
  #round: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    readonly instances: readonly Instance[],
    readonly rule: HealthRule,
    readonly probes: ProbeOptions,
    readonly clock: Clock,
    readonly telemetry: Telemetry,
  ) {
    this.#healths = instances.map(() => initialHealth(clock.monotonic()));
  }

  /** Checks every instance once, then goes on checking until `close`. */
  async start(): Promise<void> {
    await this.#checkAll();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#checkAll().then(() => this.#schedule());
    }, this.probes.intervalMs);
  }

  async #checkAll(): Promise<void> {
    await Promise.all(
      this.instances.map(async (instance) => this.report(instance, ...await this.#check(instance))),
    );
  }

  async #check(instance: Instance): Promise<[seen: Observation, cause: string]> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.probes.timeoutMs);
    const signal = AbortSignal.any([timeout.signal, this.#stop.signal]);
    try {
      const answer = await instance.probe.send({
        method: "GET",
        target: this.probes.path,
        headers: { host: instance.probe.host },
        body: undefined,
        signal,
      });
      if (answer.kind === "failed") return ["probe-failed", answer.code];
      // The connection is free for the next request only when the answer was read to its end.
      if (answer.kind === "answer") {
        await new Promise<void>((resolve) =>
          answer.message.once("close", resolve).on("error", () => {}).resume()
        );
      }
      if (answer.status >= 200 && answer.status < 300) return ["probe-ok", "ready"];
      return [answer.status === 503 ? "probe-refused" : "probe-failed", `HTTP ${answer.status}`];
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes an observation into account; `cause` is for the log when it changes the state. */
  report(instance: Instance, seen: Observation, cause: string): void {
    const index = this.instances.indexOf(instance);
    const before = this.#healths[index]!;
    const after = observe(before, seen, this.clock.monotonic(), this.rule);
    this.#healths[index] = after;
    if (after.state !== before.state) this.telemetry.health(this.name, instance.name, after.state, cause);
  }

  /** Instances in the order in which to try them for one request; empty when all are down. */
  order(): Instance[] {
    const now = this.clock.monotonic();
    this.#healths = this.#healths.map((health) => cooled(health, now, this.rule));
    this.#turn = (this.#turn + 1) % this.instances.length;
    return candidates(this.#healths, this.#turn).map((index) => this.instances[index]!);
  }

  /** States for the admin listener. */
  states(): { readonly instance: string; readonly state: string }[] {
    return this.instances.map((instance, i) => ({ instance: instance.name, state: this.#healths[i]!.state }));
  }

  /** Stops checking and closes idle connections. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#round;
    for (const { client, probe } of this.instances) {
      client.close();
      if (probe !== client) probe.close();
    }
  }
}
