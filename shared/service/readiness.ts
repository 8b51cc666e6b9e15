/** Whether an instance can do its work: everything that it needs answers, and it is not stopping. */

import type { Logger } from "../base/log.ts";
import type { Readiness } from "../transport/admin_listener.ts";
import type { Clock } from "../transport/clock.ts";

/** A part that has to answer. */
export interface ReadinessProbe {
  readonly name: string;
  readonly probe: () => Promise<unknown>;
}

/** An answer is kept so long: health checks of two gateways do not become load on the token. */
const KEEP_MS = 1_000;
const PROBE_MS = 2_000;

/** Makes the check. Concurrent calls share one probe. */
export function readiness(
  probes: readonly ReadinessProbe[],
  draining: () => boolean,
  clock: Clock,
  log: Logger,
): () => Promise<Readiness> {
  let last: Promise<Readiness> | undefined;
  let until = 0;
  let wasOk = true;
  const probeAll = async (): Promise<Readiness> => {
    const results = await Promise.all(probes.map(({ name, probe }) => failingName(name, probe)));
    const failing = results.filter((name) => name !== undefined);
    const ok = failing.length === 0;
    if (ok !== wasOk) log[ok ? "info" : "error"](ok ? "ready" : "not-ready", { failing });
    wasOk = ok;
    return { ok, failing };
  };
  return async () => {
    if (draining()) return { ok: false, failing: ["draining"] };
    const now = clock.monotonic();
    if (last === undefined || now >= until) {
      until = now + KEEP_MS;
      last = probeAll();
    }
    return await last;
  };
}

async function failingName(name: string, probe: () => Promise<unknown>): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => timer = setTimeout(() => resolve(name), PROBE_MS));
  try {
    return await Promise.race([probe().then(() => undefined, () => name), late]);
  } finally {
    clearTimeout(timer);
  }
}
