/**
 * The admission pipeline: the stages that a well-formed request of a verified client passes, in order. Each stage may
 * refuse, or leave what later stages need. Nothing of the body was read yet.
 */

import { type Client, decideAccess } from "../domain/access.ts";
import type { NetworkSet } from "../domain/networks.ts";
import { limitHeaders } from "../domain/limit.ts";
import { type Refusal, refuse } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import { decideRoute, type Route } from "../domain/routes.ts";
import { firewallHead, type Observer } from "./firewall.ts";
import type { LimitStore } from "./limit_store.ts";

/** Rules that a reload replaces as a whole. */
export interface Policy {
  readonly routes: readonly Route[];
  /** Addresses that are refused at accept. */
  readonly denied: NetworkSet;
}

/** A request on its way through the stages. */
export interface Admission {
  readonly request: StrictRequest;
  readonly identity: string;
  readonly client: Client;
  readonly address: string;
  readonly policy: Policy;
  readonly limits: LimitStore;
  /** Set by the route stage. */
  route?: Route;
  /** Headers that the answer carries, whatever it is. */
  readonly headers: Record<string, string>;
  /** Told of the route as soon as it is known, so that a later refusal is logged with it. */
  readonly found?: (route: Route) => void;
  /** Told of what a dry run would have refused. */
  readonly observe?: Observer;
}

/** One stage: undefined passes the request on. */
export type Stage = (admission: Admission) => Refusal | undefined;

const route: Stage = (admission) => {
  const { request } = admission;
  const decision = decideRoute(admission.policy.routes, {
    method: request.method,
    path: request.path,
    contentType: request.headers.find(([name]) => name === "content-type")?.[1],
    hasBody: request.hasBody,
  });
  if (decision.kind === "refuse") return decision;
  admission.route = decision.route;
  admission.found?.(decision.route);
};

const network: Stage = ({ route, address }) =>
  route?.networks?.contains(address) === false ? refuse("network-not-allowed") : undefined;

const identity: Stage = ({ route, client }) =>
  route === undefined ? refuse("route-unknown") : decideAccess(route.access, client);

const limit: Stage = (admission) => {
  const rule = admission.route?.limit;
  if (rule === undefined) return;
  const decision = admission.limits.take(rule, admission.identity);
  if (decision === undefined) return refuse("rate-store-full", { "Retry-After": "1" });
  const headers = limitHeaders(rule, decision);
  if (!decision.allowed) return refuse("rate-limited", headers);
  Object.assign(admission.headers, headers);
};

const size: Stage = ({ route, request }) =>
  (request.declaredLength ?? 0) > (route?.maxBodyBytes ?? 0) ? refuse("body-too-large") : undefined;

const firewall: Stage = ({ route, request, observe }) => firewallHead(route?.firewall, request, observe);

/** The stages in order: cheap and telling nothing first, so that a stranger's request costs little. */
export const PIPELINE: readonly (readonly [name: string, stage: Stage])[] = [
  ["route", route],
  ["network", network],
  ["identity", identity],
  ["limit", limit],
  ["firewall", firewall],
  ["size", size],
];

/** Runs the stages; the first refusal ends them. */
export function admit(admission: Admission): Refusal | { readonly kind: "admit"; readonly route: Route } {
  for (const [, stage] of PIPELINE) {
    const refusal = stage(admission);
    if (refusal !== undefined) return refusal;
  }
  return admission.route === undefined ? refuse("route-unknown") : { kind: "admit", route: admission.route };
}
