/**
 * The identity verifiers of a local spine, one for each provider, behind a port that a vendor's interface or a process of its own
 * can fill: nothing else of the spine knows how a verification comes about.
 */

import type { JWK } from "jose";
import type { RecoverIdentity } from "shared/protocol/wire/recover.ts";
import { makeVerifier } from "tests/recover/verifier.ts";
import type { ProviderIndex } from "./layout.ts";

/** What a person proves, and to which vault the result is sealed. */
export interface Verification {
  readonly vaultKey: JWK;
  /** Of the step that asks: 32 bytes, hex. */
  readonly nonce: string;
  readonly providerName: string;
  readonly identity: RecoverIdentity;
  /** The four digits that the device shows; the first provider's verifier asks for them. */
  readonly securityCode?: string;
}

/** One provider's verifier. */
export interface LocalVerifier {
  readonly issuer: string;
  /** Where a person would go. */
  readonly url: string;
  /** Signs the set of its keys; pinned in the vault. */
  readonly pinnedKey: JWK;
  /** The signed set of its keys as it is now. */
  keySet(): string;
  /** Takes every proof for good, signs what it says and seals it to the vault. */
  verify(verification: Verification): Promise<string>;
}

/** A verifier of this process: it ends with it, and the next one has other keys. */
export async function makeLocalVerifier(index: ProviderIndex): Promise<LocalVerifier> {
  const seconds = () => Math.floor(Date.now() / 1000);
  const issuer = `https://verifier-${index}.invalid`;
  const { pinnedKey, keySet, result } = await makeVerifier(issuer, seconds());
  return {
    issuer,
    url: `${issuer}/start`,
    pinnedKey,
    keySet,
    verify: (verification) => result({ ...verification, nowSeconds: seconds() }),
  };
}
