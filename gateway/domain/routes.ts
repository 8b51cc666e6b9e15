/** The route decision: path, then method, then media type, each with its own refusal. Pure over a table. */

import type { AffinityRule } from "./affinity.ts";
import type { AccessRule } from "./access.ts";
import type { Priority } from "./adaptive.ts";
import type { DescriptionRule } from "./description.ts";
import type { BackupPlace } from "../protocol/backup_identifier.ts";
import { type NetworkSet } from "./networks.ts";
import type { ConcurrencyRule, RateRule } from "./rate_rule.ts";
import { type Refusal, refuse } from "./refusals.ts";
import { indexPaths, type PathIndex } from "./route_index.ts";

/** One compiled route. */
export interface Route {
  /** Name in logs and metrics. */
  readonly name: string;
  readonly path: PathPattern;
  readonly methods: readonly string[];
  /** Media types that a body may have; empty: requests have no body. */
  readonly contentTypes: readonly string[];
  /** Who may use it. */
  readonly access: AccessRule;
  /** Networks from which the route may be used; undefined: any. */
  readonly networks: NetworkSet | undefined;
  /** Each has to allow a request; one that all allow counts under all. */
  readonly rates: readonly RateRule[];
  readonly concurrency: readonly ConcurrencyRule[];
  /** Where requests name their backup; undefined when no rule counts backups. */
  readonly backup: BackupPlace | undefined;
  /** Who is shed first when the upstream is overloaded. */
  readonly priority: Priority;
  readonly maxBodyBytes: number;
  /** What its requests are compared with; undefined: with nothing. */
  readonly firewall?: DescriptionRule | undefined;
  /** Name of the pool. */
  readonly upstream: string;
  /** Time for the upstream's whole answer, all attempts together. */
  readonly deadlineMs: number;
  /** The service takes a second request with the same Idempotency-Key for the first: it may be sent again. */
  readonly repeatWithKey: boolean;
  /** What keeps a session at one instance; undefined: nothing. */
  readonly affinity: AffinityRule | undefined;
  /** Longest answer, bytes. */
  readonly maxAnswerBytes: number;
}

/** Decides on one path. */
export interface PathPattern {
  (path: string): boolean;
  /** The text that it was compiled from. */
  readonly pattern: string;
}

const SEGMENT = /^(?:\{[A-Za-z][A-Za-z0-9]*\}|[A-Za-z0-9._~!$&'()*+,;=:@-]+)$/;

/** Whether a text is a path pattern: literal segments, `{name}` for one segment, `**` at the end for any rest. */
export function isPathPattern(text: string): boolean {
  if (text === "/") return true;
  if (!text.startsWith("/")) return false;
  const segments = text.slice(1).split("/");
  return segments.every((segment, i) =>
    segment === "**"
      ? i === segments.length - 1
      : SEGMENT.test(segment) && segment !== "." && segment !== ".."
  );
}

/** Compiles a pattern. Paths arrive in one form only (request_rules), so plain comparison is enough. */
export function compilePathPattern(pattern: string): PathPattern {
  const parts = pattern.slice(1).split("/");
  const open = parts[parts.length - 1] === "**";
  const fixed = open ? parts.slice(0, -1) : parts;
  const fits = (path: string) => {
    const segments = path.slice(1).split("/");
    if (open ? segments.length <= fixed.length : segments.length !== fixed.length) return false;
    return fixed.every((part, i) => part.startsWith("{") ? segments[i] !== "" : part === segments[i]);
  };
  return Object.assign(fits, { pattern });
}

/** What the decision looks at. */
export interface RoutedRequest {
  readonly method: string;
  readonly path: string;
  /** Content-Type as sent; undefined when there is none. */
  readonly contentType: string | undefined;
  readonly hasBody: boolean;
}

/** The decision. */
export type RouteDecision = { readonly kind: "route"; readonly route: Route } | Refusal;

const indexes = new WeakMap<readonly Route[], PathIndex>();

/** The index of a table, made when it is first asked. */
function indexOf(routes: readonly Route[]): PathIndex {
  let index = indexes.get(routes);
  if (index === undefined) indexes.set(routes, index = indexPaths(routes.map(({ path }) => path.pattern)));
  return index;
}

/** Finds the route of a request; the first in the table that fits wins. */
export function decideRoute(routes: readonly Route[], request: RoutedRequest): RouteDecision {
  const onPath = indexOf(routes)(request.path);
  if (onPath.length === 0) return refuse("route-unknown");
  let hasMethod = false;
  for (const position of onPath) {
    const route = routes[position]!;
    if (!route.methods.includes(request.method)) continue;
    if (acceptsMediaType(route, request)) return { kind: "route", route };
    hasMethod = true;
  }
  if (hasMethod) return refuse("media-type");
  const allow = new Set(onPath.flatMap((position) => routes[position]!.methods));
  return refuse("method-not-allowed", { allow: [...allow].join(", ") });
}

function acceptsMediaType(route: Route, request: RoutedRequest): boolean {
  if (!request.hasBody) return true;
  const type = request.contentType?.split(";", 1)[0]?.trim().toLowerCase();
  return type !== undefined && route.contentTypes.includes(type);
}
