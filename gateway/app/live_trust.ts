/**
 * The trust of a running gateway: looks at the sources of lists again and again, and takes what changed from open connections too.
 * Changes, reloads among them, come one after the other.
 */

import type { EventLog } from "shared/log/writer/event_log.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { Trust } from "shared/protocol/x509/trust.ts";
import type { Peers } from "../service/peers.ts";
import type { Collected, RevocationLists } from "../service/revocation_lists.ts";
import type { Telemetry } from "../service/telemetry.ts";
import type { GatewayConfig } from "./config.ts";
import { checkCanaries, type Material, readClientTrust } from "./material.ts";

type Authorities = GatewayConfig["clients"]["authorities"];

/** What it works with. */
export interface LiveTrustParts {
  readonly configPath: string;
  readonly lists: RevocationLists;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly events: EventLog;
  /** Asks about every open connection again, by its presented chain (DER). */
  readonly recheck: (keep: (chain: readonly Uint8Array[]) => Promise<boolean>) => Promise<void>;
  /** The verdict of now on a chain. */
  readonly verdict: (chain: readonly Uint8Array[]) => ReturnType<Peers["verify"]>;
}

/** The trust of one gateway. */
export class LiveTrust {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #changing: Promise<void> = Promise.resolve();
  #authorities: Authorities;
  #canaries: Pick<Material, "canaries">;

  constructor(readonly parts: LiveTrustParts, authorities: Authorities, material: Material) {
    this.#authorities = authorities;
    this.#canaries = material;
  }

  /** Begins to look at the sources, every `refreshSeconds` of the most eager authority. */
  start(): void {
    const seconds = Math.min(...this.#authorities.map(({ refreshSeconds }) => refreshSeconds));
    this.#timer = setTimeout(() => {
      void this.inTurn(() => this.#refresh()).catch((error) => {
        this.parts.telemetry.logger.error("revocation-refresh", { error });
        this.#tell("gateway.revocation-source-failed", "failed");
      }).finally(() => this.#stopped || this.start());
    }, seconds * 1000);
  }

  /** Ends looking. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Runs a change when those before it are over. */
  inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(change);
    this.#changing = turn.catch(() => {});
    return turn;
  }

  /** Takes what a reload read. */
  async take(authorities: Authorities, material: Material): Promise<void> {
    this.#authorities = authorities;
    this.#canaries = material;
    this.keep(material.lists);
    await this.#take(material.trust);
    this.report();
  }

  #tell(
    event: "gateway.revocation-source-failed" | "gateway.revocation-not-fresh",
    outcome: "done" | "failed",
  ): void {
    const { events } = this.parts;
    events.tell(event, { actor: events.self, outcome });
  }

  /** Keeps what was collected and tells of sources that gave nothing good. */
  keep(collected: Collected): void {
    collected.commit();
    for (const { source, fault, detail, held } of collected.faults) {
      this.parts.telemetry.logger.warning("revocation-source", { source, fault, detail, held });
      this.#tell("gateway.revocation-source-failed", "failed");
    }
  }

  /** Tells until when each authority's list counts, and warns of those without a fresh one. */
  report(): void {
    const { clock, peers, telemetry } = this.parts;
    const now = clock.now();
    for (const { name, group, list, maxAgeMs, whenStale } of peers.trust.authorities) {
      const until = list === undefined
        ? 0
        : Math.min(list.nextUpdate, list.thisUpdate + (maxAgeMs ?? Infinity));
      telemetry.revocation(name, until);
      if (until >= now) continue;
      const held = list === undefined ? "none" : "stale";
      telemetry.logger.warning("revocation-not-fresh", { authority: group ?? name, list: held, whenStale });
      this.#tell("gateway.revocation-not-fresh", "done");
    }
  }

  /** Looks at every source again; a change is taken only when the canaries still fare as they have to. */
  async #refresh(): Promise<void> {
    const { configPath, lists, peers, clock, telemetry, events } = this.parts;
    const found = await readClientTrust(configPath, this.#authorities, lists);
    const serials = (trust: Trust) =>
      trust.authorities.map(({ certificate }) => certificate.serialNumber).join();
    // An authority's certificate is not renewed by a refresh: the listener and the rest come with a reload.
    if (found.lists.changed && serials(found.trust) === serials(peers.trust)) {
      await checkCanaries({ ...this.#canaries, trust: found.trust }, clock, peers.verifier);
      await events.record("gateway.revocation-refreshed", { actor: events.self });
      await this.#take(found.trust);
      telemetry.logger.info("revocation-refreshed", {});
    }
    this.keep(found.lists);
    this.report();
  }

  /** From here on open connections count only as far as the new trust carries them. */
  async #take(trust: Trust): Promise<void> {
    const { peers, recheck, verdict, telemetry } = this.parts;
    peers.replaceTrust(trust);
    await recheck(async (chain) => {
      const decision = await verdict(chain);
      if (decision.kind === "accept") return true;
      const { reason, fingerprint } = decision;
      telemetry.connectionRefused(reason, { fingerprint, open: true });
      return false;
    });
  }
}
