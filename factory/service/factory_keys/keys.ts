/** Makes and lists the keys of a factory in its token. Only public halves ever leave. */

import { createHash } from "node:crypto";
import { toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf, defineErrors } from "shared/base/errors.ts";
import type { Curve, Hsm, HsmKeyKind } from "shared/transport/hsm.ts";
import { FACTORY_KEYS, type FactoryKey, type KeyPresence, presenceOf } from "../../domain/factory_keys.ts";

/** A key as it is reported. */
export interface KeyReport {
  readonly label: string;
  readonly kind: HsmKeyKind;
  readonly curve: Curve | null;
  /** Null for a key that is none of the factory's. */
  readonly purpose: string | null;
  readonly state: KeyPresence;
  /** Uncompressed point (65), of Ed25519 its 32 bytes, in hex and its SHA-256; null for a master key, which has no public half. */
  readonly publicKey: string | null;
  readonly publicKeySha256: string | null;
}

/** A token as it is reported. */
export interface TokenReport {
  readonly kind: string;
  readonly model: string;
  readonly serial: string;
  readonly label: string;
  /** The factory's keys in their order, then every other one. */
  readonly keys: readonly KeyReport[];
  /** Labels that are missing, or stand for another kind of key. */
  readonly missing: readonly string[];
  readonly other: readonly string[];
}

/**
 * Makes the keys that are missing; one that is there is never touched, so this can be repeated. Of two that run at once,
 * one makes the key and the other finds it.
 * @returns labels of the keys that were made.
 * @throws {CodedError} `HSM_KEY_OTHER` before anything is made, when a label stands for another kind of key; those of the
 *   HSM.
 */
export async function makeFactoryKeys(
  hsm: Hsm,
  keys: readonly FactoryKey[] = FACTORY_KEYS,
): Promise<string[]> {
  const listed = await hsm.keys();
  const wrong = keys.find((key) => presenceOf(key, listed) === "other");
  if (wrong) {
    throw new CodedError(
      "HSM_KEY_OTHER",
      `Cannot make key ${wrong.label}: the token holds one of this label that is ${
        listed.filter(({ label }) => label === wrong.label).map(describe).join(" and ")
      }, not ${describe(wrong)}`,
      { label: wrong.label },
    );
  }
  const made: string[] = [];
  for (const key of keys) {
    if (presenceOf(key, listed) === "there") continue;
    try {
      if (key.kind === "master") await hsm.generateMasterKey(key.label);
      else await hsm.generateSigningKey(key.label, key.curve);
      made.push(key.label);
    } catch (error) {
      if (codeOf(error) !== "HSM_KEY_EXISTS") throw error;
    }
  }
  return made;
}

/** Reads the token and its keys. @throws {CodedError} those of the HSM. */
export async function readToken(hsm: Hsm): Promise<TokenReport> {
  const token = await hsm.describe();
  const listed = await hsm.keys();
  const own = FACTORY_KEYS.map((key) => ({ key, state: presenceOf(key, listed), purpose: key.purpose }));
  const others = listed.filter(({ label }) => FACTORY_KEYS.every((key) => key.label !== label))
    .map((key) => ({ key, state: "there" as const, purpose: null }));
  const keys: KeyReport[] = [];
  for (const { key, state, purpose } of [...own, ...others]) {
    const publicKey = state === "there" && key.kind === "signing" ? await hsm.publicKey(key.label) : null;
    keys.push({
      label: key.label,
      kind: key.kind,
      curve: key.curve ?? null,
      purpose,
      state,
      publicKey: publicKey && toHex(publicKey),
      publicKeySha256: publicKey && toHex(createHash("sha256").update(publicKey).digest()),
    });
  }
  const labels = (state: KeyPresence) =>
    own.filter((each) => each.state === state).map(({ key }) => key.label);
  return { ...token, keys, missing: labels("missing"), other: labels("other") };
}

function describe({ kind, curve }: { kind: string; curve?: Curve }): string {
  return kind === "master" ? "an AES-256 master key" : `a signing key on ${curve ?? "secp256k1"}`;
}

defineErrors({
  HSM_KEY_OTHER: {
    fault: "configuration",
    retry: false,
    http: 503,
    next: "Rename or delete that key with the token's own tools, or use another token; nothing was changed.",
  },
});
