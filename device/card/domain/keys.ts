/** The keys of a domain as PUT KEY, DELETE [key] and GET DATA see them. GPC 2.3.1, 11.8, 11.2.2.3.2, 11.3.3.1. */

import { concat, writeUint } from "shared/base/bytes.ts";
import { encodeBer } from "shared/protocol/tlv/ber.ts";
import { KEY_TYPE_AES } from "shared/protocol/gp/put_key.ts";
import { needsExtendedInformation } from "shared/protocol/gp/public_key.ts";
import type { DomainState, KeySetState, OtherKeyState } from "../state.ts";

/** Identifiers of the three keys of SCP03. Amendment D, 5.2. */
const CHANNEL_KEYS = ["enc", "mac", "dek"] as const;

/** A key to be stored. */
export interface NewKey {
  readonly id: number;
  readonly components: OtherKeyState["components"];
}

/** Which keys a command names; what is absent names all. */
export interface KeyReference {
  readonly id?: number | undefined;
  readonly version?: number | undefined;
}

const channelKeyOf = (id: number) => CHANNEL_KEYS[id - 1];

function emptySet(version: number): KeySetState {
  return { version, enc: null, mac: null, dek: null, sequenceCounter: 0, failedAuthentications: 0 };
}

/** Whether a domain has the key with this version and identifier. */
export function hasKey(domain: DomainState, version: number, id: number): boolean {
  const name = channelKeyOf(id);
  const inSet = name !== undefined &&
    domain.keySets.some((keys) => keys.version === version && keys[name] !== null);
  return inSet || domain.otherKeys.some((key) => key.version === version && key.id === id);
}

/** Takes keys away. A set whose last key goes is gone, and its counter with it. */
export function withoutKeys(domain: DomainState, { id, version }: KeyReference): DomainState {
  const named = (keyVersion: number, keyId: number) =>
    (version === undefined || version === keyVersion) && (id === undefined || id === keyId);
  const keySets = domain.keySets.map((keys) => {
    const left = { ...keys };
    CHANNEL_KEYS.forEach((name, i) => {
      if (named(keys.version, i + 1)) left[name] = null;
    });
    return left;
  });
  return {
    ...domain,
    keySets: keySets.filter((keys) => CHANNEL_KEYS.some((name) => keys[name] !== null)),
    otherKeys: domain.otherKeys.filter((key) => !named(key.version, key.id)),
  };
}

/**
 * Stores keys under a version. Keys that replace take the place of the old set; a set with a new key counts from
 * zero, failures too. GPC 2.3.1, 11.8.2.
 * @param replaceVersion version whose keys with these identifiers are replaced; 0: they are added.
 * @returns "missing" when there is nothing to replace, "exists" when the version has such a key already.
 */
export function withKeys(
  domain: DomainState,
  replaceVersion: number,
  version: number,
  keys: readonly NewKey[],
): DomainState | "missing" | "exists" {
  const position = domain.keySets.findIndex((set) => set.version === (replaceVersion || version));
  let left = domain;
  for (const { id } of keys) {
    if (replaceVersion !== 0) {
      if (!hasKey(left, replaceVersion, id)) return "missing";
      left = withoutKeys(left, { id, version: replaceVersion });
    }
    if (hasKey(left, version, id)) return "exists";
  }
  const otherKeys = [...left.otherKeys];
  let set = left.keySets.find((one) => one.version === version);
  for (const { id, components } of keys) {
    const name = channelKeyOf(id);
    const [only] = components;
    if (name === undefined || only?.type !== KEY_TYPE_AES) {
      otherKeys.push({ version, id, components });
      continue;
    }
    set = { ...(set ?? emptySet(version)), [name]: only.value, sequenceCounter: 0, failedAuthentications: 0 };
  }
  const others = left.keySets.filter((one) => one.version !== version);
  const at = position < 0 ? others.length : Math.min(position, others.length);
  const keySets = set === undefined ? others : [...others.slice(0, at), set, ...others.slice(at)];
  return { ...left, keySets, otherKeys };
}

/** Key information (E0): `C0` with identifier, version, then type and length of each component. */
export function keyInformation(domain: Pick<DomainState, "keySets" | "otherKeys">): Uint8Array {
  const channel = domain.keySets.flatMap((keys) =>
    CHANNEL_KEYS.flatMap((name, i) => {
      const key = keys[name];
      return key === null
        ? []
        : [encodeBer(0xc0, Uint8Array.of(i + 1, keys.version, KEY_TYPE_AES, key.length))];
    })
  );
  return encodeBer(0xe0, ...channel, ...domain.otherKeys.map(otherKeyInformation));
}

function otherKeyInformation({ id, version, components }: OtherKeyState): Uint8Array {
  const head = Uint8Array.of(id, version);
  if (!needsExtendedInformation(components)) {
    return encodeBer(0xc0, head, ...components.map(({ type, value }) => Uint8Array.of(type, value.length)));
  }
  // Extended form: FF before each type, two bytes of length, then no usage and no access. Table 11-29.
  const long = components.map(({ type, value }) =>
    concat(Uint8Array.of(0xff, type), writeUint(value.length, 2))
  );
  return encodeBer(0xc0, head, ...long, Uint8Array.of(0, 0));
}
