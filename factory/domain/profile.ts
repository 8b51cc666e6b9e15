/**
 * A batch's profile: everything about its cards that the station must know, as data. Strict where security is decided
 * (an unknown field is refused, never ignored), liberal about what a foreign card may lack. Keys that begin with `//`
 * are explanations for people and are taken out before anything is checked.
 */

import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import "./profile_errors.ts";

/** Hex of either case, spaces allowed, kept in upper case. */
const hex = (from: number, to = from) =>
  z.string()
    .transform((text) => text.replace(/\s+/g, "").toUpperCase())
    .refine((text) => new RegExp(`^([0-9A-F]{2}){${from},${to}}$`).test(text), {
      message: from === to ? `give ${from} bytes as hex` : `give ${from} to ${to} bytes as hex`,
    });

/** ISO/IEC 7816-4, 8.2.1.2: 5 to 16 bytes. */
const Aid = hex(5, 16);
/** AES-128, -192 or -256 key; the value is never repeated in a message. */
const AesKey = hex(16, 32).refine((text) => text.length % 16 === 0, { message: "give 16, 24 or 32 bytes" });
/** Key version numbers of a loaded key set: GPC 2.3.1, 11.8.2.2. */
const LoadedKeyVersion = z.int().min(1).max(127);
/** Some chip makers deliver transport keys under a version above 127: it can be asked for, never written. */
const AskedKeyVersion = z.int().min(0).max(255);

const KeySet = z.strictObject({ enc: AesKey, mac: AesKey, dek: AesKey });

const ExpectedCplc = z.strictObject({
  icFabricator: hex(2).nullable().default(null),
  icType: hex(2).nullable().default(null),
  osId: hex(2).nullable().default(null),
  osReleaseDate: hex(2).nullable().default(null),
  osReleaseLevel: hex(2).nullable().default(null),
});

/** Levels at which STORE DATA is accepted (C-MAC and C-ENC at least; spec/card.md, section 7, step 4). */
const SecurityLevel = z.union([z.literal("03"), z.literal("13"), z.literal("33")], {
  error: "give 03, 13 or 33: STORE DATA needs C-MAC and C-ENC",
});

/** Tags of the card certificate in their order; spec/card.md, section 5.1. */
export const CERTIFICATE_TAGS = ["01", "02", "14", "20", "31", "32", "33", "35", "15"] as const;

/** A profile as it is used: defaults filled in, hex in upper case. */
export const Profile = z.strictObject({
  name: z.string().regex(
    /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/,
    "give 1 to 64 letters, digits, . _ - or spaces",
  ),
  aids: z.strictObject({
    isd: Aid,
    ssdPackage: Aid.default("A0000001515350"),
    ssdModule: Aid.default("A000000151535041"),
    ssdInstance: Aid.default("5353445F4C4544474552"),
    appletPackage: Aid.default("A0000000624C4544474552303100"),
    appletModule: Aid.default("A0000000624C45444745523031"),
    appletInstance: Aid,
  }),
  isdKeys: z.strictObject({
    version: AskedKeyVersion,
    lengthBytes: z.union([z.literal(16), z.literal(24), z.literal(32)], { error: "give 16, 24 or 32" }),
    source: z.enum(["diversified", "given"]),
    given: KeySet.nullable().default(null),
  }),
  ssdKeys: KeySet.extend({ version: LoadedKeyVersion }).nullable().default(null),
  ssd: z.enum(["none", "present", "install"]),
  applet: z.strictObject({
    state: z.enum(["instance", "package", "load"]),
    capPath: z.string().min(1).max(1024).nullable().default(null),
    capSha256: hex(32).nullable().default(null),
    // No defaults: a profile that was written before packages were signed keeps its hash, so its batches go on.
    signedPath: z.string().min(1).max(1024).nullable().optional(),
    releaseKey: hex(65).nullable().optional(),
    dapDomain: Aid.nullable().optional(),
    unsigned: z.boolean().optional(),
  }),
  appletChannel: z.enum(["isd", "ssd"]),
  personalizeThrough: z.enum(["isd", "ssd"]),
  secure: z.strictObject({
    setSecured: z.boolean(),
    replaceIsdKeys: z.boolean(),
    newKeyVersion: LoadedKeyVersion.nullable().default(null),
  }),
  loadBlockSize: z.int().min(16).max(239, "at most 239 bytes fit into one command at level 33").default(220),
  securityLevel: SecurityLevel.default("33"),
  expectedCplc: ExpectedCplc.nullable().default(null),
  targetId: hex(4).default("33400004"),
  targetDevice: hex(1).default("01"),
  testLimits: z.strictObject({
    minimumVersion: z.string().regex(/^\d{1,3}\.\d{1,3}\.\d{1,3}$/, "give MAJOR.MINOR.PATCH").nullable()
      .default(null),
    cardMillisecondsMax: z.int().min(1).max(3_600_000).nullable().default(null),
  }).default({ minimumVersion: null, cardMillisecondsMax: null }),
  certificateTags: z.array(hex(1)).default(() => [...CERTIFICATE_TAGS]),
  anonymousChips: z.boolean().optional(),
}).transform((profile) => ({
  ...profile,
  // Given keys are those of test cards, and simulators all say the same about themselves.
  anonymousChips: profile.anonymousChips ?? profile.isdKeys.source === "given",
}));

/** A profile as it is used. */
export type Profile = z.output<typeof Profile>;

/** Two fields that contradict each other, and when. */
interface Contradiction {
  readonly fields: string;
  readonly when: (profile: Profile) => boolean;
  readonly because: string;
}

const sameLength = (keys: { enc: string; mac: string; dek: string }) =>
  keys.enc.length === keys.mac.length && keys.mac.length === keys.dek.length;

/** What cannot be together. Each row is tested. */
export const CONTRADICTIONS: readonly Contradiction[] = [
  {
    fields: "isdKeys.source and isdKeys.given",
    when: ({ isdKeys }) => (isdKeys.source === "given") !== (isdKeys.given !== null),
    because: "keys are given exactly when the source is given",
  },
  {
    fields: "isdKeys.lengthBytes and isdKeys.given",
    when: ({ isdKeys }) =>
      isdKeys.given !== null &&
      (!sameLength(isdKeys.given) || isdKeys.given.enc.length !== 2 * isdKeys.lengthBytes),
    because: "each of the three keys has lengthBytes bytes",
  },
  {
    fields: "ssdKeys.enc, ssdKeys.mac and ssdKeys.dek",
    when: ({ ssdKeys }) => ssdKeys !== null && !sameLength(ssdKeys),
    because: "the three keys of a set have one length",
  },
  {
    fields: "ssd and ssdKeys",
    when: ({ ssd, ssdKeys }) => (ssd === "none") !== (ssdKeys === null),
    because: "an SSD has keys, and there are no SSD keys without an SSD",
  },
  {
    fields: "ssd and personalizeThrough",
    when: ({ ssd, personalizeThrough }) => personalizeThrough === "ssd" && ssd === "none",
    because: "there is no SSD to personalize through",
  },
  {
    fields: "personalizeThrough and appletChannel",
    when: ({ personalizeThrough, appletChannel }) => personalizeThrough !== appletChannel,
    because: "the applet is personalized through the domain that it belongs to, and uses that domain's keys",
  },
  {
    fields: "appletChannel and isdKeys.source",
    when: ({ appletChannel, isdKeys }) => appletChannel === "isd" && isdKeys.source === "diversified",
    because: "every wallet needs the channel keys of the applet, and no wallet has diversified ones",
  },
  {
    fields: "appletChannel and secure.replaceIsdKeys",
    when: ({ appletChannel, secure }) => appletChannel === "isd" && secure.replaceIsdKeys,
    because: "the applet uses the keys that would be thrown away: nobody could talk to it again",
  },
  {
    fields: "secure.replaceIsdKeys and secure.newKeyVersion",
    when: ({ secure }) => secure.replaceIsdKeys !== (secure.newKeyVersion !== null),
    because: "a new key version is given exactly when the keys are replaced",
  },
  {
    fields: "secure.newKeyVersion and isdKeys.version",
    when: ({ secure, isdKeys }) =>
      secure.replaceIsdKeys && (isdKeys.version === 0 || isdKeys.version === secure.newKeyVersion),
    because: "only two different versions, neither of them 0, tell whether the keys were replaced",
  },
  {
    fields: "applet.state and applet.capPath",
    when: ({ applet }) =>
      (applet.state === "load") !== (applet.capPath !== null) ||
      (applet.capPath === null) !== (applet.capSha256 === null),
    because: "a package that is loaded needs its file and hash, and one that is on the card has none",
  },
  {
    fields: "applet.signedPath and applet.releaseKey",
    when: ({ applet }) => (applet.signedPath ?? null) === null !== ((applet.releaseKey ?? null) === null),
    because: "a signed package needs the key that must have signed it, and a key needs something to verify",
  },
  {
    fields: "applet.state, applet.signedPath and applet.unsigned",
    when: ({ applet }) =>
      Number((applet.signedPath ?? null) !== null) + Number(applet.unsigned === true) !==
        Number(applet.state === "load"),
    because:
      "a package is loaded signed, or on a test card with unsigned = true, and nothing is signed without a load",
  },
  {
    fields: "applet.unsigned and isdKeys.source",
    when: ({ applet, isdKeys }) => applet.unsigned === true && isdKeys.source !== "given",
    because: "only test cards, whose keys stand in the profile, are ever loaded with an unsigned package",
  },
  {
    fields: "applet.unsigned and secure",
    when: ({ applet, secure }) => applet.unsigned === true && (secure.setSecured || secure.replaceIsdKeys),
    because: "a card that is locked for good leaves the factory, and none leaves with unsigned code",
  },
  {
    fields: "applet.dapDomain and applet.signedPath",
    when: ({ applet }) => (applet.dapDomain ?? null) !== null && (applet.signedPath ?? null) === null,
    because: "a domain that verifies signatures refuses a package without one",
  },
  {
    fields: "applet.dapDomain and isdKeys.source",
    when: ({ applet, isdKeys }) =>
      applet.state === "load" && isdKeys.source !== "given" && (applet.dapDomain ?? null) === null,
    because: "every card but a test card verifies what is loaded, so the domain that does it is named",
  },
  {
    fields: "applet.state and ssd",
    when: ({ applet, ssd }) => applet.state === "instance" && ssd === "install",
    because: "an instance that is there already cannot belong to an SSD that is not",
  },
  {
    fields: "aids.isd, aids.ssdInstance and aids.appletInstance",
    when: ({ aids }) => new Set([aids.isd, aids.ssdInstance, aids.appletInstance]).size < 3,
    because: "each application on a card has an AID of its own",
  },
  {
    fields: "aids.appletPackage and aids.appletInstance",
    when: ({ aids, applet }) => applet.state !== "instance" && aids.appletPackage === aids.appletInstance,
    because: "the card would refuse to install an instance under its package's AID",
  },
  {
    fields: "certificateTags",
    when: ({ certificateTags }) =>
      certificateTags.length !== CERTIFICATE_TAGS.length ||
      CERTIFICATE_TAGS.some((tag, i) => tag !== certificateTags[i]),
    because: "wallets accept exactly the tags 01 02 14 20 31 32 33 35 15, in this order",
  },
];

/** Takes explanations out: every member whose name begins with `//`, at any depth. */
export function withoutExplanations(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutExplanations);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([key]) => !key.startsWith("//")).map((
      [key, inner],
    ) => [key, withoutExplanations(inner)]),
  );
}

/**
 * Checks a profile. Messages name fields, never values: a value can be a key.
 * @param value JSON, explanations allowed.
 * @throws {CodedError} `PROFILE_FIELD` (missing, unknown or malformed; all of them at once), `PROFILE_CONTRADICTION`.
 */
export function checkProfile(value: unknown): Profile {
  const parsed = Profile.safeParse(withoutExplanations(value));
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => {
      const path = issue.path.join(".");
      if (issue.code === "unrecognized_keys") {
        return issue.keys.map((key) => `${path ? `${path}.` : ""}${key}: there is no such field`).join("; ");
      }
      return `${path || "profile"}: ${issue.message}`;
    });
    throw new CodedError("PROFILE_FIELD", `Cannot use profile: ${faults.join("; ")}`, {
      fields: parsed.error.issues.map((issue) => issue.path.join(".")),
    });
  }
  const broken = CONTRADICTIONS.find((row) => row.when(parsed.data));
  if (broken) {
    throw new CodedError(
      "PROFILE_CONTRADICTION",
      `Cannot use profile: ${broken.fields} contradict each other: ${broken.because}`,
      { fields: broken.fields },
    );
  }
  return parsed.data;
}

/** Reads a profile from the text of its file. @throws {CodedError} `PROFILE_NOT_JSON` and those of `checkProfile`. */
export function parseProfile(text: string): Profile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, and the text can be a key.
    throw new CodedError("PROFILE_NOT_JSON", "Cannot use profile: it is not JSON");
  }
  return checkProfile(value);
}
