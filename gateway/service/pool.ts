/**
 * A pool of upstream instances: whom to ask next, from active checks (health), from what became of requests (breakers), and
 * from the session of the request.
 */

import type { Clock } from "shared/transport/clock.ts";
import { rendezvous } from "../domain/affinity.ts";
import {
  abandonRequest,
  admits,
  beginRequest,
  type Breaker,
  type BreakerRule,
  type BreakerState,
  cooledBreaker,
  endRequest,
  initialBreaker,
  mostOpen,
} from "../domain/circuit.ts";
import {
  candidates,
  cooled,
  type HealthRule,
  initialHealth,
  type InstanceHealth,
  type Observation,
  observe,
} from "../domain/health.ts";
import { initialBudget, payIn, type RetryBudgetRule, takeRetry } from "../domain/retry_budget.ts";
import { Cancellation } from "../transport/cancellation.ts";
import { Deadlines } from "../transport/deadlines.ts";
import { UpstreamBody } from "../transport/upstream/answer_body.ts";
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

/** Rules of a pool. */
export interface PoolRules {
  readonly health: HealthRule;
  readonly probes: ProbeOptions;
  readonly breaker: BreakerRule;
  readonly retries: RetryBudgetRule;
}

/** The pool. */
export class Pool {
  readonly #healths: InstanceHealth[];
  #breakers: Breaker[];
  #retries: number;
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  readonly #stop = new Cancellation();
  /** Deadlines of the requests that are on their way. */
  readonly deadlines: Deadlines;
  #round: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    readonly instances: readonly Instance[],
    readonly rules: PoolRules,
    readonly clock: Clock,
    readonly telemetry: Telemetry,
  ) {
    this.deadlines = new Deadlines(() => clock.monotonic());
    this.#healths = instances.map(() => initialHealth(clock.monotonic()));
    this.#breakers = instances.map(() => initialBreaker(clock.monotonic()));
    this.#retries = initialBudget(rules.retries);
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
    }, this.rules.probes.intervalMs);
  }

  async #checkAll(): Promise<void> {
    await Promise.all(
      this.instances.map(async (instance) => this.report(instance, ...await this.#check(instance))),
    );
  }

  async #check(instance: Instance): Promise<[seen: Observation, cause: string]> {
    const signal = new Cancellation();
    const abort = () => signal.abort();
    const timer = setTimeout(abort, this.rules.probes.timeoutMs);
    this.#stop.addEventListener("abort", abort);
    if (this.#stop.aborted) abort();
    try {
      const answer = await instance.probe.send({
        method: "GET",
        target: this.rules.probes.path,
        headers: ["host", instance.probe.host],
        body: undefined,
        signal,
      });
      if (answer.kind === "failed") return ["probe-failed", answer.code];
      // An answer without a length, or a very long one: nobody reads it, so its connection ends here.
      if (answer.body instanceof UpstreamBody) answer.body.cancel();
      if (answer.status >= 200 && answer.status < 300) return ["probe-ok", "ready"];
      return [answer.status === 503 ? "probe-refused" : "probe-failed", `HTTP ${answer.status}`];
    } finally {
      clearTimeout(timer);
      this.#stop.removeEventListener("abort", abort);
    }
  }

  /** Takes an observation into account; `cause` is for the log when it changes the state. */
  report(instance: Instance, seen: Observation, cause: string): void {
    this.#report(instance, seen, cause, this.clock.monotonic());
  }

  #report(instance: Instance, seen: Observation, cause: string, now: number): void {
    const index = this.instances.indexOf(instance);
    const before = this.#healths[index]!;
    const after = observe(before, seen, now, this.rules.health);
    this.#healths[index] = after;
    if (after.state !== before.state) this.telemetry.health(this.name, instance.name, after.state, cause);
  }

  /** A request goes to an instance. */
  begin(instance: Instance): void {
    this.#update(instance, beginRequest);
  }

  /** It says nothing about the instance. */
  abandon(instance: Instance): void {
    this.#update(instance, abandonRequest);
  }

  /** It is over. */
  end(instance: Instance, ok: boolean, cause: string): void {
    let open = 0;
    for (const { state } of this.#breakers) if (state !== "closed") open++;
    const { breaker: rule } = this.rules;
    const mayOpen = open < mostOpen(this.instances.length, rule);
    const now = this.clock.monotonic();
    this.#update(instance, (breaker) => endRequest(breaker, ok, now, rule, mayOpen), cause);
    this.#report(instance, ok ? "request-ok" : "request-failed", cause, now);
  }

  #update(instance: Instance, change: (breaker: Breaker) => Breaker, cause = ""): void {
    const index = this.instances.indexOf(instance);
    const before = this.#breakers[index]!;
    const after = this.#breakers[index] = change(before);
    if (after.state !== before.state) this.telemetry.breaker(this.name, instance.name, after.state, cause);
  }

  /** A request came in: it pays for retries to come. */
  requested(): void {
    this.#retries = payIn(this.#retries, this.rules.retries);
  }

  /** Whether one more retry is within the budget; takes it. */
  takeRetry(): boolean {
    const left = takeRetry(this.#retries);
    if (left === undefined) this.telemetry.retryRefused(this.name);
    else this.#retries = left;
    return left !== undefined;
  }

  /**
   * Instances in the order in which to try them for one request; empty when all are down.
   * @param session Those of one session have the same order, as long as the instances fare alike.
   * @param now Monotonic milliseconds.
   */
  order(session: string | undefined, now: number): Instance[] {
    for (let i = 0; i < this.instances.length; i++) {
      this.#healths[i] = cooled(this.#healths[i]!, now, this.rules.health);
      // Nothing cools that is closed, which nearly all are.
      if (this.#breakers[i]!.state === "closed") continue;
      this.#update(this.instances[i]!, (breaker) => cooledBreaker(breaker, now, this.rules.breaker));
    }
    this.#turn = (this.#turn + 1) % this.instances.length;
    const trusted = candidates(this.#healths, this.#turn);
    const isAdmitted = (index: number) => admits(this.#breakers[index]!);
    const ranked = trusted.every(isAdmitted) ? trusted : trusted.filter(isAdmitted);
    if (session !== undefined) {
      const rank = rendezvous(session, this.instances.map(({ name }) => name));
      const isUp = (index: number) => this.#healths[index]!.state === "up" ? 0 : 1;
      ranked.sort((a, b) => isUp(a) - isUp(b) || rank.indexOf(a) - rank.indexOf(b));
    }
    return ranked.map((index) => this.instances[index]!);
  }

  /** States for the admin listener. */
  states(): { readonly instance: string; readonly state: string; readonly circuit: BreakerState }[] {
    return this.instances.map((instance, i) => ({
      instance: instance.name,
      state: this.#healths[i]!.state,
      circuit: this.#breakers[i]!.state,
    }));
  }

  /** Stops checking and closes idle connections. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#round;
    this.deadlines.close();
    for (const { client, probe } of this.instances) {
      client.close();
      if (probe !== client) probe.close();
    }
  }
}
