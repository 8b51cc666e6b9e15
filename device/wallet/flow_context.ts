/** What one run of a flow holds: the parties, what the taps saw, and secrets that end with it. */

import { CodedError } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { type CardFacts, differenceOf, identifierOf } from "./card_facts.ts";
import { CardSession } from "./card_session.ts";
import type { FlowName } from "./flows.ts";
import type { Person } from "./person.ts";
import type { WalletTrust } from "./trust.ts";
import type { Wallet } from "./wallet.ts";

/** What `manage` can do. */
export const MANAGE_ACTIONS = ["pin", "name", "wipe"] as const;
/** One of them. */
export type ManageAction = typeof MANAGE_ACTIONS[number];

/** What a run is given. */
export interface FlowOptions {
  readonly flow: FlowName;
  readonly wallet: Wallet;
  readonly person: Person;
  readonly trust: WalletTrust;
  readonly random: RandomSource;
  /** Waits for a card and connects. @throws {CodedError} `CARD_ABSENT` and those of the reader service. */
  readonly connect: () => Promise<CardChannel>;
  /** backup: name for the card. manage: the new name; an empty one erases. */
  readonly name?: Uint8Array;
  /** manage: what to do; asked when it is left out. */
  readonly action?: ManageAction;
  /** identify: also whether the card holds the wallet's seed, which needs the card's PIN. */
  readonly compare?: boolean;
}

/** One run. */
export class FlowContext {
  readonly options: FlowOptions;
  /** What the last tap saw. */
  card: CardFacts | null = null;
  /** Whether the card holds the wallet's seed; null: not known. */
  matches: boolean | null = null;
  action: ManageAction | undefined;
  /** Name that the card is to have. */
  name: Uint8Array | undefined;
  /** PIN of the card that was typed. */
  cardPin: Secret | undefined;
  /** PIN that the card is to have. */
  newCardPin: Secret | undefined;
  /** Seed that was read and is not stored yet. */
  seed: Secret | undefined;
  /** Why the run ended, when it is not done. */
  reason: CodedError | undefined;
  taps = 0;
  apdus = 0;
  #channel: CardChannel | undefined;
  #session: CardSession | undefined;

  constructor(options: FlowOptions) {
    this.options = options;
    this.action = options.action;
    this.name = options.name;
  }

  /** The open session. */
  get session(): CardSession {
    if (this.#session === undefined) {
      throw new CodedError("WALLET_FLOW", "Cannot use card: no session is open");
    }
    return this.#session;
  }

  /**
   * One tap: the person presents the card, a fresh session is opened, and the card is shown. From the second tap on it must
   * be the same card, unchanged. The session stays open.
   * @returns whether it is the same; true at the first tap.
   */
  async tap(): Promise<boolean> {
    const { person, connect } = this.options;
    await this.release();
    this.taps++;
    person.tell({ kind: "present", tap: this.taps, card: this.card });
    this.#channel = await connect();
    const card = await (await this.reopen()).facts();
    const before = this.card;
    person.tell({ kind: "card", tap: this.taps, card });
    const difference = before === null ? undefined : differenceOf(before, card);
    if (difference !== undefined) {
      const why = difference === "serial"
        ? `another one than ${identifierOf(before!)}`
        : `its ${difference} is not what it was at the first tap`;
      this.reason = new CodedError(
        "WALLET_CARD_OTHER",
        `Cannot go on with card ${identifierOf(card)}: ${why}`,
      );
      return false;
    }
    this.card = card;
    return true;
  }

  /** A fresh session in the same tap: what follows reads what the card has stored, not what it has in mind. */
  async reopen(): Promise<CardSession> {
    this.#endSession();
    const { trust, random } = this.options;
    this.#session = await CardSession.open({ channel: this.#channel!, trust, random });
    return this.#session;
  }

  /** Lets the card go: the next tap is another connection. */
  async release(): Promise<void> {
    this.#endSession();
    const channel = this.#channel;
    this.#channel = undefined;
    await channel?.close();
  }

  /** Ends the run: lets the card go and wipes every secret of it. */
  async dispose(): Promise<void> {
    for (const secret of [this.cardPin, this.newCardPin, this.seed]) secret?.wipe();
    await this.release();
  }

  #endSession(): void {
    if (this.#session) this.apdus += this.#session.apdus;
    this.#session?.close();
    this.#session = undefined;
  }
}
