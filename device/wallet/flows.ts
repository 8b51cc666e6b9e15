/**
 * What a wallet does with a card, as tables: state -> event -> next state. A state with an empty row is an end. Two taps:
 * the first reads what the card is, the second acts, and between them a person decides. device/wallet/steps.ts says what
 * happens in each state.
 *
 * Ends: `done`; `refused` (wallet or card is not in a state for it), `cancelled` (by the person), `untouched` (the card left
 * before anything was changed), `uncertain` (it left while something was changed), `wiped` (wrong PINs erased the card),
 * `doubtful` (what was read back is not what was written).
 */

import { type Flow, flow, type Transitions } from "shared/base/flow.ts";

/** Every event. */
export type FlowEvent =
  | "opened"
  | "seed"
  | "empty"
  | "emptyCard"
  | "pendingCard"
  | "cardInUse"
  | "compare"
  | "chosen"
  | "given"
  | "noTries"
  | "noTriesWipe"
  | "sameCard"
  | "otherCard"
  | "written"
  | "rightPin"
  | "wrongPin"
  | "wrongPinEnd"
  | "wiped"
  | "matches"
  | "differs"
  | "confirmed"
  | "stored"
  | "changed"
  | "torn"
  | "cancelled";

/** Declares a flow: every next state is a state of the table, every event a known one. */
function cardFlow<const T extends { readonly [S in keyof T]: Readonly<Partial<Record<FlowEvent, keyof T>>> }>(
  table: T,
): Flow<keyof T & string, FlowEvent> {
  return flow(table as unknown as Transitions<keyof T & string, FlowEvent>);
}

const END = {} as const;
/** The ends that every flow may come to. */
const ENDS = {
  done: END,
  refused: END,
  cancelled: END,
  untouched: END,
  uncertain: END,
  wiped: END,
  doubtful: END,
} as const;

/** The wallet's PIN comes first. */
const LOCKED = { opened: "wallet", cancelled: "cancelled" } as const;
/** The card's tries are shown, the last one is confirmed, then its PIN is asked. */
const ASK_PIN = { given: "secondTap", noTries: "refused", cancelled: "cancelled" } as const;
const VERIFY_PIN = { wrongPin: "askPin", wrongPinEnd: "refused", wiped: "wiped", torn: "uncertain" } as const;

/** Seed to an empty card, proven in a session of its own. A card whose backup was torn is gone on with. */
export const BACKUP_FLOW = cardFlow({
  locked: LOCKED,
  wallet: { seed: "firstTap", empty: "refused" },
  firstTap: { emptyCard: "newPin", pendingCard: "askPin", cardInUse: "refused", torn: "untouched" },
  newPin: { chosen: "writingTap", cancelled: "cancelled" },
  writingTap: { sameCard: "writing", otherCard: "refused", torn: "untouched" },
  writing: { written: "checking", torn: "uncertain" },
  checking: { matches: "done", differs: "doubtful", torn: "uncertain" },
  askPin: ASK_PIN,
  secondTap: { sameCard: "verifyPin", otherCard: "refused", torn: "untouched" },
  verifyPin: { ...VERIFY_PIN, rightPin: "proving" },
  proving: { matches: "done", differs: "doubtful", torn: "uncertain" },
  ...ENDS,
});

/** Seed from a card into an empty wallet; stored only after the card has proven that it is the one it holds. */
export const RESTORE_FLOW = cardFlow({
  locked: LOCKED,
  wallet: { empty: "firstTap", seed: "refused" },
  firstTap: { cardInUse: "askPin", emptyCard: "refused", torn: "untouched" },
  askPin: ASK_PIN,
  secondTap: { sameCard: "verifyPin", otherCard: "refused", torn: "untouched" },
  verifyPin: { ...VERIFY_PIN, rightPin: "reading" },
  reading: { matches: "storing", differs: "doubtful", torn: "untouched" },
  storing: { stored: "done" },
  ...ENDS,
});

/** PIN, name or wipe of a card in use, by a wallet in use. A card without tries can only be erased. */
export const MANAGE_FLOW = cardFlow({
  locked: LOCKED,
  wallet: { seed: "firstTap", empty: "refused" },
  firstTap: { cardInUse: "choose", emptyCard: "refused", torn: "untouched" },
  choose: { chosen: "askPin", noTriesWipe: "blindTap", cancelled: "cancelled" },
  askPin: ASK_PIN,
  secondTap: { sameCard: "verifyPin", otherCard: "refused", torn: "untouched" },
  verifyPin: { ...VERIFY_PIN, rightPin: "matching" },
  matching: { matches: "acting", differs: "confirmOther", torn: "untouched" },
  confirmOther: { confirmed: "acting", cancelled: "cancelled" },
  acting: { changed: "checking", torn: "uncertain" },
  checking: { matches: "done", differs: "doubtful", torn: "uncertain" },
  blindTap: { sameCard: "blindWipe", otherCard: "refused", torn: "untouched" },
  blindWipe: { changed: "checking", torn: "uncertain" },
  ...ENDS,
});

/** Which card is this, and, when asked, does it hold this wallet's seed? */
export const IDENTIFY_FLOW = cardFlow({
  locked: LOCKED,
  wallet: { seed: "firstTap", empty: "firstTap" },
  firstTap: { cardInUse: "done", emptyCard: "done", compare: "askPin", torn: "untouched" },
  askPin: ASK_PIN,
  secondTap: { sameCard: "verifyPin", otherCard: "refused", torn: "untouched" },
  verifyPin: { ...VERIFY_PIN, rightPin: "matching" },
  matching: { matches: "done", differs: "done", torn: "untouched" },
  ...ENDS,
});

/** The flows by command. */
export const FLOWS = {
  backup: BACKUP_FLOW,
  restore: RESTORE_FLOW,
  manage: MANAGE_FLOW,
  identify: IDENTIFY_FLOW,
} as const;
/** A command that is a flow. */
export type FlowName = keyof typeof FLOWS;
/** Every end. */
export type FlowEnd = keyof typeof ENDS;
/** Every state of every flow. */
export type FlowState = { [F in FlowName]: keyof typeof FLOWS[F]["table"] }[FlowName];
