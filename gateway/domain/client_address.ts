/**
 * The client's address behind trusted proxies: hops are counted from the right, because only what a trusted proxy appended is true;
 * what stands further left came from outside. Pure.
 */

import { normalAddress, readAddress } from "./address.ts";
import type { NetworkSet } from "./networks.ts";
import type { StrictRequest } from "./request_rules.ts";

/** Most hops that are looked at. */
export const MAX_HOPS = 32;

/** Whose word counts, and in which field. */
export interface ClientAddressRule {
  readonly from: "proxy-protocol" | "x-forwarded-for" | "forwarded";
  readonly trustedProxies: NetworkSet;
}

/**
 * The client's address.
 * @param connection Address of the other end of the connection.
 * @returns Undefined when a trusted proxy sent a field that cannot be read.
 */
export function clientAddress(
  rule: ClientAddressRule | undefined,
  connection: string,
  headers: StrictRequest["headers"],
): string | undefined {
  if (rule === undefined || rule.from === "proxy-protocol") return connection;
  let address = connection;
  const field = headers.filter(([name]) => name === rule.from).map(([, value]) => value).join(",");
  // From nobody whom we trust the field is hearsay, however it looks.
  if (field.trim() === "" || !rule.trustedProxies.contains(connection)) return connection;
  const hops = rule.from === "forwarded" ? forwardedHops(field) : field.split(",").map(hopAddress);
  if (hops === undefined) return undefined;
  for (const hop of hops.slice(-MAX_HOPS).reverse()) {
    if (!rule.trustedProxies.contains(address)) return address;
    // A proxy that says "unknown" is the last one who is known. Garbage is a fault of a proxy of ours: refused.
    if (hop === "unknown") return address;
    if (hop === undefined) return undefined;
    address = hop;
  }
  return address;
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. */
function hopAddress(text: string): string | undefined {
  const hop = text.trim();
  if (hop.toLowerCase() === "unknown" || /^_[A-Za-z0-9._-]+$/.test(hop)) return "unknown";
  const bare = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(hop)?.[1] ?? /^([\d.]+)(?::\d{1,5})?$/.exec(hop)?.[1] ??
    hop;
  return readAddress(bare) === undefined || bare.includes("%") ? undefined : normalAddress(bare);
}

/** One `for` of each element (RFC 7239, section 4); undefined when the field is malformed. */
function forwardedHops(field: string): (string | undefined)[] | undefined {
  const element = /\s*((?:[A-Za-z]+=(?:"(?:[^"\\]|\\.)*"|[^\s",;=]+)(?:\s*;\s*)?)+)\s*(,|$)/y;
  const hops: (string | undefined)[] = [];
  let at = 0;
  while (at < field.length) {
    element.lastIndex = at;
    const found = element.exec(field);
    if (found === null) return undefined;
    at = element.lastIndex;
    const named = [...found[1]!.matchAll(/(?:^|;)\s*for=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+))/gi)];
    if (named.length > 1) return undefined;
    const node = named[0]?.[1]?.replace(/\\(.)/g, "$1") ?? named[0]?.[2];
    hops.push(node === undefined ? "unknown" : hopAddress(node));
    if (found[2] === "," && at === field.length) return undefined;
  }
  return hops;
}
