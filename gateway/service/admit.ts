/**
 * The admission pipeline: the stages that a well-formed request of a verified client passes, in order. Each stage may
 * refuse, or leave what later stages need. Nothing of the body was read yet.
 */

import { type Client, decideAccess } from "../domain/access.ts";
import type { NetworkSet } from "../domain/networks.ts";
import { clientAddress, type ClientAddressRule } from "../domain/client_address.ts";
import { type Refusal, refuse } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import { decideRoute, type Route } from "../domain/routes.ts";
import { countsBackups, type KeyFacts, keyOf } from "../domain/rate_rule.ts";
import { backupIdentifier, backupTag } from "../protocol/backup_identifier.ts";
import type { Bans } from "./bans.ts";
import type { Concurrency } from "./concurrency.ts";
import type { Limiter, LimitVerdict } from "./limiter.ts";
import type { RateKeys } from "./rate_keys.ts";
import { firewallHead, type Observer } from "./firewall.ts";

/** Rules that a reload replaces as a whole. */
export interface Policy {
  readonly routes: readonly Route[];
  /** Addresses that are refused at accept. */
  readonly denied: NetworkSet;
  /** Whose word about the client's address counts; undefined: the connection's own. */
  readonly clientAddress: ClientAddressRule | undefined;
}

/** What limits work with. */
export interface Limits {
  readonly limiter: Limiter;
  readonly concurrency: Concurrency;
  readonly bans: Bans;
  /** Secret of this provider under which backup identifiers are counted. */
  readonly backupKey: Uint8Array | undefined;
}

/** Whom the stages tell of what is no refusal of theirs. */
export interface AdmissionWatcher extends Observer {
  /** Rules by name: those that refused, and those that would have, were they no dry run. */
  fired(rules: readonly string[], dryRun: readonly string[]): void;
  /** Given what has to be called when the exchange is over. */
  atEnd(leave: () => void): void;
}

/** A request on its way through the stages. */
export interface Admission {
  readonly request: StrictRequest;
  readonly identity: string;
  readonly client: Client;
  /** Of the connection; behind a trusted proxy the address stage makes it the client's. */
  address: string;
  readonly policy: Policy;
  readonly limits: Limits;
  /** Of its connection. */
  readonly keys: RateKeys;
  /** Set when a body that the limits have to look into was read. */
  body?: Uint8Array;
  /** Set by the route stage: a later refusal is logged with it. */
  route?: Route;
  /** Headers that the answer carries, whatever it is. */
  readonly headers: Record<string, string>;
  readonly watcher: AdmissionWatcher;
}

/** One stage: undefined passes the request on. */
export type Stage = (admission: Admission) => Refusal | undefined | Promise<Refusal | undefined>;

const address: Stage = (admission) => {
  const { policy, request, limits } = admission;
  const client = clientAddress(policy.clientAddress, admission.address, request.headers);
  if (client === undefined) return refuse("forwarded-malformed");
  if (client !== admission.address && policy.denied.contains(client)) return refuse("address-denied");
  admission.address = client;
  return limits.bans.refuses(client) ? refuse("address-banned", { "retry-after": "60" }) : undefined;
};

const route: Stage = (admission) => {
  const { request } = admission;
  const decision = decideRoute(admission.policy.routes, {
    method: request.method,
    path: request.path,
    contentType: request.hasBody ? request.headers.find(([name]) => name === "content-type")?.[1] : undefined,
    hasBody: request.hasBody,
  });
  if (decision.kind === "refuse") return decision;
  admission.route = decision.route;
};

const network: Stage = ({ route, address }) =>
  route?.networks?.contains(address) === false ? refuse("network-not-allowed") : undefined;

const identity: Stage = ({ route, client }) =>
  route === undefined ? refuse("route-unknown") : decideAccess(route.access, client);

const concurrency: Stage = (admission) => {
  const { route, limits } = admission;
  if (route === undefined || route.concurrency.length === 0) return;
  const facts = keyFacts(admission, route);
  const verdict = limits.concurrency.enter(
    route.concurrency.map((rule) => ({ rule, key: keyOf(rule.by, facts) })),
  );
  admission.watcher.fired(verdict.kind === "refuse" ? [verdict.rule] : [], verdict.dryRun);
  if (verdict.kind === "refuse") return refuse("concurrency-limited", { "retry-after": "1" });
  admission.watcher.atEnd(verdict.leave);
};

function keyFacts({ identity, address }: Admission, route: Route, backup?: string): KeyFacts {
  return { identity, address, route: route.name, backup };
}

/** Whether the limits of a route can only be decided with the body at hand: they are then decided once, after it. */
export const limitsNeedBody = (route: Route): boolean =>
  route.backup !== undefined && "pointer" in route.backup;

/** Whether the body of a route has to be at hand as a whole before anything is forwarded: it is never streamed then. */
export const needsWholeBody = (route: Route): boolean =>
  route.firewall?.judgesBody === true || limitsNeedBody(route);

/** The rate rules of a route. Called by the limit stage, or by who read the body. */
export function decideLimits(admission: Admission): Refusal | undefined | Promise<Refusal | undefined> {
  const { route, limits } = admission;
  if (route === undefined || route.rates.length === 0) return;
  let backup: string | undefined;
  if (route.backup !== undefined && limits.backupKey !== undefined && route.rates.some(countsBackups)) {
    const identifier = backupIdentifier(route.backup, admission.request.headers, admission.body);
    if (identifier === undefined) return refuse("backup-identifier");
    backup = backupTag(limits.backupKey, identifier);
  }
  const facts = keyFacts(admission, route, backup);
  const decision = limits.limiter.decide(admission.keys.of(route.rates, facts));
  const take = (verdict: LimitVerdict): Refusal | undefined => {
    if (verdict.fired.length + verdict.dryRun.length > 0) {
      admission.watcher.fired(verdict.fired, verdict.dryRun);
    }
    if (verdict.kind === "refuse") return verdict;
    Object.assign(admission.headers, verdict.headers);
  };
  return decision instanceof Promise ? decision.then(take) : take(decision);
}

const limit: Stage = (admission) =>
  admission.route === undefined || limitsNeedBody(admission.route) ? undefined : decideLimits(admission);

const size: Stage = ({ route, request }) =>
  (request.declaredLength ?? 0) > (route?.maxBodyBytes ?? 0) ? refuse("body-too-large") : undefined;

const firewall: Stage = ({ route, request, watcher }) => firewallHead(route?.firewall, request, watcher);

/** The stages in order: cheap and telling nothing first, so that a stranger's request costs little. */
export const PIPELINE: readonly (readonly [name: string, stage: Stage])[] = [
  ["address", address],
  ["route", route],
  ["network", network],
  ["identity", identity],
  ["firewall", firewall],
  ["size", size],
  ["concurrency", concurrency],
  ["limit", limit],
];

/** What the pipeline says. */
export type AdmitDecision = Refusal | { readonly kind: "admit"; readonly route: Route };

/** Runs the stages; the first refusal ends them. At once, unless a stage has to wait (for a shared store). */
export function admit(admission: Admission): AdmitDecision | Promise<AdmitDecision> {
  return admitFrom(admission, 0);
}

function admitFrom(admission: Admission, first: number): AdmitDecision | Promise<AdmitDecision> {
  for (let at = first; at < PIPELINE.length; at++) {
    const decision = PIPELINE[at]![1](admission);
    if (decision instanceof Promise) {
      return decision.then((refusal) => refusal ?? admitFrom(admission, at + 1));
    }
    if (decision !== undefined) return decision;
  }
  return admission.route === undefined ? refuse("route-unknown") : { kind: "admit", route: admission.route };
}
