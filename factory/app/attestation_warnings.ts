/** What an operator must hear at every start: each default that is for demonstrations and not for production. */

import type { Logger } from "shared/base/log.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { Sql } from "shared/transport/postgres/database.ts";
import type { AttestationConfig } from "./attestation_config.ts";

/** Warns, one line each. Returns the names of what was warned of. */
export async function warnOfDemonstration(
  config: AttestationConfig,
  hsm: Pick<Hsm, "kind">,
  sql: Sql,
  log: Logger,
): Promise<string[]> {
  const warned: string[] = [];
  const warn = (what: string, message: string) => {
    warned.push(what);
    log.warning("not-for-production", { what, message });
  };
  if (hsm.kind === "software") {
    warn("software-hsm", "The issuer's key is in this process's memory: use a PKCS#11 token (`hsm.kind`).");
  }
  const [row] = await sql<{ version: string }[]>`SELECT version() AS version`;
  if (/emscripten|wasm/i.test(row?.version ?? "")) {
    warn("pglite", "The embedded database makes no fsync and has one process: use a PostgreSQL server.");
  } else if (config.database.tls === undefined && !isLocal(config.database.url)) {
    warn("database-without-tls", "The database is on another machine and not reached over TLS.");
  }
  if (config.hostCertificates.enabled) {
    warn(
      "host-certificates",
      "Host certificates are issued by this process, with one station's signature: use another service and a quorum.",
    );
  }
  warn(
    "senders-from-file",
    "Senders and their keys come from the configuration file: protect it like a key.",
  );
  if (config.eventLog === undefined) {
    warn("no-event-log", "Nothing is entered in a tamper-evident log: give `eventLog`.");
  }
  if (config.tls.gateways.revocationList === undefined || config.tls.senders.revocationList === undefined) {
    warn("no-revocation-list", "An authority has no revocation list.");
  }
  return warned;
}

function isLocal(url: string): boolean {
  const { hostname, searchParams } = new URL(url);
  const host = searchParams.get("host") ?? hostname;
  return host === "" || host.startsWith("/") || host === "localhost" || host === "[::1]" ||
    host.startsWith("127.");
}
