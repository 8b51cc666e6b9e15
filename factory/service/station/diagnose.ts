/** In which state a card is and what comes next, without changing anything on it. */

import { toHex } from "shared/base/bytes.ts";
import { wipeStaticKeys } from "shared/protocol/scp03/keys.ts";
import type { SecurityLevel } from "shared/protocol/scp03/constants.ts";
import { LIFE_CYCLE_NAMES } from "shared/protocol/recovery_key/constants.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { staticKeys } from "../../domain/personalization/content.ts";
import { checkAnswer } from "../../domain/personalization/exchange.ts";
import { type CardFacts, chipKey, chipOf } from "../../domain/personalization/facts.ts";
import { readCardLifeCycle } from "../../domain/personalization/lock.ts";
import { decideStart, type KnownCard } from "../../domain/personalization/start.ts";
import { nextStep } from "../../domain/personalization/steps.ts";
import type { Profile } from "../../domain/profile.ts";
import { CardLink } from "./card_link.ts";
import { lookAtCard } from "./look.ts";

/** What to look at. */
export interface DiagnoseOptions {
  readonly channel: CardChannel;
  readonly profile: Profile;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Also authenticates, with the keys given in the profile: one attempt. */
  readonly authenticate: boolean;
  /** What the journal knows of a chip. */
  readonly journal?: {
    find(chip: string, serial?: string): KnownCard | undefined;
    blocked(chip: string): string | undefined;
  };
}

/** What was found. */
export interface Diagnosis {
  /** 42 bytes of hex. */
  readonly cplc: string | null;
  readonly keyVersions: readonly number[] | null;
  /** 10 bytes of hex. */
  readonly keyDiversificationData: string | null;
  /** `unknown`: the card has neither the profile's version nor the new one. */
  readonly isdKeys: "transport" | "thrown away" | "unknown";
  readonly authenticated: boolean | null;
  readonly cardLifeCycle: number | null;
  readonly applet: {
    readonly serial: string;
    readonly version: string;
    readonly lifeCycle: number;
    readonly lifeCycleName: string;
    readonly transient: number;
    readonly targetId: string;
  } | null;
  readonly journal: KnownCard | null;
  /** What a station would do: the next step, or why it refuses. */
  readonly next:
    | { readonly kind: "step"; readonly step: string; readonly words: string }
    | { readonly kind: "refuse"; readonly code: string; readonly message: string };
}

/** Looks at a card. @throws {CodedError} `PROFILE_CARD`, `CARD_*`, and with `authenticate` those of SCP03. */
export async function diagnose(options: DiagnoseOptions): Promise<Diagnosis> {
  const { profile, clock, random, channel, journal } = options;
  const link = new CardLink({ channel, clock, random, stop: new AbortController().signal });
  const look = await lookAtCard(link, profile);
  const facts: CardFacts = {
    cplc: look.cplc,
    keyVersions: look.keyVersions,
    otherDiversificationData: new Map(),
    isdKeysReplaced: false,
    issuerPublicKey: new Uint8Array(0),
    cardMilliseconds: 0,
    ...(look.applet === undefined ? {} : { applet: look.applet }),
  };
  await link.selectExisting(profile.aids.isd, "the ISD");
  let info = await link.probe(profile.isdKeys.version);
  let isdKeys: Diagnosis["isdKeys"] = info ? "transport" : "unknown";
  if (info === undefined && profile.secure.newKeyVersion !== null) {
    info = await link.probe(profile.secure.newKeyVersion);
    if (info !== undefined) isdKeys = "thrown away";
  }
  facts.isdKeysReplaced = isdKeys === "thrown away";
  if (info !== undefined) facts.keyDiversificationData = info.keyDiversificationData;

  const chip = chipKey(chipOf(facts));
  const known = journal?.find(chip, look.applet?.lifeCycle ? toHex(look.applet.serial) : undefined);
  const blocked = journal?.blocked(chip);
  let authenticated: boolean | null = null;
  if (
    options.authenticate && blocked === undefined && isdKeys === "transport" && profile.isdKeys.given !== null
  ) {
    const keys = staticKeys(profile.isdKeys.given);
    try {
      await link.open({
        target: "isd",
        aid: profile.aids.isd,
        keyVersion: profile.isdKeys.version,
        keys,
        level: parseInt(profile.securityLevel, 16) as SecurityLevel,
      });
      authenticated = true;
      for (const exchange of readCardLifeCycle(facts, profile, NO_TOOLS)) {
        checkAnswer(exchange, await link.channel.send(exchange.command), facts);
      }
    } finally {
      wipeStaticKeys(keys);
    }
  }
  const decision = decideStart({
    profile,
    facts,
    known,
    blocked,
    firstSerial: "00000000",
    lastSerial: "FFFFFFFF",
  });
  const step = nextStep(facts, profile);
  const { applet } = look;
  return {
    cplc: look.cplc === null ? null : toHex(look.cplc),
    keyVersions: look.keyVersions,
    keyDiversificationData: info === undefined ? null : toHex(info.keyDiversificationData),
    isdKeys,
    authenticated,
    cardLifeCycle: facts.cardLifeCycle ?? null,
    applet: applet === undefined ? null : {
      serial: toHex(applet.serial),
      version: `${applet.version.major}.${applet.version.minor}.${applet.version.patch}`,
      lifeCycle: applet.lifeCycle,
      lifeCycleName: LIFE_CYCLE_NAMES[applet.lifeCycle],
      transient: applet.transient,
      targetId: toHex(applet.targetId),
    },
    journal: known ?? null,
    next: decision.kind === "refuse"
      ? decision
      : { kind: "step", step: step?.name ?? "close", words: step?.words ?? "closing its record" },
  };
}

const NO_TOOLS = {
  encryptWithDek: (): never => {
    throw new Error("Cannot write keys: a diagnosis changes nothing");
  },
  randomKeys: (): never => {
    throw new Error("Cannot draw keys: a diagnosis changes nothing");
  },
};
