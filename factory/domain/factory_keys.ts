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

/** Label of the key that signs the checkpoints of this factory's log. */
export const LOG_LABEL = "log";

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
  // Last: a token without CKM_EDDSA (`HSM_MECHANISM`) has all the others then.
  { label: LOG_LABEL, kind: "signing", curve: "ed25519", purpose: "signs checkpoints of the log" },
];

/** What a token has of a key: `other` is a key of this label that is of another kind or curve. */
export type KeyPresence = "there" | "missing" | "other";

/** Compares a listing of a token with what a key must be. */
export function presenceOf(wanted: FactoryKey, listed: readonly HsmKey[]): KeyPresence {
  const found = listed.filter(({ label }) => label === wanted.label);
  if (found.length === 0) return "missing";
  return found.every(({ kind, curve }) => kind === wanted.kind && curve === wanted.curve) ? "there" : "other";
}
