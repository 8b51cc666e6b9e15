/** Each request from its head to its line in the log: the verdict on its client, the phase of the gateway, then the public side. */

import type { Clock } from "shared/transport/clock.ts";
import type { CertificateVerdict } from "shared/protocol/x509/verification.ts";
import { refuse } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import { CANARY_STATUS } from "../service/canaries.ts";
import type { Peers } from "../service/peers.ts";
import type { Http1Answer } from "../transport/http1/answer.ts";
import type { Http1Request } from "../transport/http1/request.ts";
import { Exchange, NOBODY, type Peer, type Report } from "./exchange.ts";
import { publicApp, type PublicContext } from "./public_app.ts";

/** `proving`: canaries only. `serving`. `draining`: every answer closes its connection. */
export type Phase = "proving" | "serving" | "draining";

/** What requests are decided with. */
export interface RequestsContext extends PublicContext {
  readonly clock: Clock;
  readonly peers: Peers;
  /** Asked when `peers` does not know; never rejects. */
  readonly verdict: (chain: readonly Uint8Array[]) => Promise<CertificateVerdict>;
  readonly phase: () => Phase;
  /** Fingerprint of the one client that is answered while the gateway proves itself. */
  readonly validCanary: string;
  /** Whether security events can be entered. */
  readonly writable: () => boolean;
}

/** The requests of one gateway. */
export class Requests {
  #inFlight = 0;
  readonly #closing = () => this.context.phase() === "draining";

  readonly #app: (exchange: Exchange) => void;

  constructor(readonly context: RequestsContext) {
    this.#app = publicApp(context);
  }

  /** Requests that are being answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Answers one. Never throws. */
  take(
    incoming: Http1Request,
    outgoing: Http1Answer,
    peer: Peer,
    wantsContinue: boolean,
    request: StrictRequest,
  ): void {
    const { clock, telemetry, protection, peers } = this.context;
    const began = clock.monotonic();
    // All of its fields from the beginning: an object that gets more of them later is made anew each time.
    const report: Report = {
      requestId: crypto.randomUUID(),
      address: peer.address,
      route: "none",
      method: request.method,
      path: request.path,
      status: 0,
      ms: 0,
      identity: undefined,
      upstreamRequestId: undefined,
      attempts: undefined,
      instance: undefined,
      bytes: undefined,
      reason: undefined,
      detail: undefined,
      wouldRefuse: undefined,
      rules: undefined,
      dryRun: undefined,
    };
    const exchange = new Exchange(incoming, outgoing, wantsContinue, request, peer, report, this.#closing);
    telemetry.inFlight(++this.#inFlight);
    exchange.atEnd(() => {
      telemetry.inFlight(--this.#inFlight);
      if (this.context.phase() === "proving") return;
      exchange.report.bytes = exchange.bytes;
      exchange.report.ms = Math.round(clock.monotonic() - began);
      if (exchange.report.status === 0) exchange.report.reason ??= "client-gone";
      telemetry.request(exchange.report);
      protection.refused(exchange.report.address, exchange.report.reason);
    });
    // Asked again with every request: what was revoked or has expired since then loses its connection.
    const known = peers.known(peer.chain);
    if (known !== undefined) this.#decided(exchange, known);
    else void this.context.verdict(peer.chain).then((verdict) => this.#decided(exchange, verdict));
  }

  #decided(exchange: Exchange, verdict: CertificateVerdict): void {
    if (verdict.kind === "refuse") {
      exchange.report.reason = verdict.reason;
      return void exchange.incoming.socket.destroy();
    }
    exchange.report.identity = verdict.identity;
    exchange.client = {
      names: verdict.names ?? { ...NOBODY.names, uris: [verdict.identity] },
      group: verdict.group,
    };
    if (this.context.phase() === "proving") {
      if (verdict.fingerprint === this.context.validCanary) {
        return exchange.outgoing.writeHead(CANARY_STATUS, ["connection", "close"]).end();
      }
      return exchange.refuse(refuse("not-ready", { "retry-after": "1" }));
    }
    // What it refuses could not be entered: it refuses everything until it can.
    if (!this.context.writable()) return exchange.refuse(refuse("not-ready", { "retry-after": "1" }));
    this.#app(exchange);
  }
}
