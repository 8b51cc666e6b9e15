/** The keys of a factory (FAB-HSM): which there are, what each is for, and whether a token has them. */

import type { HsmKey } from "shared/transport/hsm.ts";

/** Label of the key that signs card certificates. */
export const ISSUER_LABEL = "issuer";
/** Label of the master of the cards' transport keys. */
export const TRANSPORT_MASTER_LABEL = "transport-master";
/** Label of the master of the cards' upgrade keys. */
export const UPGRADE_MASTER_LABEL = "upgrade-master";
/** Label of the key that signs packages. */
export const RELEASE_LABEL = "release";

/** Label of the key that signs the records of cards and batches. */
export const RECORD_LABEL = "record";

/** A key that a factory needs. */
export interface FactoryKey extends HsmKey {
  /** For people. */
  readonly purpose: string;
}

/** The keys, in the order in which they are made. */
export const FACTORY_KEYS: readonly FactoryKey[] = [
  { label: ISSUER_LABEL, kind: "signing", curve: "secp256k1", purpose: "signs card and host certificates" },
  { label: TRANSPORT_MASTER_LABEL, kind: "master", purpose: "diversifies the transport keys of cards" },
  { label: UPGRADE_MASTER_LABEL, kind: "master", purpose: "diversifies the upgrade keys of cards" },
  { label: RELEASE_LABEL, kind: "signing", curve: "p256", purpose: "signs packages (DAP)" },
  {
    label: RECORD_LABEL,
    kind: "signing",
    curve: "p256",
    purpose: "signs records of cards and batches (ES256)",
  },
];

/** What a token has of a key: `other` is a key of this label that is of another kind or curve. */
export type KeyPresence = "there" | "missing" | "other";

/** Compares a listing of a token with what a key must be. */
export function presenceOf(wanted: FactoryKey, listed: readonly HsmKey[]): KeyPresence {
  const found = listed.filter(({ label }) => label === wanted.label);
  if (found.length === 0) return "missing";
  return found.every(({ kind, curve }) => kind === wanted.kind && curve === wanted.curve) ? "there" : "other";
}
