/**
 * Who speaks. Two certificates are checked on each request: the connection's, which must be a gateway's and
 * is verified here again because the runtime skips it on resumed sessions; and the sender's, which the
 * gateway passes on in Client-Cert (RFC 9440) and which is verified here too, with its revocation list.
 */

import type { Clock } from "shared/transport/clock.ts";
import { clientCertificate } from "shared/protocol/x509/client_cert.ts";
import { verifyCertificate } from "shared/protocol/x509/verification.ts";
import type { Trust } from "shared/protocol/x509/trust.ts";
import { GATEWAY_IDENTITY } from "shared/service/behind_gateway.ts";
import type { SenderRole } from "../transport/issuance_store/records.ts";

/** Verdicts that are remembered; the oldest goes first. */
const CACHE_MAX = 1024;
const SENDER_IDENTITY = /^urn:recovery-key:(station|batch-manager):([a-z0-9][a-z0-9-]{0,62})$/;

/** Whom a certificate names. */
export type IdentityVerdict<T> =
  | { readonly kind: "accept"; readonly identity: T }
  | { readonly kind: "refuse"; readonly reason: string };

/** A sender as its certificate names it. */
export interface SenderIdentity {
  readonly name: string;
  readonly role: SenderRole;
}

/** Trust in the two authorities; replaced as a whole when a file changes. */
export interface IdentityTrust {
  readonly gateways: Trust;
  readonly senders: Trust;
}

interface Cached<T> {
  readonly verdict: IdentityVerdict<T>;
  readonly validUntil: number;
}

/** Checks certificates against the present trust, remembering verdicts while they hold. */
export class IdentityChecker {
  #trust: IdentityTrust;
  readonly #clock: Clock;
  readonly #gateways = new Map<string, Cached<string>>();
  readonly #senders = new Map<string, Cached<SenderIdentity>>();

  constructor(trust: IdentityTrust, clock: Clock) {
    this.#trust = trust;
    this.#clock = clock;
  }

  /** Takes other authorities or newer lists: every verdict is made anew. */
  trust(trust: IdentityTrust): void {
    this.#trust = trust;
    this.#gateways.clear();
    this.#senders.clear();
  }

  /** The gateway of a connection. @param der Its certificate as the TLS layer gives it. */
  gateway(der: Uint8Array | undefined): Promise<IdentityVerdict<string>> {
    if (der === undefined || der.length === 0) return Promise.resolve(refused("certificate-missing"));
    return this.#check(
      this.#gateways,
      der.toBase64(),
      () => der,
      () => this.#trust.gateways,
      (uri) => GATEWAY_IDENTITY.test(uri) ? uri : undefined,
    );
  }

  /** The sender that a gateway names. @param header Value of Client-Cert. */
  sender(header: string | undefined): Promise<IdentityVerdict<SenderIdentity>> {
    if (header === undefined) return Promise.resolve(refused("client-cert-missing"));
    return this.#check(
      this.#senders,
      header,
      () => clientCertificate(header),
      () => this.#trust.senders,
      (uri) => {
        const match = SENDER_IDENTITY.exec(uri);
        return match === null ? undefined : { role: match[1] as SenderRole, name: match[2]! };
      },
    );
  }

  async #check<T>(
    cache: Map<string, Cached<T>>,
    key: string,
    read: () => Uint8Array | undefined,
    trustOf: () => Trust,
    identify: (uri: string) => T | undefined,
  ): Promise<IdentityVerdict<T>> {
    const now = this.#clock.now();
    const known = cache.get(key);
    if (known !== undefined && now < known.validUntil) return known.verdict;
    const der = read();
    if (der === undefined) return refused("client-cert-malformed");
    const trust = trustOf();
    const result = await verifyCertificate([der], trust, { usage: "client", now });
    let verdict: IdentityVerdict<T>;
    if (result.kind === "refuse") {
      verdict = refused(result.reason);
    } else {
      const identity = identify(result.identity);
      verdict = identity === undefined ? refused("identity-foreign") : { kind: "accept", identity };
    }
    // Trust that was exchanged meanwhile has emptied the cache: this verdict is not from it.
    if (trust === trustOf()) {
      if (cache.size >= CACHE_MAX) cache.delete(cache.keys().next().value!);
      cache.set(key, { verdict, validUntil: result.validUntil });
    }
    return verdict;
  }
}

function refused(reason: string): { readonly kind: "refuse"; readonly reason: string } {
  return { kind: "refuse", reason };
}
