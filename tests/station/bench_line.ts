/** A station in this process: batch, journal, double, virtual cards. For tests. */

import { NO_EVENT_LOG } from "shared/log/writer/event_log.ts";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { generateP256PrivateKey, p256PublicKeyOf, p256Sign } from "shared/crypto/p256.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { type OpenCardOptions, VirtualCard } from "device/card/virtual_card.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import type { FaultPlan } from "device/card/fault_plan.ts";
import { DEFAULT_LINE_LIMITS, type LineLimits } from "factory/domain/judgement/line.ts";
import { planLoad } from "factory/domain/package/load_plan.ts";
import { checkProfile, type Profile } from "factory/domain/profile.ts";
import { profileHash } from "factory/domain/profile_hash.ts";
import { profileTemplate } from "factory/domain/profile_template.ts";
import { signPackage } from "factory/service/package/sign.ts";
import { ChipLocks } from "factory/service/station/chip_locks.ts";
import type { StationContext } from "factory/service/station/context.ts";
import { personalizeCard } from "factory/service/station/engine.ts";
import type { StationEvent } from "factory/service/station/events.ts";
import { hostIdentity } from "factory/service/station/host_identity.ts";
import { openJournal } from "factory/transport/journal/sqlite.ts";
import type { Journal } from "factory/transport/journal/port.ts";
import { AttestationDouble } from "./attestation_double.ts";

export const TEST_KEY = "404142434445464748494A4B4C4D4E4F";
/** A package that virtual cards load. */
export const CAP_BYTES = writeTestCap({ payloadBytes: 700 });
/** The same, read. */
export const CAP = readCap(CAP_BYTES);

const RELEASE_KEY = generateP256PrivateKey(SYSTEM_RANDOM);
/** A release key in this process, for tests. */
export const RELEASE: Parameters<typeof signPackage>[0]["hsm"] = {
  publicKey: () => Promise.resolve(p256PublicKeyOf(RELEASE_KEY)),
  sign: (_label, message) => Promise.resolve(p256Sign(RELEASE_KEY, message)),
};
/** The package, signed for the issuer domain. */
export const SIGNED = await signPackage({
  hsm: RELEASE,
  keyLabel: "release",
  cap: CAP_BYTES,
  securityDomainAid: fromHex("A000000151000000"),
  clock: SYSTEM_CLOCK,
});

/** A profile as JSON, with what tests change in it. */
export type ProfileJson = Record<string, unknown> & {
  aids: Record<string, string>;
  isdKeys: Record<string, unknown>;
  applet: Record<string, unknown>;
};

/** A template, changed. */
export function profileOf(
  template: string,
  change: (value: ProfileJson) => void = () => {},
): Profile {
  const value = JSON.parse(profileTemplate(template));
  if (template === "recovery-key") {
    value.isdKeys.lengthBytes = 16;
    value.applet.capSha256 = toHex(CAP.fileSha256);
    value.applet.releaseKey = SIGNED.signatures[0]!.publicKey;
  }
  change(value);
  return checkProfile(value);
}

/** Options of a card that a profile's line takes. */
export const TEST_CARD: OpenCardOptions = {
  preloaded: { package: {}, instance: { domain: "isd" } },
};

/** A line of one reader. */
export interface Line {
  readonly attestation: AttestationDouble;
  readonly journal: Journal;
  readonly context: StationContext;
  readonly events: StationEvent[];
  present(card: VirtualCard, faultPlan?: FaultPlan): ReturnType<typeof personalizeCard>;
  close(): Promise<void>;
}

/** Makes a line; `journalPath` to keep the journal over lines. */
export async function makeLine(
  profile: Profile,
  more: {
    attestation?: AttestationDouble;
    journalPath?: string;
    retryAuthentication?: boolean;
    patienceMilliseconds?: number;
    limits?: LineLimits;
  } = {},
): Promise<Line> {
  const attestation = more.attestation ?? new AttestationDouble();
  const stateFolder = await Deno.makeTempDir({ prefix: "station-" });
  const journal = openJournal(more.journalPath ?? `${stateFolder}/journal.sqlite`);
  const batch = {
    batch: "batch-1",
    profile,
    profileSha256: profileHash(profile),
    quantity: 100,
    firstSerial: "00000001",
    lastSerial: "00000064",
    issuerPublicKey: toHex(attestation.issuerPublicKey),
  };
  const events: StationEvent[] = [];
  const context: StationContext = {
    batch,
    loadPlan: profile.applet.state === "load"
      ? planLoad(profile, CAP, profile.applet.unsigned ? undefined : SIGNED)
      : undefined,
    packageSha256: null,
    attestation,
    journal,
    host: await hostIdentity({ stateFolder, batch, attestation, random: SYSTEM_RANDOM }),
    chips: new ChipLocks(),
    operator: "ada",
    retryAuthentication: more.retryAuthentication ?? false,
    limits: more.limits ?? DEFAULT_LINE_LIMITS,
    patienceMilliseconds: more.patienceMilliseconds ?? 0,
    events: NO_EVENT_LOG,
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    emit: (event) => events.push(event),
    stop: new AbortController().signal,
  };
  return {
    attestation,
    journal,
    context,
    events,
    present: (card, faultPlan) =>
      personalizeCard({
        context,
        reader: "reader 1",
        channel: openInProcessChannel(card, faultPlan ? { faultPlan } : {}),
      }),
    async close() {
      await journal.close();
      await Deno.remove(stateFolder, { recursive: true });
    },
  };
}

export { fromHex, toHex, VirtualCard };
