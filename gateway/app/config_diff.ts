/** What changes from one configuration to another, told by its subjects: routes, limits, upstreams, authorities, networks. */

import type { GatewayConfig } from "./config.ts";
import { fixedChanges } from "./reloadable.ts";

/** One difference. */
export interface ConfigChange {
  readonly kind: "added" | "removed" | "changed";
  /** Such as `route stations` or `limits`. */
  readonly subject: string;
  /** Which keys, from what to what; empty when the whole subject came or went. */
  readonly detail: string;
}

/** How a running gateway takes a change. */
export type ChangeWay = "none" | "reload" | "upgrade" | "restart";

/** All differences. */
export interface ConfigDiff {
  readonly changes: readonly ConfigChange[];
  readonly way: ChangeWay;
}

/** Compares two configurations with their defaults filled in: a key that is written out with its default is no change. */
export function diffConfigs(older: GatewayConfig, newer: GatewayConfig): ConfigDiff {
  const changes: ConfigChange[] = [];
  for (const key of new Set([...Object.keys(older), ...Object.keys(newer)])) {
    const [a, b] = [older, newer].map((config) => subjectsOf(key, (config as Record<string, unknown>)[key]));
    for (const subject of new Set([...a!.keys(), ...b!.keys()])) {
      const kind = !a!.has(subject) ? "added" : !b!.has(subject) ? "removed" : "changed";
      const detail = kind === "changed" ? detailOf(a!.get(subject), b!.get(subject)) : "";
      if (kind !== "changed" || detail !== "") changes.push({ kind, subject, detail });
    }
  }
  changes.push(...orderChange(older, newer));
  return { changes, way: wayOf(older, newer, changes.length) };
}

function wayOf(older: GatewayConfig, newer: GatewayConfig, changes: number): ChangeWay {
  if (changes === 0) return "none";
  const address = ({ listen, admin }: GatewayConfig) =>
    JSON.stringify([listen.address, listen.port, admin.address, admin.port]);
  if (address(older) !== address(newer)) return "restart";
  return fixedChanges(older, newer).length > 0 ? "upgrade" : "reload";
}

/** Names of the parts that hold subjects by name. */
const SINGULAR: Readonly<Record<string, string>> = {
  routes: "route",
  roles: "role",
  rateLimits: "rate limit",
  upstreams: "upstream",
};

/** Subjects of a part by name; a part without names is one subject. */
function subjectsOf(key: string, value: unknown): Map<string, unknown> {
  const word = SINGULAR[key] ?? key;
  if (value === undefined) return new Map();
  if (Array.isArray(value) && value.length > 0 && value.every(hasName)) {
    return new Map(value.map((each) => [`${word} ${each.name}`, each]));
  }
  if (key in SINGULAR && isRecord(value)) {
    return new Map(Object.entries(value).map(([name, each]) => [`${word} ${name}`, each]));
  }
  return new Map([[word, value]]);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const hasName = (value: unknown): value is { name: string } =>
  isRecord(value) && typeof value.name === "string";

/** `key: from -> to` of every leaf that differs; lists tell what came and went. */
function detailOf(a: unknown, b: unknown, path = ""): string {
  const at = path === "" ? "" : `${path} `;
  if (isRecord(a) && isRecord(b)) {
    return [...new Set([...Object.keys(a), ...Object.keys(b)])]
      .map((key) => detailOf(a[key], b[key], path === "" ? key : `${path}.${key}`))
      .filter((text) => text !== "").join("; ");
  }
  const [from, to] = [JSON.stringify(a), JSON.stringify(b)];
  if (from === to) return "";
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length === b.length && [...a, ...b].some(isRecord)) {
      return a.map((each, i) => detailOf(each, b[i], `${path}[${i}]`)).filter((text) => text !== "").join(
        "; ",
      );
    }
    const texts = (list: readonly unknown[]) => list.map((each) => JSON.stringify(each));
    const [old, now] = [new Set(texts(a)), new Set(texts(b))];
    const moved = [
      ...[...now].filter((each) => !old.has(each)).map((each) => `+${each}`),
      ...[...old].filter((each) => !now.has(each)).map((each) => `-${each}`),
    ];
    return `${at}${moved.length === 0 ? "in another order" : moved.join(" ")}`;
  }
  return `${at}${from ?? "(absent)"} -> ${to ?? "(absent)"}`;
}

/** Routes are tried in order, so their order is a rule too. */
function orderChange(older: GatewayConfig, newer: GatewayConfig): ConfigChange[] {
  const names = (config: GatewayConfig, other: GatewayConfig) => {
    const known = new Set(other.routes.map(({ name }) => name));
    return config.routes.map(({ name }) => name).filter((name) => known.has(name)).join(", ");
  };
  const [before, after] = [names(older, newer), names(newer, older)];
  return before === after
    ? []
    : [{ kind: "changed", subject: "order of routes", detail: `${before} -> ${after}` }];
}
