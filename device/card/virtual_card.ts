/**
 * The virtual Recovery Key card: power, one command at a time, and the rule that memory is stored before an
 * answer leaves. It speaks APDUs in bytes; vpcd.ts and in_process_channel.ts put it on a reader.
 */

import { equal } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { type CommandApdu, decodeCommand } from "shared/protocol/apdu/command.ts";
import { encodeResponse, response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { recoveryKeyCommand } from "./applet/recovery_key.ts";
import { volatileAfterSelect } from "./applet/volatile.ts";
import { CARD_LIFE_CYCLE } from "./constants.ts";
import type { CardContext, VolatileState } from "./context.ts";
import { type CardCrypto, softwareCardCrypto } from "./crypto.ts";
import { domainCommand } from "./domain/security_domain.ts";
import { type CardOptions, completeCardOptions, isPublishedTestKeySet } from "./options.ts";
import { findSelectable, issuerDomain, selectableAid } from "./registry.ts";
import { CardSecureChannel } from "./secure_channel.ts";
import { isSelect, makeSelected, select } from "./select.ts";
import { type CardState, newCardState } from "./state.ts";
import { type CardStore, fileStore, memoryStore } from "./store.ts";
import "./errors.ts";

/** How a card is opened: where it is kept, and what it is when it is new. */
export interface OpenCardOptions extends CardOptions {
  /** File of its memory; absent: memory that dies with the process. */
  readonly stateFile?: string;
  /** Its memory, in place of a file. */
  readonly store?: CardStore;
  /** Randomness of the card. Default: the operating system's. */
  readonly random?: RandomSource;
  /** Coprocessor; default: software over `random`. */
  readonly crypto?: CardCrypto;
}

const INS_GET_DATA = 0xca;
const INS_MANAGE_CHANNEL = 0x70;
const P1_CLOSE_CHANNEL = 0x80;
/** Class bits of logical channels 1 to 3, and of 4 to 19. */
const BASIC_CHANNELS = 0x03;
const FURTHER_CHANNELS = 0x40;
const CLA_INVALID = 0xff;
const SHORT_HEADER = 5;

/** One card. */
export class VirtualCard {
  readonly #store: CardStore;
  readonly #crypto: CardCrypto;
  #state: CardState;
  #volatile: VolatileState | null = null;
  /** A save was cut: only the store knows whether the state before or after it is in memory. */
  #isTorn = false;
  #queue: Promise<unknown> = Promise.resolve();
  /** Whether the card was made by this `open`. */
  readonly isNew: boolean;

  private constructor(store: CardStore, crypto: CardCrypto, state: CardState, isNew: boolean) {
    this.#store = store;
    this.#crypto = crypto;
    this.#state = state;
    this.isNew = isNew;
  }

  /**
   * Opens the card of a state file, or makes one; the fields of `CardOptions` matter only when it is made.
   * @throws {CodedError} `VCARD_OPTIONS`, `VCARD_STATE_UNREADABLE`, `VCARD_STATE_LOCKED`.
   */
  static open(options: OpenCardOptions = {}): Promise<VirtualCard> {
    return Promise.resolve().then(() => {
      const { stateFile, store: givenStore, random, crypto: given, ...cardOptions } = options;
      const cardCrypto = given ?? softwareCardCrypto(random);
      const complete = completeCardOptions(cardOptions);
      const store = givenStore ?? (stateFile === undefined ? memoryStore() : fileStore(stateFile));
      try {
        const stored = store.load();
        const state = stored ?? newCardState(complete, cardCrypto.random);
        if (stored === undefined) store.save(state);
        return new VirtualCard(store, cardCrypto, state, stored === undefined);
      } catch (error) {
        store.close();
        throw error;
      }
    });
  }

  /** Answer to reset. */
  get atr(): Uint8Array {
    return this.#state.atr;
  }

  /** Whether the card has power. */
  get powered(): boolean {
    return this.#volatile !== null;
  }

  /** Whether the ISD still has the published test keys: then the card protects nothing. */
  get hasTestKeys(): boolean {
    return issuerDomain(this.#state).keySets.some(isPublishedTestKeySet);
  }

  /** What is engraved in the chip, for reports: CPLC (42). */
  get cplc(): Uint8Array {
    return this.#state.cplc.slice();
  }

  /** Power on, or a reset: everything volatile is gone, the issuer domain is selected. */
  powerOn(): void {
    this.powerOff();
    if (this.#isTorn) {
      this.#state = this.#store.load() ?? this.#state;
      this.#isTorn = false;
    }
    this.#volatile = {
      selected: issuerDomain(this.#state).aid,
      channel: new CardSecureChannel(),
      series: null,
      registryPosition: null,
      applet: volatileAfterSelect(null),
      upgradeGrant: null,
    };
  }

  /** Power off. */
  powerOff(): void {
    this.#volatile?.channel.reset();
    this.#volatile = null;
  }

  /**
   * Executes one command APDU; commands given at once are executed one after the other.
   * @returns data and status word. Whatever they tell is on the disk already.
   * @throws {CodedError} `VCARD_NOT_POWERED`; and whatever the store throws, after which the card is powered off.
   */
  process(commandBytes: Uint8Array): Promise<Uint8Array> {
    const turn = this.#queue.then(() => this.#process(commandBytes));
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** Lets the state file go. */
  close(): void {
    this.powerOff();
    this.#store.close();
  }

  #process(commandBytes: Uint8Array): Uint8Array {
    if (this.#volatile === null) {
      throw new CodedError("VCARD_NOT_POWERED", "Cannot execute command: the card has no power");
    }
    const context: CardContext = {
      state: this.#state,
      volatile: this.#volatile,
      crypto: this.#crypto,
      commit: () => this.#commit(context.state),
    };
    const answer = encodeResponse(execute(context, commandBytes, {
      restore: () => context.state = this.#state,
      isSilent: () => this.#isTorn,
    }));
    this.#commit(context.state);
    return answer;
  }

  #commit(state: CardState): void {
    if (state === this.#state) return;
    try {
      this.#store.save(state);
    } catch (error) {
      // A chip whose memory fails falls silent: what was computed must not be seen.
      this.#isTorn = true;
      this.powerOff();
      throw error;
    }
    this.#state = state;
  }
}

/** What a fault in the middle of a command does. */
interface Faults {
  /** Takes back what was not stored. */
  restore(): void;
  /** Whether the memory has failed: then there is no answer at all. */
  isSilent(): boolean;
}

/** One command, from bytes to answer. A fault of the card's own code is `6F00` and leaves what was stored before it. */
function execute(context: CardContext, commandBytes: Uint8Array, faults: Faults): ResponseApdu {
  // No extended length on this card (d_errors, "extended length APDU").
  if (commandBytes.length > SHORT_HEADER && commandBytes[4] === 0) return response(SW.WRONG_LENGTH);
  let command: CommandApdu;
  try {
    command = decodeCommand(commandBytes);
  } catch {
    return response(SW.WRONG_LENGTH);
  }
  try {
    return dispatch(context, command);
  } catch (error) {
    if (faults.isSilent()) throw error;
    faults.restore();
    return response(SW.UNKNOWN);
  }
}

function dispatch(context: CardContext, command: CommandApdu): ResponseApdu {
  const { state, volatile } = context;
  const issuer = issuerDomain(state);
  if (issuer.lifeCycle === CARD_LIFE_CYCLE.TERMINATED && command.ins !== INS_GET_DATA) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  // The runtime looks at logical channels before any application does. GPC 2.3.1, 11.7 and 11.1.4.
  if (command.cla === 0x00 && command.ins === INS_MANAGE_CHANNEL) {
    const known = (command.p1 & ~P1_CLOSE_CHANNEL) === 0;
    return response(known ? SW.LOGICAL_CHANNEL_NOT_SUPPORTED : SW.INCORRECT_P1P2);
  }
  if (namesLogicalChannel(command.cla)) return response(SW.LOGICAL_CHANNEL_NOT_SUPPORTED);
  if (isSelect(command)) return select(context, command);
  let selected = findSelectable(state, volatile.selected);
  const isCardLocked = issuer.lifeCycle === CARD_LIFE_CYCLE.LOCKED;
  if (selected === undefined || (isCardLocked && !equal(selectableAid(selected), issuer.aid))) {
    // What was selected has been deleted, or may not go on.
    selected = { kind: "domain", domain: issuer };
    makeSelected(context, selected);
  }
  if (selected.kind === "domain") return domainCommand(context, selected.domain, command);
  const { recoveryKey } = selected.instance;
  // An instance of foreign code is there and does nothing.
  if (recoveryKey === null) return response(SW.INS_NOT_SUPPORTED);
  return recoveryKeyCommand(context, selected.instance, recoveryKey, command);
}

/** Whether a class byte is of a logical channel but the basic one, the only one here. ISO/IEC 7816-4, 5.4.1. */
function namesLogicalChannel(cla: number): boolean {
  if (cla === CLA_INVALID) return false;
  return (cla & FURTHER_CHANNELS) !== 0 || (cla & BASIC_CHANNELS) !== 0;
}
