/** Says what a gateway with a configuration would do with a request, and which rules say so, without a gateway that runs. */

import type { CertificateNames } from "shared/protocol/x509/names.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { EXPLANATIONS } from "../domain/explanations.ts";
import { normalAddress } from "../domain/networks.ts";
import { problemOf, type Refusal, refuse } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import type { Route } from "../domain/routes.ts";
import type { ConcurrencyRule, RateRule } from "../domain/rate_rule.ts";
import {
  type Admission,
  decideLimits,
  type Limits,
  limitsNeedBody,
  PIPELINE,
  type Policy,
} from "../service/admit.ts";
import { Bans } from "../service/bans.ts";
import { Concurrency } from "../service/concurrency.ts";
import { ConnectionReader } from "../service/connection_reader.ts";
import { firewallBody } from "../service/firewall.ts";
import { Limiter } from "../service/limiter.ts";
import { LimitStore } from "../service/limit_store.ts";
import { RateKeys } from "../service/rate_keys.ts";
import { bodyOf } from "./explain_request.ts";
import type { GatewayConfig } from "./config.ts";

/** One rule's say. */
export interface Step {
  /** `connection`, `reading`, or the name of a stage. */
  readonly stage: string;
  /** `unknown`: it depends on what was not given, or on what only a running gateway knows. */
  readonly verdict: "pass" | "refuse" | "dry-run" | "unknown";
  /** Rule name as in log and metrics. */
  readonly rule?: string;
  readonly why: string;
}

/** The whole answer. */
export interface Explanation {
  readonly verdict: "forward" | "refuse";
  /** The first rule that refuses: the one that log and metrics name. */
  readonly rule: string | null;
  /** What the client sees; null when the upstream answers. */
  readonly status: number | null;
  readonly route: string | null;
  readonly upstream: string | null;
  readonly steps: readonly Step[];
}

/** Who asks, as far as it is known. */
export interface Asker {
  readonly identity: string | undefined;
  /** Name of one of `clients.authorities`. */
  readonly authority: string | undefined;
  readonly address: string | undefined;
}

/** Explains the bytes of one request. */
export async function explainRequest(
  bytes: Uint8Array,
  asker: Asker,
  config: GatewayConfig,
  policy: Policy,
): Promise<Explanation> {
  const steps: Step[] = [];
  let found: Route | undefined;
  const add = (stage: string, refusal: Refusal | undefined, pass: string, dryRun?: Refusal) => {
    const told = refusal ?? dryRun;
    steps.push(
      told === undefined ? { stage, verdict: "pass", why: pass } : {
        stage,
        verdict: refusal === undefined ? "dry-run" : "refuse",
        rule: told.reason,
        why: EXPLANATIONS[told.reason] + (told.detail === undefined ? "" : ` (${told.detail})`),
      },
    );
  };
  const unknown = (stage: string, why: string) => steps.push({ stage, verdict: "unknown", why });
  const conclude = (): Explanation => {
    const first = steps.find(({ verdict }) => verdict === "refuse")?.rule as Refusal["reason"] | undefined;
    const closed = first !== undefined && steps[0]?.verdict === "refuse";
    return {
      verdict: first === undefined ? "forward" : "refuse",
      rule: first ?? null,
      status: first === undefined || closed ? null : problemOf(first, "").status,
      route: found?.name ?? null,
      upstream: found?.upstream ?? null,
      steps,
    };
  };

  if (asker.address === undefined) unknown("connection", "the client's address is not given: --address");
  else {
    const denied = policy.denied.contains(normalAddress(asker.address));
    add("connection", denied ? refuse("network-not-allowed") : undefined, "no deny list has the address");
  }

  const reader = new ConnectionReader(config.limits);
  let end = reader.readHead(bytes, 0);
  if (end > 0) end = reader.readBody(bytes, end, () => {});
  const request: StrictRequest | undefined = reader.message?.head;
  if (end < 0 || request === undefined) {
    add("reading", refuse(reader.fault?.reason ?? "body-incomplete"), "");
    return conclude();
  }
  if (end < bytes.length) unknown("reading", "a second request follows; only the first is explained");
  const body = bodyOf(bytes, request);
  add(
    "reading",
    reader.isBetween ? undefined : refuse("body-incomplete"),
    "one request, which has one reading",
  );

  let observed: Refusal | undefined;
  const admission: Admission = {
    request,
    identity: asker.identity ?? "",
    client: { names: namesOf(asker.identity), group: asker.authority },
    address: normalAddress(asker.address ?? ""),
    policy,
    limits: unusedLimits(),
    keys: new RateKeys(),
    headers: {},
    watcher: {
      observe: (refusal) => void (observed = refusal),
      fired: () => {},
      atEnd: (leave) => leave(),
    },
  };
  for (const [stage, run] of PIPELINE) {
    if (!BEFORE_ROUTE.has(stage) && found === undefined) break;
    if (stage === "address" && policy.clientAddress !== undefined && asker.address === undefined) {
      unknown(stage, "a proxy may name the client, and the address is not given: --address");
      continue;
    }
    if (stage === "identity" && asker.identity === undefined) {
      unknown(stage, "the client's identity is not given: --identity");
      continue;
    }
    if (stage === "network" && found?.networks !== undefined && asker.address === undefined) {
      unknown(stage, "the route has networks, and the client's address is not given: --address");
      continue;
    }
    observed = undefined;
    const refusal = await run(admission);
    found = admission.route;
    const rules = stage === "limit" ? found?.rates : stage === "concurrency" ? found?.concurrency : undefined;
    if (rules !== undefined && rules.length > 0 && refusal === undefined) {
      for (const rule of rules) unknown(stage, untold(stage, rule));
    } else if (stage === "firewall" && found?.firewall === undefined) {
      add(stage, undefined, "the route has no description");
    } else add(stage, refusal, passed(stage, found), observed);
  }
  if (found !== undefined && limitsNeedBody(found)) {
    const refusal = await decideLimits({ ...admission, ...(body === undefined ? {} : { body }) });
    add("limit", refusal, "the body names the backup by which a limit counts");
  }
  if (found !== undefined && body !== undefined) {
    observed = undefined;
    const tooLarge = body.length > found.maxBodyBytes && request.declaredLength === undefined;
    const refusal = tooLarge
      ? refuse("body-too-large")
      : firewallBody(found.firewall, request, body, admission.watcher);
    const judged = found.firewall?.judgesBody === true;
    if (judged && refusal === undefined && steps.some(({ rule }) => rule?.startsWith("api-"))) {
      unknown("body", "the description has no such operation whose schema it could be compared with");
    } else add("body", refusal, judged ? "it fits the description" : "its content is not judged", observed);
  }
  return conclude();
}

/** Stages that a request passes before its route is known. */
const BEFORE_ROUTE: ReadonlySet<string> = new Set(["address", "route"]);

/** Limits of which nobody has used anything: what is left of the real ones, only a running gateway knows. */
function unusedLimits(): Limits {
  return {
    limiter: new Limiter(new LimitStore(SYSTEM_CLOCK)),
    concurrency: new Concurrency(),
    bans: new Bans(undefined, SYSTEM_CLOCK, () => {}),
    // Nothing is counted under it beyond this one request; with it, whether the request names its backup is decided.
    backupKey: new Uint8Array(32),
  };
}

function untold(stage: string, { name, dryRun }: RateRule | ConcurrencyRule): string {
  const left = stage === "limit" ? "what is left of it" : "how many requests it counts now";
  return `${name}: only a running gateway knows ${left}${
    dryRun ? "; it is a dry run and refuses nobody" : ""
  }`;
}

function passed(stage: string, route: Route | undefined): string {
  const texts: Readonly<Record<string, string>> = {
    address: "the address is that of the client, and no proxy names another",
    route: `route ${route?.name}`,
    network: route?.networks === undefined
      ? "the route has no networks"
      : "a network of the route has the address",
    identity: "the route accepts the client",
    concurrency: "the route has no limit of concurrent requests",
    limit: "the route has no limit",
    firewall: "the description has this request",
    size: `at most ${route?.maxBodyBytes} bytes`,
  };
  return texts[stage] ?? "passes";
}

/** A URI, `dns:NAME` or `subject:CN=NAME,...`, as in the configuration. */
function namesOf(identity: string | undefined): CertificateNames {
  const none: CertificateNames = { uris: [], dns: [], subject: [] };
  if (identity === undefined) return none;
  if (identity.startsWith("dns:")) return { ...none, dns: [identity.slice(4)] };
  if (!identity.startsWith("subject:")) return { ...none, uris: [identity] };
  const subject = identity.slice(8).split(",").map((part) => {
    const equals = part.indexOf("=");
    return { [part.slice(0, equals).trim()]: [part.slice(equals + 1).trim()] };
  });
  return { ...none, subject };
}
