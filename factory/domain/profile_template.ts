/**
 * Profiles to begin with. Each field comes with a `//field` member beside it that explains it; the explanations are
 * ignored when the profile is read (profile.ts).
 */

import { CodedError } from "shared/base/errors.ts";
import { CERTIFICATE_TAGS } from "./profile.ts";
import "./profile_errors.ts";

/** Templates by name. */
export const TEMPLATE_NAMES = ["test-card", "recovery-key"] as const;
/** One of `TEMPLATE_NAMES`. */
export type TemplateName = (typeof TEMPLATE_NAMES)[number];

/** What each field means, by path. Every field of every template has its line; a test holds that. */
const EXPLANATIONS: Readonly<Record<string, string>> = {
  "name": "Name of this profile, for people and for the batch's record: letters, digits, spaces and . _ -",
  "aids": "Application identifiers on the card, hex, 5 to 16 bytes.",
  "aids.isd": "Issuer security domain: what SELECT without AID selects on most cards.",
  "aids.ssdPackage": "Package of security domains, used by ssd = install.",
  "aids.ssdModule": "Module of security domains, used by ssd = install.",
  "aids.ssdInstance": "Instance of the supplementary security domain (SSD). Ignored when ssd = none.",
  "aids.appletPackage": "Package of the applet.",
  "aids.appletModule": "Module of the applet inside its package.",
  "aids.appletInstance": "Instance of the applet: what wallets select.",
  "isdKeys": "Keys with which the issuer security domain lets the factory in (SCP03, AES).",
  "isdKeys.version":
    "Key version number, 0 to 255 in decimal (hex 30 is 48). 0 takes the card's first key set.",
  "isdKeys.lengthBytes": "Length of each key in bytes: 16, 24 or 32.",
  "isdKeys.source":
    "given: the keys stand here, for test cards. diversified: each card has its own, derived in the HSM from the transport master key.",
  "isdKeys.given": "With source given: the three keys, hex. With source diversified: null.",
  "isdKeys.given.enc": "Key-ENC (identifier 1).",
  "isdKeys.given.mac": "Key-MAC (identifier 2).",
  "isdKeys.given.dek": "Key-DEK (identifier 3).",
  "ssd":
    "Supplementary security domain that owns the applet. none: the card has none. present: it came installed with its keys. install: the factory installs it.",
  "ssdKeys":
    "Keys of the SSD: every genuine wallet knows them, they are a transport cipher. null when ssd = none.",
  "ssdKeys.version": "Key version number, 1 to 127 in decimal.",
  "ssdKeys.enc": "Key-ENC, hex.",
  "ssdKeys.mac": "Key-MAC, hex.",
  "ssdKeys.dek": "Key-DEK, hex.",
  "applet":
    "How the card arrives. instance: the applet is installed. package: its package is loaded. load: the package is loaded from a CAP file.",
  "applet.state": "instance, package or load.",
  "applet.capPath":
    "With state load: the CAP file; a relative path counts from the folder of the batch file. Else null.",
  "applet.capSha256": "With state load: SHA-256 of the CAP file, hex. Another file is refused. Else null.",
  "applet.signedPath":
    "With state load: the file that `rk package sign` wrote for the CAP file; a relative path counts as with capPath. Else null.",
  "applet.releaseKey":
    "With signedPath: public key (P-256, 65 bytes, hex) that must have signed; `rk hsm keys` prints it. Else null.",
  "applet.dapDomain":
    "Domain of the card that verifies the signature (Mandated DAP), hex; the load carries the signature for it. null: a test card that verifies none.",
  "applet.unsigned":
    "true: load without a signature, on test cards alone (isdKeys.source = given, signedPath and releaseKey null). The station warns at every start.",
  "appletChannel": "Whose keys the applet's own secure channel uses: isd or ssd.",
  "personalizeThrough":
    "Domain that passes STORE DATA to the applet: isd or ssd, the one that the applet belongs to.",
  "secure": "How the card is locked at the end.",
  "secure.setSecured": "true: the card's life cycle becomes SECURED. It never goes back.",
  "secure.replaceIsdKeys":
    "true: the issuer domain gets random keys that nobody keeps. Irreversible. Not with appletChannel = isd.",
  "secure.newKeyVersion":
    "Version of the thrown-away keys, 1 to 127, another than isdKeys.version; null when not replaced.",
  "loadBlockSize": "Bytes of the package in each LOAD command, 16 to 239.",
  "securityLevel": "SCP03 level to the security domains, hex: 33 (both ways encrypted), 13 or 03.",
  "expectedCplc":
    "What GET DATA 9F7F must say, hex, 2 bytes a field; a field that is null may be anything. null: any chip, even one without CPLC.",
  "expectedCplc.icFabricator": "Maker of the chip; 4790 is NXP.",
  "expectedCplc.icType": "Type of the chip; D600 is P71D600.",
  "expectedCplc.osId": "Operating system; 4700 is JCOP.",
  "expectedCplc.osReleaseDate": "Release date of the operating system.",
  "expectedCplc.osReleaseLevel": "Release level of the operating system.",
  "targetId": "What the applet must report as its target, hex, 4 bytes.",
  "targetDevice": "Tag 35 of the certificate: the device that the card is for, hex, 1 byte.",
  "testLimits": "Factory tests: a card outside of these is scrapped.",
  "testLimits.minimumVersion": "Oldest applet version, MAJOR.MINOR.PATCH; null: any.",
  "testLimits.cardMillisecondsMax":
    "Longest time that the card itself may take until it is tested, in milliseconds; null: any.",
  "certificateTags": "Tags of the card's certificate in their order, hex. Wallets accept only these.",
  "anonymousChips":
    "true: cards that cannot be told apart (simulators: one CPLC and diversification datum for all) may go through one after the other, each with a serial of its own. false: the same chip never gets a second serial.",
};

const TEST_KEY = "404142434445464748494A4B4C4D4E4F";

const COMMON_AIDS = {
  isd: "A000000151000000",
  ssdPackage: "A0000001515350",
  ssdModule: "A000000151535041",
  ssdInstance: "5353445F4C4544474552",
  appletPackage: "A0000000624C4544474552303100",
  appletModule: "A0000000624C45444745523031",
  appletInstance: "A0000000624C45444745523031",
};

const COMMON_TAIL = {
  targetId: "33400004",
  targetDevice: "01",
  testLimits: { minimumVersion: null, cardMillisecondsMax: null },
  certificateTags: [...CERTIFICATE_TAGS],
};

const TEMPLATES: Readonly<Record<TemplateName, Readonly<Record<string, unknown>>>> = {
  "test-card": {
    name: "test-card",
    aids: COMMON_AIDS,
    isdKeys: {
      version: 0,
      lengthBytes: 16,
      source: "given",
      given: { enc: TEST_KEY, mac: TEST_KEY, dek: TEST_KEY },
    },
    ssd: "none",
    ssdKeys: null,
    applet: {
      state: "instance",
      capPath: null,
      capSha256: null,
      signedPath: null,
      releaseKey: null,
      dapDomain: null,
      unsigned: false,
    },
    appletChannel: "isd",
    personalizeThrough: "isd",
    secure: { setSecured: false, replaceIsdKeys: false, newKeyVersion: null },
    loadBlockSize: 220,
    securityLevel: "33",
    expectedCplc: null,
    ...COMMON_TAIL,
    anonymousChips: true,
  },
  "recovery-key": {
    name: "recovery-key",
    aids: COMMON_AIDS,
    isdKeys: { version: 48, lengthBytes: 32, source: "diversified", given: null },
    ssd: "install",
    ssdKeys: { version: 49, enc: TEST_KEY, mac: TEST_KEY, dek: TEST_KEY },
    applet: {
      state: "load",
      capPath: "recovery_key.cap",
      capSha256: "00".repeat(32),
      signedPath: "recovery_key.signed.json",
      releaseKey: "00".repeat(65),
      dapDomain: COMMON_AIDS.isd,
      unsigned: false,
    },
    appletChannel: "ssd",
    personalizeThrough: "ssd",
    secure: { setSecured: true, replaceIsdKeys: true, newKeyVersion: 1 },
    loadBlockSize: 220,
    securityLevel: "33",
    expectedCplc: {
      icFabricator: "4790",
      icType: null,
      osId: "4700",
      osReleaseDate: null,
      osReleaseLevel: null,
    },
    ...COMMON_TAIL,
    anonymousChips: false,
  },
};

function explain(value: Readonly<Record<string, unknown>>, path: string): Record<string, unknown> {
  const explained: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    const inside = path ? `${path}.${key}` : key;
    const words = EXPLANATIONS[inside];
    if (words === undefined) throw new Error(`Cannot make template: ${inside} has no explanation`);
    explained[`//${key}`] = words;
    explained[key] = typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? explain(inner as Record<string, unknown>, inside)
      : inner;
  }
  return explained;
}

/**
 * A profile to begin with, as JSON text in which every field is explained. `recovery-key` holds the published test keys
 * as wallet channel keys, and zeros for the package's hash and for the release key: all must be replaced, and the zeros are
 * refused as they are.
 * @throws {CodedError} `PROFILE_TEMPLATE_UNKNOWN`.
 */
export function profileTemplate(name: string): string {
  const template = TEMPLATE_NAMES.find((known) => known === name);
  if (template === undefined) {
    throw new CodedError(
      "PROFILE_TEMPLATE_UNKNOWN",
      `Cannot print profile template: there is none called ${name}`,
    );
  }
  return JSON.stringify(explain(TEMPLATES[template], ""), null, 2) + "\n";
}
