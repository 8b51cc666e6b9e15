/**
 * The card's persistent memory as one immutable value: a command that changes something makes a new value, and
 * the card stores it whole before it answers. Written as JSON with byte strings in hex.
 */

import { z } from "zod";
import { concat, equal, fromHex, toHex, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import {
  APPLICATION_SELECTABLE,
  CARD_LIFE_CYCLE,
  CPLC_SERIAL_OFFSET,
  CPLC_TEMPLATE,
  DAP_PRIVILEGES,
  DOMAIN_PERSONALIZED,
  ISD_PRIVILEGES,
  PACKAGE_LOADED,
  RECOVERY_KEY_MODULE_AID,
  RECOVERY_KEY_PACKAGE_AID,
  SSD_MODULE_AID,
  SSD_PACKAGE_AID,
  SSD_PRIVILEGES,
  UPGRADE_DOMAIN_PRIVILEGES,
} from "./constants.ts";
import type { CompleteCardOptions } from "./options.ts";
import { publicKeyComponents } from "shared/protocol/gp/public_key.ts";
import { UPGRADE_STATUS, type UpgradeStatusName } from "shared/protocol/gp/manage_elf_upgrade.ts";
import type { RandomSource } from "shared/transport/random.ts";
import "./errors.ts";

const bytes = z.string().regex(/^([0-9A-F]{2})*$/).transform((text) => fromHex(text));
const version = z.strictObject({ major: z.int(), minor: z.int() });

/** AES keys with identifiers 1, 2, 3 under one version. PUT KEY may bring them one by one. */
const KeySet = z.strictObject({
  version: z.int(),
  enc: bytes.nullable(),
  mac: bytes.nullable(),
  dek: bytes.nullable(),
  /** Counter of accepted INITIALIZE UPDATEs, 3 bytes on the wire. */
  sequenceCounter: z.int(),
  /** Failed EXTERNAL AUTHENTICATEs since the last good one. */
  failedAuthentications: z.int(),
});

/** A key that opens no channel: public keys of DAP verification, AES keys with other identifiers. */
const OtherKey = z.strictObject({
  version: z.int(),
  id: z.int(),
  /** Key components by type. GPC 2.3.1, table 11-16. */
  components: z.array(z.strictObject({ type: z.int(), value: bytes })),
});

/** What STORE DATA left in a domain, for GET DATA. */
const StoredData = z.strictObject({ tag: z.int(), value: bytes });

const Domain = z.strictObject({
  aid: bytes,
  /** Domain that it belongs to; the ISD belongs to itself. */
  domain: bytes,
  packageAid: bytes,
  moduleAid: bytes,
  /** For the ISD this is the life cycle of the card. */
  lifeCycle: z.int(),
  privileges: bytes,
  keySets: z.array(KeySet),
  otherKeys: z.array(OtherKey).default([]),
  data: z.array(StoredData).default([]),
});

const Package = z.strictObject({
  aid: bytes,
  domain: bytes,
  version,
  modules: z.array(bytes),
  /** Packages that it uses. */
  imports: z.array(bytes).default([]),
  lifeCycle: z.int(),
  /** Length of the load file data block in bytes, and its SHA-256. */
  size: z.int(),
  sha256: bytes,
});

const RecoveryKey = z.strictObject({
  /** 0 Fabrication, 1 Pending tests, 2 Attested, 3 User personalized. */
  lifeCycle: z.int().min(0).max(3),
  serial: bytes,
  version,
  /** DGI 8137: signs the card's public key in the factory. */
  attestationKey: bytes.nullable(),
  /** DGI 0036: verifies card and host certificates. */
  issuerKey: bytes.nullable(),
  keyPair: z.strictObject({ privateKey: bytes, publicKey: bytes }).nullable(),
  certificate: bytes.nullable(),
  pin: bytes.nullable(),
  pinTriesLeft: z.int(),
  /** Length byte and 32 bytes of entropy. */
  seed: bytes.nullable(),
  name: bytes.nullable(),
});

const Instance = z.strictObject({
  aid: bytes,
  domain: bytes,
  packageAid: bytes,
  moduleAid: bytes,
  lifeCycle: z.int(),
  privileges: bytes,
  /** Memory of the built-in applet; null for an instance of anything else, which does nothing. */
  recoveryKey: RecoveryKey.nullable(),
});

/** MANAGE ELF UPGRADE: the session that is open, or the last one that reached its end. Amendment H. */
const Upgrade = z.strictObject({
  status: z.enum(Object.keys(UPGRADE_STATUS) as [UpgradeStatusName, ...UpgradeStatusName[]]),
  packageAid: bytes,
  /** Domain that opened the session, and alone goes on with it. */
  domain: bytes,
  /** Domain of the package, before and after. */
  packageDomain: bytes,
  /** What is replaced: a new package has a higher version, the old one this hash (empty when it is not known). */
  oldVersion: version,
  oldSha256: bytes,
  /** Whether the old package may be loaded again. */
  recovery: z.boolean(),
  /** Applications with their data, from saving to consolidation. */
  saved: z.array(Instance),
});

const CardStateSchema = z.strictObject({
  format: z.literal("recovery-key virtual card"),
  formatVersion: z.literal(1),
  atr: bytes,
  cplc: bytes,
  cardData: bytes,
  keyDiversificationData: bytes,
  i: z.int(),
  failedAuthenticationsMax: z.int(),
  targetId: bytes,
  /** The ISD first, then SSDs in the order of their installation. */
  domains: z.array(Domain).min(1),
  packages: z.array(Package),
  instances: z.array(Instance),
  /** Memory for packages and applications, in bytes; null: no limit. */
  memoryBytes: z.int().nullable().default(null),
  /** Null: no upgrade was ever begun, or the last one was aborted. */
  upgrade: Upgrade.nullable().default(null),
});

type DeepReadonly<T> = T extends Uint8Array ? T
  : T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
  : T;

/** One key set of a domain. */
export type KeySetState = DeepReadonly<z.output<typeof KeySet>>;
/** A key that opens no channel. */
export type OtherKeyState = DeepReadonly<z.output<typeof OtherKey>>;
/** A security domain. */
export type DomainState = DeepReadonly<z.output<typeof Domain>>;
/** A loaded package. */
export type PackageState = DeepReadonly<z.output<typeof Package>>;
/** Memory of the Recovery Key applet. */
export type RecoveryKeyState = DeepReadonly<z.output<typeof RecoveryKey>>;
/** An application instance. */
export type InstanceState = DeepReadonly<z.output<typeof Instance>>;
/** Everything that survives power-off. */
export type CardState = DeepReadonly<z.output<typeof CardStateSchema>>;

/** Writes a state as JSON. It holds keys: only the state file may receive it. */
export function encodeCardState(state: CardState): string {
  return JSON.stringify(state, (_key, value) => value instanceof Uint8Array ? toHex(value) : value) + "\n";
}

/** Reads a state. @throws {CodedError} `VCARD_STATE_UNREADABLE`; no content is repeated. */
export function decodeCardState(text: string): CardState {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new CodedError("VCARD_STATE_UNREADABLE", "Cannot read card state: it is not JSON");
  }
  const parsed = CardStateSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map((issue) => issue.path.join(".") || "top level").join(", ");
  throw new CodedError("VCARD_STATE_UNREADABLE", `Cannot read card state: wrong or missing at ${where}`);
}

/** The memory of a freshly installed applet. */
export function freshRecoveryKey(packageVersion: { major: number; minor: number }): RecoveryKeyState {
  return {
    lifeCycle: 0,
    serial: new Uint8Array(4),
    version: packageVersion,
    attestationKey: null,
    issuerKey: null,
    keyPair: null,
    certificate: null,
    pin: null,
    pinTriesLeft: 3,
    seed: null,
    name: null,
  };
}

/** Whether a module is the one that this card has built in; anything else loads and does nothing. */
export function isRecoveryKeyModule(packageAid: Uint8Array, moduleAid: Uint8Array): boolean {
  return equal(packageAid, RECOVERY_KEY_PACKAGE_AID) && equal(moduleAid, RECOVERY_KEY_MODULE_AID);
}

function keySetOf(keys: CompleteCardOptions["isdKeys"]): KeySetState {
  return {
    version: keys.version[0]!,
    enc: keys.enc,
    mac: keys.mac,
    dek: keys.dek,
    sequenceCounter: 0,
    failedAuthentications: 0,
  };
}

/** The state of a new card. */
export function newCardState(options: CompleteCardOptions, random: RandomSource): CardState {
  const { isdAid, preloaded } = options;
  const cplc = options.cplc ?? CPLC_TEMPLATE.slice();
  if (options.cplc === undefined) cplc.set(random(6), CPLC_SERIAL_OFFSET);
  const isd: DomainState = {
    aid: isdAid,
    domain: isdAid,
    packageAid: SSD_PACKAGE_AID,
    moduleAid: SSD_MODULE_AID,
    lifeCycle: CARD_LIFE_CYCLE[options.lifeCycle],
    privileges: ISD_PRIVILEGES,
    keySets: [keySetOf(options.isdKeys)],
    otherKeys: [],
    data: [],
  };
  const domains = [isd];
  if (preloaded.ssd !== undefined) {
    domains.push({
      ...isd,
      aid: preloaded.ssd.aid,
      lifeCycle: preloaded.ssd.keys === undefined ? APPLICATION_SELECTABLE : DOMAIN_PERSONALIZED,
      privileges: SSD_PRIVILEGES,
      keySets: preloaded.ssd.keys === undefined ? [] : [keySetOf(preloaded.ssd.keys)],
    });
  }
  if (preloaded.upgradeDomain !== undefined) {
    domains.push({
      ...isd,
      aid: preloaded.upgradeDomain.aid,
      lifeCycle: DOMAIN_PERSONALIZED,
      privileges: UPGRADE_DOMAIN_PRIVILEGES,
      keySets: [keySetOf(preloaded.upgradeDomain.keys)],
    });
  }
  if (options.dapKey !== undefined) {
    const { aid, version, key } = options.dapKey;
    const otherKeys = [{ version: version[0]!, id: 1, components: publicKeyComponents(key) }];
    if (equal(aid, isdAid)) {
      const privileges = isd.privileges.map((byte, i) => byte | DAP_PRIVILEGES[i]!);
      domains[0] = { ...isd, privileges, otherKeys };
    } else {
      domains.push({
        ...isd,
        aid,
        lifeCycle: DOMAIN_PERSONALIZED,
        privileges: DAP_PRIVILEGES,
        keySets: [],
        otherKeys,
      });
    }
  }
  const [major = 1, minor = 0] = (preloaded.package?.version ?? "1.0").split(".").map(Number);
  const packages: PackageState[] = preloaded.package === undefined ? [] : [{
    aid: RECOVERY_KEY_PACKAGE_AID,
    domain: isdAid,
    version: { major, minor },
    modules: [RECOVERY_KEY_MODULE_AID],
    imports: [],
    lifeCycle: PACKAGE_LOADED,
    size: 0,
    sha256: preloaded.package.sha256 ?? new Uint8Array(0),
  }];
  const instances: InstanceState[] = preloaded.instance === undefined ? [] : [{
    aid: preloaded.instance.aid,
    domain: preloaded.instance.domain === "ssd" ? preloaded.ssd!.aid : isdAid,
    packageAid: RECOVERY_KEY_PACKAGE_AID,
    moduleAid: RECOVERY_KEY_MODULE_AID,
    lifeCycle: APPLICATION_SELECTABLE,
    privileges: new Uint8Array(3),
    recoveryKey: freshRecoveryKey({ major, minor }),
  }];
  return {
    format: "recovery-key virtual card",
    formatVersion: 1,
    atr: options.atr,
    cplc,
    cardData: concat(options.cardData.subarray(0, -1), options.i),
    keyDiversificationData: options.keyDiversificationData,
    i: options.i[0]!,
    failedAuthenticationsMax: options.failedAuthenticationsMax,
    targetId: options.targetId,
    domains,
    packages,
    instances,
    memoryBytes: options.memoryBytes ?? null,
    upgrade: null,
  };
}

/** Application version bytes as GET STATUS of the applet reports them. */
export function versionBytes(value: { major: number; minor: number }): Uint8Array {
  return concat(writeUint(value.major, 1), writeUint(value.minor, 1), Uint8Array.of(0));
}
