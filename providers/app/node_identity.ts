/**
 * Who speaks: the connection's certificate must be a gateway's, and the one that the gateway passes on in Client-Cert
 * (RFC 9440) an orchestrator's. Both are verified here again on each request.
 */

import { parseItem } from "structured-headers";
import type { Trust } from "shared/protocol/x509/trust.ts";
import { verifyCertificate } from "shared/protocol/x509/verification.ts";
import type { Clock } from "shared/transport/clock.ts";

/** Header with the orchestrator's certificate. */
export const CLIENT_CERT_HEADER = "client-cert";
const CLIENT_CERT_MAX = 8192;
const GATEWAY = /^urn:recovery-key:gateway:[a-z0-9][a-z0-9-]{0,62}$/;
const ORCHESTRATOR = /^urn:recovery-key:orchestrator:[a-z0-9][a-z0-9-]{0,62}$/;

/** Trust in the two authorities. */
export interface NodeTrust {
  readonly gateways: Trust;
  readonly orchestrators: Trust;
}

/** Why a certificate is refused; undefined when it is taken. */
async function fault(
  der: Uint8Array | undefined,
  trust: Trust,
  identity: RegExp,
  clock: Clock,
): Promise<string | undefined> {
  if (der === undefined || der.length === 0) return "certificate-missing";
  const result = await verifyCertificate([der], trust, { usage: "client", now: clock.now() });
  if (result.kind === "refuse") return result.reason;
  return identity.test(result.identity) ? undefined : "identity-foreign";
}

/** Checks the connection. @param der the peer's certificate as the TLS layer gives it. */
export function gatewayFault(
  der: Uint8Array | undefined,
  trust: NodeTrust,
  clock: Clock,
): Promise<string | undefined> {
  return fault(der, trust.gateways, GATEWAY, clock);
}

/** Checks the one for whom the gateway speaks. @param header value of Client-Cert. */
export function orchestratorFault(
  header: string | undefined,
  trust: NodeTrust,
  clock: Clock,
): Promise<string | undefined> {
  return fault(clientCertificate(header), trust.orchestrators, ORCHESTRATOR, clock);
}

function clientCertificate(header: string | undefined): Uint8Array | undefined {
  if (header === undefined || header.length > CLIENT_CERT_MAX) return undefined;
  try {
    const [value] = parseItem(header);
    return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined;
  } catch {
    return undefined;
  }
}
