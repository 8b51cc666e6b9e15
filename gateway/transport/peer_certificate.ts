/** The certificates that a TLS peer presented, as DER. */

import type { DetailedPeerCertificate, TLSSocket } from "node:tls";

/** Most certificates that are taken from one peer. */
const MAX_PRESENTED = 5;

/**
 * The presented chain, leaf first; empty when the peer showed none. The runtime appends configured issuers
 * that the peer did not send: harmless, they are only candidates.
 */
export function presentedChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  // An empty object stands for "no certificate", so `raw` has to be asked for.
  let at: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (at?.raw !== undefined && chain.length < MAX_PRESENTED) {
    chain.push(new Uint8Array(at.raw));
    if (at.issuerCertificate === at) break;
    at = at.issuerCertificate;
  }
  return chain;
}
