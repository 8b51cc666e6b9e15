/** One update, interrupted at one APDU in one way, and run again: what the card is like in between and afterwards. */

import { codeOf } from "shared/base/errors.ts";
import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { FAULT_KINDS, type FaultKind } from "device/card/fault_plan.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import type { VirtualCard } from "device/card/virtual_card.ts";
import type { UpdateServicePort } from "device/update/ports.ts";
import { CardSession } from "device/wallet/card_session.ts";
import { CARD_PIN, ENTROPIES } from "device/wallet/testing/bench.ts";
import { CARD_NAME, type UpdateScene } from "./scene.ts";

/**
 * How an update is interrupted: the card taken away in three ways; the wallet's process killed, so that only its disk is left;
 * service and vault killed, so that only the database is left.
 */
export const INTERRUPTIONS = [...FAULT_KINDS, "wallet-killed", "service-killed"] as const;
/** One of {@link INTERRUPTIONS}. */
export type Interruption = (typeof INTERRUPTIONS)[number];

/** One interruption. */
export interface Interrupt {
  readonly kind: Interruption;
  /** APDU of the first presentation, from 0. */
  readonly index: number;
}

/** What became of a card. */
export interface Interrupted extends Interrupt {
  /** Version right after the interruption; null: in the middle, and its applet cannot be selected. */
  readonly between: string | null;
  /** Version after one more run. */
  readonly after: string | null;
  /** What is not as it must be; empty when all is well. */
  readonly faults: readonly string[];
  /** The interrupted run itself came to its end. */
  readonly atOnce: boolean;
}

/** Stands for SIGKILL: nothing of ours catches it. */
class Killed extends Error {}

/** APDUs of an update that nothing happens to. */
export async function apdusOfUpdate(scene: UpdateScene): Promise<number> {
  let apdus = 0;
  const counted = (channel: CardChannel): CardChannel => ({
    ...plain(channel),
    transmit(command) {
      apdus++;
      return channel.transmit(command);
    },
  });
  await scene.update({ card: await scene.card(), journal: await scene.journalFolder(), intercept: counted });
  return apdus;
}

function plain(channel: CardChannel): CardChannel {
  return {
    atr: channel.atr,
    transmit: (command) => channel.transmit(command),
    reset: () => channel.reset(),
    close: () => channel.close(),
  };
}

/** Interrupts an update of a copy of this card, looks, runs it once more, and looks again. */
export async function interrupt(
  scene: UpdateScene,
  template: VirtualCard,
  at: Interrupt,
): Promise<Interrupted> {
  const card = await scene.copy(template);
  const journal = await scene.journalFolder();
  const faults: string[] = [];
  const first = await firstRun(scene, card, journal, at);
  if (first.code !== undefined && !EXPECTED.includes(first.code)) {
    faults.push(`interrupted run: ${first.code}`);
  }
  const between = await look(scene, card);
  faults.push(...between.faults);
  let code: string | undefined;
  try {
    await scene.update({ card, journal });
  } catch (error) {
    code = codeOf(error);
    if (!(code === "WALLET_UPDATE_NOT_OFFERED" && first.code === undefined)) {
      faults.push(`run after it: ${code} ${(error as Error).message}`);
    }
  }
  const after = await look(scene, card);
  faults.push(...after.faults);
  if (after.version === null) faults.push("its applet cannot be selected after the second run");
  await Deno.remove(journal, { recursive: true });
  return { ...at, between: between.version, after: after.version, faults, atOnce: first.code === undefined };
}

/** Codes with which an interrupted run may end. */
const EXPECTED = ["WALLET_UPDATE_TORN", "KILLED", "UPDATE_SESSION_GONE", "UPDATE_CHALLENGE"];

async function firstRun(
  scene: UpdateScene,
  card: VirtualCard,
  journal: string,
  { kind, index }: Interrupt,
): Promise<{ code: string | undefined }> {
  const killed = kind === "wallet-killed" || kind === "service-killed";
  let apdu = 0;
  let service = scene.service();
  const swapped: UpdateServicePort = {
    challenge: (update) => scene.port(service).challenge(update),
    begin: (update, request) => scene.port(service).begin(update, request),
    resume: (update, request) => scene.port(service).resume(update, request),
    step: (update, step, answers) => scene.port(service).step(update, step, answers),
  };
  const intercept = (channel: CardChannel): CardChannel => ({
    ...plain(channel),
    transmit(command) {
      if (apdu++ === index) {
        if (kind === "wallet-killed") return Promise.reject(new Killed("killed"));
        service = scene.service();
      }
      return channel.transmit(command);
    },
  });
  try {
    await scene.update({
      card,
      journal,
      service: swapped,
      more: { presentations: 1 },
      ...(killed ? { intercept } : { faults: [[{ kind: kind as FaultKind, index }]] }),
    });
    return { code: undefined };
  } catch (error) {
    return { code: error instanceof Killed ? "KILLED" : codeOf(error) };
  }
}

/** Looks at a card as its holder would: everything that an update must keep. */
async function look(
  scene: UpdateScene,
  card: VirtualCard,
): Promise<{ version: string | null; faults: string[] }> {
  const channel = openInProcessChannel(card);
  const faults: string[] = [];
  try {
    const session = await CardSession.open({ channel, trust: scene.issuer.trust(), random: SYSTEM_RANDOM });
    const facts = await session.facts();
    if (facts.name !== CARD_NAME) faults.push(`its name is ${facts.name}`);
    if (facts.lifeCycle !== 3) faults.push(`its life cycle is ${facts.lifeCycle}`);
    if (facts.pinTriesLeft !== 3) faults.push(`it has ${facts.pinTriesLeft} tries`);
    using pin = new Secret(Uint8Array.from(CARD_PIN, Number));
    if ((await session.verifyPin(pin)).kind !== "right") faults.push("its PIN is another");
    else {
      using entropy = new Secret(fromHex(ENTROPIES[2]));
      if (!await session.holdsSeed(entropy)) faults.push(SEED_LOST);
    }
    session.close();
    return { version: facts.version, faults };
  } catch (error) {
    // In the middle of its update a card has no applet to select.
    if (codeOf(error) === "WALLET_NO_APPLET") return { version: null, faults };
    return { version: null, faults: [...faults, `${codeOf(error)} ${(error as Error).message}`] };
  } finally {
    await channel.close();
  }
}

/** The worst that can be said of a card. */
export const SEED_LOST = "it holds another seed";
