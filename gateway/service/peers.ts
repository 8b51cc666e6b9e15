/**
 * Verified peers. A verdict is kept by certificate fingerprint until it runs out or the trust changes, and is asked for
 * again with every request, so that a certificate that is revoked or expires loses its open connections too.
 */

import type { Clock } from "shared/transport/clock.ts";
import {
  certificateFingerprint,
  type CertificateVerdict,
  verifyCertificate,
} from "shared/protocol/x509/verification.ts";
import type { Trust } from "shared/protocol/x509/trust.ts";

/** Decides on a presented chain. */
export type Verifier = (
  chain: readonly Uint8Array[],
  trust: Trust,
  options: { readonly usage: "client"; readonly now: number; readonly identities?: "uri" | "any" },
) => Promise<CertificateVerdict>;

/** Most verdicts that are kept; the oldest goes first. */
const MAX_VERDICTS = 20_000;

/** Verdicts over one trust at a time. */
export class Peers {
  #verdicts = new Map<string, CertificateVerdict>();
  readonly #fingerprints = new WeakMap<Uint8Array, string>();
  #trust: Trust;

  /** @param verifier Replaced in tests only, by one that is broken on purpose. */
  constructor(trust: Trust, readonly clock: Clock, readonly verifier: Verifier = verifyCertificate) {
    this.#trust = trust;
  }

  get trust(): Trust {
    return this.#trust;
  }

  /** Takes new authorities and revocation lists; nothing that was decided before counts any more. */
  replaceTrust(trust: Trust): void {
    this.#trust = trust;
    this.#verdicts.clear();
  }

  /** The same bytes come with every request of a connection: hashed once. */
  #fingerprint(leaf: Uint8Array): string {
    const known = this.#fingerprints.get(leaf);
    if (known !== undefined) return known;
    const made = certificateFingerprint(leaf);
    this.#fingerprints.set(leaf, made);
    return made;
  }

  /** The verdict of now on a presented chain, when it is there already: most are. */
  known(chain: readonly Uint8Array[]): CertificateVerdict | undefined {
    const leaf = chain[0];
    const known = leaf === undefined ? undefined : this.#verdicts.get(this.#fingerprint(leaf));
    return known !== undefined && this.clock.now() < known.validUntil ? known : undefined;
  }

  /** The verdict of now on a presented chain. */
  async verify(chain: readonly Uint8Array[]): Promise<CertificateVerdict> {
    const now = this.clock.now();
    const leaf = chain[0];
    const key = leaf === undefined ? undefined : this.#fingerprint(leaf);
    const known = key === undefined ? undefined : this.#verdicts.get(key);
    if (known !== undefined && now < known.validUntil) return known;
    const trust = this.#trust;
    const verdict = await this.verifier(chain, trust, { usage: "client", now, identities: "any" });
    // A reload may have come in between: what was decided on the old trust is decided again.
    if (trust !== this.#trust) return await this.verify(chain);
    if (key !== undefined) {
      this.#verdicts.delete(key);
      if (this.#verdicts.size >= MAX_VERDICTS) this.#verdicts.delete(this.#verdicts.keys().next().value!);
      this.#verdicts.set(key, verdict);
    }
    return verdict;
  }
}
