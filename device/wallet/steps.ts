/** What happens in each state of the flows; flows.ts says what follows. A step gives one event and never calls another. */

import { CodedError } from "shared/base/errors.ts";
import { equal } from "shared/base/bytes.ts";
import { LIFE_CYCLE } from "shared/protocol/recovery_key/constants.ts";
import { Secret } from "shared/base/secret.ts";
import { identifierOf } from "./card_facts.ts";
import type { FlowContext } from "./flow_context.ts";
import { MANAGE_ACTIONS } from "./flow_context.ts";
import type { FlowEvent, FlowState } from "./flows.ts";
import { encodeCardName, showCardName } from "./card_name.ts";
import { askPin, unlockWallet } from "./unlock.ts";
import { tries } from "./wallet.ts";

/** One step. */
export type Step = (run: FlowContext) => Promise<FlowEvent>;

const PIN_LENGTH = 8;

function refuse(run: FlowContext, code: string, message: string, event: FlowEvent): FlowEvent {
  run.reason = new CodedError(code, message);
  return event;
}

const locked: Step = async ({ options: { wallet, person, flow } }) => {
  await unlockWallet(wallet, person, { mayCreate: flow === "restore" });
  return "opened";
};

/** Backup and manage need a seed, restore an empty wallet; to identify either will do. */
const wallet: Step = (run) => {
  const { flow, wallet } = run.options;
  const { empty } = wallet.facts;
  if (flow === "restore" && !empty) {
    run.reason = new CodedError("WALLET_HAS_SEED", "Cannot restore: the wallet has a seed");
  }
  if ((flow === "backup" || flow === "manage") && empty) {
    run.reason = new CodedError("WALLET_NO_SEED", `Cannot ${flow}: the wallet has no seed`);
  }
  return Promise.resolve(empty ? "empty" : "seed");
};

const firstTap: Step = async (run) => {
  await run.tap();
  await run.release();
  const { flow, wallet, compare, person } = run.options;
  const card = run.card!;
  const who = identifierOf(card);
  if (card.lifeCycle === LIFE_CYCLE.ATTESTED) {
    if (flow === "restore" || flow === "manage") {
      return refuse(run, "WALLET_CARD_EMPTY", `Cannot ${flow} with card ${who}: it is empty`, "emptyCard");
    }
    return "emptyCard";
  }
  if (flow === "backup") {
    if (wallet.pendingBackup !== card.serial) {
      return refuse(run, "WALLET_CARD_NOT_EMPTY", `Cannot back up to card ${who}: it is in use`, "cardInUse");
    }
    person.tell({ kind: "resumed", card });
    return "pendingCard";
  }
  return flow === "identify" && compare && !wallet.facts.empty ? "compare" : "cardInUse";
};

const newPin: Step = async (run) => {
  run.newCardPin = await askPin(run.options.person, "newCardPin", { card: run.card! });
  return "chosen";
};

/** Tries left are shown before the PIN is asked; the last one is confirmed, for a wrong PIN then erases. */
const askCardPin: Step = async (run) => {
  const { person } = run.options;
  const card = run.card!;
  const triesLeft = card.pinTriesLeft!;
  if (triesLeft === 0) {
    return refuse(
      run,
      "WALLET_CARD_NO_TRIES",
      `Cannot ask for the PIN of card ${identifierOf(card)}: no try is left`,
      "noTries",
    );
  }
  if (triesLeft === 1 && !await person.confirm("last-try", { card, triesLeft })) return cancel(run);
  run.cardPin?.wipe();
  run.cardPin = await askPin(person, "cardPin", { card, triesLeft });
  return "given";
};

function cancel(run: FlowContext): FlowEvent {
  return refuse(run, "WALLET_CANCELLED", "Stopped: it was not confirmed", "cancelled");
}

const sameCardTap: Step = async (run) => await run.tap() ? "sameCard" : "otherCard";

const verifyPin: Step = async (run) => {
  const { person } = run.options;
  const outcome = await run.session.verifyPin(run.cardPin!);
  const who = identifierOf(run.card!);
  if (outcome.kind === "right") return "rightPin";
  await run.release();
  if (outcome.kind === "wiped") {
    run.card = { ...run.card!, lifeCycle: LIFE_CYCLE.ATTESTED, name: null, pinTriesLeft: null };
    return refuse(run, "WALLET_CARD_WIPED", `Card ${who} erased itself: it was the third wrong PIN`, "wiped");
  }
  run.card = { ...run.card!, pinTriesLeft: outcome.triesLeft };
  person.tell({ kind: "pin-wrong", whose: "card", triesLeft: outcome.triesLeft });
  if (person.canRetry) return "wrongPin";
  const message = `Cannot open card ${who}: wrong PIN, ${tries(outcome.triesLeft)} left`;
  return refuse(run, "WALLET_CARD_PIN_WRONG", message, "wrongPinEnd");
};

/** The note comes before the first write: from here on a torn card is gone on with. */
const writing: Step = async (run) => {
  const { name, options: { wallet } } = run;
  wallet.notePendingBackup(run.card!.serial);
  await run.session.writeBackup(run.newCardPin!, wallet.entropy);
  if (name !== undefined && name.length > 0) await run.session.writeName(name);
  return "written";
};

/** Compares what the card holds with the wallet's seed and says so. */
async function compareSeed(run: FlowContext): Promise<boolean> {
  const { wallet, person } = run.options;
  run.matches = await run.session.holdsSeed(wallet.entropy);
  person.tell({ kind: "match", matches: run.matches });
  return run.matches;
}

function doubtful(run: FlowContext, what: string): FlowEvent {
  const message = `Cannot trust card ${identifierOf(run.card!)}: ${what}`;
  return refuse(run, "WALLET_CARD_DOUBTFUL", message, "differs");
}

/** A session of its own: the name, the PIN and the seed as the card has stored them. */
const checkBackup: Step = async (run) => {
  const session = await run.reopen();
  run.card = await session.facts();
  const { name, options: { wallet } } = run;
  const wanted = name === undefined || name.length === 0 ? null : showCardName(name);
  if (run.card.lifeCycle !== LIFE_CYCLE.USER_PERSONALIZED) return doubtful(run, "it is still empty");
  if (run.card.name !== wanted) return doubtful(run, "its name reads back otherwise");
  if ((await session.verifyPin(run.newCardPin!)).kind !== "right") return doubtful(run, "it refuses its PIN");
  if (!await compareSeed(run)) return doubtful(run, "it holds another seed than was written");
  run.card = await session.facts();
  wallet.notePendingBackup(undefined);
  return "matches";
};

/** A card whose backup was torn proves, with its PIN, that it holds the seed; its name is set if it is missing. */
const provePending: Step = async (run) => {
  const { name, options: { wallet } } = run;
  if (!await compareSeed(run)) return doubtful(run, "it holds another seed than this wallet");
  if (name !== undefined && name.length > 0) await run.session.writeName(name);
  run.card = await run.session.facts();
  wallet.notePendingBackup(undefined);
  return "matches";
};

/** The seed stays out of the wallet until the card has proven that it is the one it holds. */
const reading: Step = async (run) => {
  run.seed = await run.session.readSeed();
  run.matches = await run.session.holdsSeed(run.seed);
  run.options.person.tell({ kind: "match", matches: run.matches });
  if (!run.matches) return doubtful(run, "it signs with another seed than it gave");
  run.card = await run.session.facts();
  return "matches";
};

const storing: Step = async (run) => {
  await run.release();
  const seed = run.seed!;
  run.seed = undefined;
  run.options.wallet.takeSeed(seed);
  return "stored";
};

const choose: Step = async (run) => {
  const { person } = run.options;
  const card = run.card!;
  run.action ??= await person.choose(`What shall be done with card ${identifierOf(card)}?`, MANAGE_ACTIONS);
  if (run.action === "name" && run.name === undefined) {
    run.name = encodeCardName(await person.text("New name, up to 32 bytes, empty for none"));
  }
  if (run.action === "wipe" && !await person.confirm("wipe", { card })) return cancel(run);
  if (run.action === "wipe" && card.pinTriesLeft === 0) return "noTriesWipe";
  if (run.action === "pin") run.newCardPin = await askPin(person, "newCardPin", { card });
  return "chosen";
};

/** A card of another seed may be the only copy of it: erasing it is confirmed for itself. */
const matching: Step = async (run) => {
  const { flow, wallet } = run.options;
  if (wallet.facts.empty) return "differs";
  if (await compareSeed(run)) {
    run.card = await run.session.facts();
    return "matches";
  }
  run.card = await run.session.facts();
  return flow === "identify" || run.action === "wipe" ? "differs" : "matches";
};

const confirmOther: Step = async (run) =>
  await run.options.person.confirm("other-seed", { card: run.card! }) ? "confirmed" : cancel(run);

const acting: Step = async (run) => {
  const { action, session } = run;
  if (action === "pin") await session.changePin(run.newCardPin!);
  else if (action === "name") await session.writeName(run.name!);
  else await session.wipe();
  return "changed";
};

/** No try is left: any PIN erases the card. */
const blindWipe: Step = async (run) => {
  using pin = new Secret(new Uint8Array(PIN_LENGTH));
  const outcome = await run.session.verifyPin(pin);
  if (outcome.kind !== "wiped") {
    throw new CodedError("WALLET_IMPLAUSIBLE", "Cannot trust card: it did not erase itself");
  }
  return "changed";
};

/** A session of its own: what the card has stored. */
const checkManaged: Step = async (run) => {
  const session = await run.reopen();
  run.card = await session.facts();
  const wiped = run.card.lifeCycle === LIFE_CYCLE.ATTESTED;
  if (run.action === "wipe") {
    run.matches = null;
    return wiped ? "matches" : doubtful(run, "it is not empty after the wipe");
  }
  if (wiped) return doubtful(run, "it is empty");
  if (run.action === "name") {
    const name = await session.readName() ?? new Uint8Array(0);
    return equal(name, run.name!) ? "matches" : doubtful(run, "its name reads back otherwise");
  }
  const outcome = await session.verifyPin(run.newCardPin!);
  return outcome.kind === "right" ? "matches" : doubtful(run, "it refuses its new PIN");
};

/** The steps of every flow; where flows differ, `FLOW_STEPS`. */
const COMMON: Partial<Record<FlowState, Step>> = {
  locked,
  wallet,
  firstTap,
  askPin: askCardPin,
  secondTap: sameCardTap,
  verifyPin,
};

/** Steps by flow and state; a state without a step is an end. */
export const FLOW_STEPS = {
  backup: {
    ...COMMON,
    newPin,
    writingTap: sameCardTap,
    writing,
    checking: checkBackup,
    proving: provePending,
  },
  restore: { ...COMMON, reading, storing },
  manage: {
    ...COMMON,
    choose,
    matching,
    confirmOther,
    acting,
    checking: checkManaged,
    blindTap: sameCardTap,
    blindWipe,
  },
  identify: { ...COMMON, matching },
} as const satisfies Record<string, Partial<Record<FlowState, Step>>>;
