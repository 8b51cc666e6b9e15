/** One station of a factory, in this thread: the real engine and journal, cards presented by hand. */

import { NO_EVENT_LOG } from "shared/log/writer/event_log.ts";
import { parseTrust, type WalletTrust } from "device/wallet/trust.ts";
import { VirtualCard } from "device/card/virtual_card.ts";
import { blankCard } from "cli/spine/card_maker.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { DEFAULT_LINE_LIMITS } from "factory/domain/judgement/line.ts";
import { planLoad } from "factory/domain/package/load_plan.ts";
import type { BatchFile } from "factory/domain/profile_batch.ts";
import { readCapFile, readSignedPackageFile } from "factory/app/package_files.ts";
import { ChipLocks } from "factory/service/station/chip_locks.ts";
import type { StationContext } from "factory/service/station/context.ts";
import { personalizeCard } from "factory/service/station/engine.ts";
import type { CardReport, StationEvent } from "factory/service/station/events.ts";
import { hostIdentity, writeWalletTrust } from "factory/service/station/host_identity.ts";
import type { AttestationPort } from "factory/service/station/attestation_client.ts";
import { openJournal } from "factory/transport/journal/sqlite.ts";

/** How the operator presents a card. */
export interface PresentOptions {
  readonly retryAuthentication?: boolean;
  /** How long it waits on its reader for a service that is gone; default: not at all. */
  readonly patienceMilliseconds?: number;
  readonly emit?: (event: StationEvent) => void;
  readonly stop?: AbortSignal;
}

/** A station. */
export interface Line extends AsyncDisposable {
  readonly context: StationContext;
  readonly trust: WalletTrust;
  /** A card as its maker delivers it, with a chip of its own. */
  blank(): Promise<VirtualCard>;
  /** One presentation. */
  present(channel: CardChannel, reader: string, options?: PresentOptions): Promise<CardReport>;
}

/** What a station is made of. */
export interface LineOptions {
  /** Folder of the batch's package and its signature. */
  readonly packageFolder: string;
  readonly batch: BatchFile;
  readonly attestation: AttestationPort;
  /** Token with the transport master: the card maker's. */
  readonly hsm: Hsm;
  /** Its state folder, kept from one start to the next. */
  readonly stateFolder: string;
}

/** Starts a station on its state folder. */
export async function openLine(options: LineOptions): Promise<Line> {
  const { packageFolder: folder, batch, attestation, hsm, stateFolder } = options;
  await Deno.mkdir(stateFolder, { recursive: true });
  const journal = openJournal(`${stateFolder}/journal.sqlite`);
  const host = await hostIdentity({ stateFolder, batch, attestation, random: SYSTEM_RANDOM });
  const trustFile = await writeWalletTrust(stateFolder, batch, host);
  const cap = await readCapFile(`${folder}/recovery_key.cap`);
  const signed = await readSignedPackageFile(`${folder}/recovery_key.signed.json`);
  const loadPlan = planLoad(batch.profile, cap, signed);
  const context: StationContext = {
    batch,
    loadPlan,
    packageSha256: loadPlan.description.capSha256,
    attestation,
    journal,
    host,
    chips: new ChipLocks(),
    operator: "faults",
    limits: DEFAULT_LINE_LIMITS,
    retryAuthentication: false,
    patienceMilliseconds: 0,
    events: NO_EVENT_LOG,
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    emit: () => {},
    stop: new AbortController().signal,
  };
  return {
    context,
    trust: parseTrust(await Deno.readTextFile(trustFile), () => ""),
    blank: async () => await VirtualCard.open(await blankCard(hsm, SYSTEM_RANDOM)),
    present: (channel, reader, more = {}) =>
      personalizeCard({ context: { ...context, ...more }, reader, channel }),
    [Symbol.asyncDispose]: () => journal.close(),
  };
}
