/** What somebody on call has to look at, from the figures of a gateway: a table of rules, each with its words. Pure. */

/** One thing to look at. */
export interface Finding {
  readonly severity: "warning" | "alarm";
  readonly text: string;
}

/** The figures that are looked at; times are milliseconds since 1970. */
export interface Figures {
  readonly now: number;
  readonly phase: string;
  readonly upstreams: readonly { readonly pool: string; readonly instance: string; readonly state: string }[];
  readonly activity: { readonly requestsPerSecond: number; readonly faultsPerSecond: number };
  readonly outbound: readonly { readonly destination: string; readonly alarmed: boolean }[];
  readonly certificates: readonly { readonly use: string; readonly notAfter: number }[];
  readonly revocation: readonly {
    readonly authority: string;
    readonly freshUntil?: number;
    readonly whenStale: "refuse" | "accept";
  }[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A certificate that ends within this time is worth a look; within the second it wakes somebody. */
export const CERTIFICATE_DAYS = { warning: 30, alarm: 3 } as const;
/** A list that is stale within this time is worth a look. */
export const REVOCATION_WARNING_HOURS = 2;
/** Share of answers that are server errors. */
export const FAULT_SHARE = { warning: 0.01, alarm: 0.1 } as const;

/** Everything that is to be looked at, alarms first. */
export function findings(figures: Figures): Finding[] {
  const found = [
    ...ofPhase(figures),
    ...ofUpstreams(figures),
    ...ofFaults(figures),
    ...figures.outbound.filter(({ alarmed }) => alarmed).map(({ destination }): Finding => ({
      severity: "alarm",
      text: `More leaves than should: ${destination}`,
    })),
    ...ofCertificates(figures),
    ...ofRevocation(figures),
  ];
  return found.sort((a, b) => Number(b.severity === "alarm") - Number(a.severity === "alarm"));
}

function ofPhase({ phase }: Figures): Finding[] {
  return phase === "serving" ? [] : [{ severity: "warning", text: `The gateway is ${phase}` }];
}

function ofUpstreams({ upstreams }: Figures): Finding[] {
  const pools = new Set(upstreams.map(({ pool }) => pool));
  return [...pools].flatMap((pool): Finding[] => {
    const all = upstreams.filter((each) => each.pool === pool);
    const down = all.filter(({ state }) => state !== "up");
    if (down.length === 0) return [];
    const names = down.map(({ instance }) => instance).join(", ");
    return down.length === all.length
      ? [{ severity: "alarm", text: `No instance of ${pool} is up (${names})` }]
      : [{
        severity: "warning",
        text: `${down.length} of ${all.length} instances of ${pool} are not up: ${names}`,
      }];
  });
}

function ofFaults({ activity }: Figures): Finding[] {
  const { requestsPerSecond, faultsPerSecond } = activity;
  const share = requestsPerSecond === 0 ? 0 : faultsPerSecond / requestsPerSecond;
  if (share < FAULT_SHARE.warning) return [];
  const text = `${Math.round(share * 1000) / 10} % of the answers of the last minute are server errors`;
  return [{ severity: share >= FAULT_SHARE.alarm ? "alarm" : "warning", text }];
}

function ofCertificates({ certificates, now }: Figures): Finding[] {
  return certificates.flatMap(({ use, notAfter }): Finding[] => {
    const days = (notAfter - now) / DAY_MS;
    if (days > CERTIFICATE_DAYS.warning) return [];
    const severity = days <= CERTIFICATE_DAYS.alarm ? "alarm" : "warning";
    const when = days <= 0 ? "has ended" : days < 1 ? "ends today" : `ends in ${Math.floor(days)} days`;
    return [{ severity, text: `The certificate of ${use} ${when}` }];
  });
}

function ofRevocation({ revocation, now }: Figures): Finding[] {
  return revocation.flatMap(({ authority, freshUntil, whenStale }): Finding[] => {
    const effect = whenStale === "refuse" ? "its clients are refused" : "revoked clients may get in";
    if (freshUntil === undefined) {
      return [{ severity: "warning", text: `${authority} has no revocation list: ${effect}` }];
    }
    if (freshUntil < now) {
      return [{ severity: "alarm", text: `The revocation list of ${authority} is stale: ${effect}` }];
    }
    if (freshUntil - now > REVOCATION_WARNING_HOURS * HOUR_MS) return [];
    const minutes = Math.floor((freshUntil - now) / 60_000);
    return [{ severity: "warning", text: `The revocation list of ${authority} is stale in ${minutes} min` }];
  });
}
