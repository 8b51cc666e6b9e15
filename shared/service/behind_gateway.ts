/** Who speaks to a service behind a gateway. Certificates are verified on each request: a revocation since the handshake counts. */

import type { TLSSocket } from "node:tls";
import type { Trust } from "../protocol/x509/trust.ts";
import { verifyCertificate } from "../protocol/x509/verification.ts";
import type { Clock } from "../transport/clock.ts";

/** Identities of gateways. */
export const GATEWAY_IDENTITY = /^urn:recovery-key:gateway:[a-z0-9][a-z0-9-]{0,62}$/;
/** Identities of wallets, and of companions that speak for one. */
export const WALLET_IDENTITY = /^urn:recovery-key:wallet:[a-z0-9][a-z0-9-]{0,62}$/;
/** Identities of orchestrators. */
export const ORCHESTRATOR_IDENTITY = /^urn:recovery-key:orchestrator:[a-z0-9][a-z0-9-]{0,62}$/;

/** Whom a certificate names, or why it is not taken; the reason is for the log. */
export type Speaker =
  | { readonly kind: "accept"; readonly identity: string }
  | { readonly kind: "refuse"; readonly reason: string };

/**
 * Verifies the certificate of whoever speaks.
 * @param certificate DER; undefined or empty when there was none.
 * @param identities What the certificate has to name.
 */
export async function speaker(
  certificate: Uint8Array | undefined,
  trust: Trust,
  identities: RegExp,
  clock: Clock,
): Promise<Speaker> {
  if (certificate === undefined || certificate.length === 0) {
    return { kind: "refuse", reason: "certificate-missing" };
  }
  const verdict = await verifyCertificate([certificate], trust, { usage: "client", now: clock.now() });
  if (verdict.kind === "refuse") return { kind: "refuse", reason: verdict.reason };
  const { identity } = verdict;
  return identities.test(identity)
    ? { kind: "accept", identity }
    : { kind: "refuse", reason: "identity-foreign" };
}

/** The certificate of a connection (DER); undefined when the handshake did not prove it. */
export function peerCertificate(socket: TLSSocket): Uint8Array | undefined {
  const raw = socket.authorized ? socket.getPeerCertificate().raw : undefined;
  return raw && new Uint8Array(raw);
}
