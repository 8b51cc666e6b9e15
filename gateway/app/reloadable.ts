/** What a running gateway can take from a changed file, and what needs a new process: decided before anything is taken. */

import { CodedError } from "shared/base/errors.ts";
import "../transport/errors.ts";
import type { GatewayConfig } from "./config.ts";
import { PROTECTION_FIXED } from "./protection_config.ts";

/** Parts of the configuration that a process keeps from its start: sockets, bounds and pools are built on them. */
export const FIXED_PARTS = [
  "listen",
  "admin",
  "limits",
  "upstreams",
  "drain",
  "eventLog",
  "log",
  "outbound",
  "tracing",
  ...PROTECTION_FIXED,
] as const;

/** Files that a reload reads again, although the part that names them is fixed. */
const contents = (config: GatewayConfig, part: typeof FIXED_PARTS[number]) => {
  if (part !== "listen") return JSON.stringify(config[part]);
  const { certificate: _, key: __, minVersion: ___, ...address } = config.listen;
  return JSON.stringify(address);
};

/** Parts that differ and need a new process. */
export function fixedChanges(running: GatewayConfig, next: GatewayConfig): string[] {
  return FIXED_PARTS.filter((part) => contents(running, part) !== contents(next, part));
}

/** Takes a file as a whole or not at all. @throws {CodedError} `GATEWAY_RELOAD_FIXED` with the parts that need a new process. */
export function requireReloadable(running: GatewayConfig, next: GatewayConfig): void {
  const changed = fixedChanges(running, next);
  if (changed.length === 0) return;
  throw new CodedError(
    "GATEWAY_RELOAD_FIXED",
    `Cannot reload: ${changed.join(", ")} changed, which needs a new process`,
    { changed },
  );
}
