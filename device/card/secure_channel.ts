/** SCP03 of the selected application, from INITIALIZE UPDATE to its end. Card page, section 2. */

import { writeUint } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { Scp03CardSession } from "shared/protocol/scp03/card_session.ts";
import { isSecurityLevel, LEVEL_RENC, LEVEL_RMAC, SCP_ID } from "shared/protocol/scp03/constants.ts";
import { encodeInitializeUpdate } from "shared/protocol/scp03/initialize_update.ts";
import { pseudoRandomCardChallenge } from "shared/protocol/scp03/keys.ts";
import { SCP03_I_PSEUDO_RANDOM, SCP03_I_RENC, SCP03_I_RMAC, SCP03_I_S16 } from "./constants.ts";
import type { CardContext } from "./context.ts";
import { findDomain, findKeySet, keyDomain, type Selectable, selectableAid, withKeySet } from "./registry.ts";

const COUNTER_MAX = 0xffffff;

/**
 * - `none`: no INITIALIZE UPDATE since SELECT.
 * - `initialized`: INITIALIZE UPDATE accepted; authentication may have failed since.
 * - `open`: host authenticated at `level`.
 * - `dead`: a C-MAC was wrong; another INITIALIZE UPDATE begins anew.
 */
export type ChannelPhase = "none" | "initialized" | "open" | "dead";

/** What EXTERNAL AUTHENTICATE came to; each application has its own status words for it. */
export type AuthenticationOutcome = "authenticated" | "not-initialized" | "level-unknown" | "failed";

/** The channel of one selection. */
export class CardSecureChannel {
  #phase: ChannelPhase = "none";
  #session: Scp03CardSession | null = null;
  #keys: { readonly domainAid: Uint8Array; readonly version: number } | null = null;

  /** Where the channel stands. */
  get phase(): ChannelPhase {
    return this.#phase;
  }

  /** Whether the host is authenticated, at whatever level. */
  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** Security level, 0 unless open. */
  get level(): number {
    return this.#phase === "open" ? this.#session?.level ?? 0 : 0;
  }

  /** Version of the key set that opened it; 0 unless open. */
  get keyVersion(): number {
    return this.#phase === "open" ? this.#keys?.version ?? 0 : 0;
  }

  /**
   * INITIALIZE UPDATE. The sequence counter advances in the persistent state here, so that it is stored before
   * the challenge derived from it leaves the card.
   * @param macCla class under the C-MAC whatever class is on the wire; absent: the one on the wire.
   */
  initializeUpdate(
    context: CardContext,
    selected: Selectable,
    command: CommandApdu,
    macCla?: number,
  ): ResponseApdu {
    const { state, crypto } = context;
    if (command.p2 !== 0) return response(SW.INCORRECT_P1P2);
    const mode = (state.i & SCP03_I_S16) !== 0 ? "S16" : "S8";
    const length = mode === "S16" ? 16 : 8;
    if (command.data.length !== length) return response(SW.WRONG_LENGTH);
    const domain = keyDomain(state, selected);
    const keySet = findKeySet(domain, command.p1);
    if (keySet === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
    if (keySet.failedAuthentications >= state.failedAuthenticationsMax) {
      return response(SW.AUTHENTICATION_METHOD_BLOCKED);
    }
    if (keySet.sequenceCounter >= COUNTER_MAX) return response(SW.CONDITIONS_NOT_SATISFIED);

    const counter = writeUint(keySet.sequenceCounter + 1, 3);
    context.state = withKeySet(state, domain, { ...keySet, sequenceCounter: keySet.sequenceCounter + 1 });
    const pseudoRandom = (state.i & SCP03_I_PSEUDO_RANDOM) !== 0;
    const keys = { enc: new Secret(keySet.enc), mac: new Secret(keySet.mac), dek: new Secret(keySet.dek) };
    const cardChallenge = pseudoRandom
      ? pseudoRandomCardChallenge(keys.enc, counter, selectableAid(selected), mode)
      : crypto.random(length);
    this.reset();
    this.#session = new Scp03CardSession({
      keys,
      hostChallenge: command.data,
      cardChallenge,
      mode,
      ...(macCla === undefined ? {} : { macCla }),
    });
    this.#keys = { domainAid: domain.aid, version: keySet.version };
    this.#phase = "initialized";
    return response(
      SW.OK,
      encodeInitializeUpdate({
        keyDiversificationData: state.keyDiversificationData,
        keyVersion: keySet.version,
        scpId: SCP_ID,
        i: state.i,
        cardChallenge,
        cardCryptogram: this.#session.cardCryptogram,
        ...(pseudoRandom ? { sequenceCounter: counter } : {}),
      }),
    );
  }

  /** EXTERNAL AUTHENTICATE. A failure is counted in the persistent state; a success clears the count. */
  externalAuthenticate(context: CardContext, command: CommandApdu): AuthenticationOutcome {
    if (this.#session === null || this.#keys === null) return "not-initialized";
    const level = command.p1;
    if (!isSecurityLevel(level) || !this.#offersLevel(context.state.i, level)) {
      // No cryptogram was looked at, so nothing is counted; the challenge is used up.
      this.#session.kill();
      this.#phase = "initialized";
      return "level-unknown";
    }
    const good = this.#session.verifyExternalAuthenticate(command);
    const domain = findDomain(context.state, this.#keys.domainAid);
    const keySet = domain === undefined ? undefined : findKeySet(domain, this.#keys.version);
    const failedAuthentications = good ? 0 : (keySet?.failedAuthentications ?? 0) + 1;
    if (
      domain !== undefined && keySet !== undefined && keySet.failedAuthentications !== failedAuthentications
    ) {
      context.state = withKeySet(context.state, domain, { ...keySet, failedAuthentications });
    }
    if (!good) this.#session.kill();
    this.#phase = good ? "open" : "initialized";
    return good ? "authenticated" : "failed";
  }

  #offersLevel(i: number, level: number): boolean {
    return ((level & LEVEL_RMAC) === 0 || (i & SCP03_I_RMAC) !== 0) &&
      ((level & LEVEL_RENC) === 0 || (i & SCP03_I_RENC) !== 0);
  }

  /** Unwraps; a command that does not unwrap ends the session. */
  unwrap(command: CommandApdu): CommandApdu | { readonly sw: number } {
    if (this.#phase !== "open" || this.#session === null) return { sw: SW.SCP03_UNWRAP_FAILED };
    const plain = this.#session.unwrap(command);
    if ("sw" in plain) this.#phase = "dead";
    return plain;
  }

  /** Wraps an answer; without an open channel it goes as it is. */
  wrap(answer: ResponseApdu): ResponseApdu {
    return this.#phase === "open" && this.#session !== null ? this.#session.wrap(answer) : answer;
  }

  /** Decrypts key material of PUT KEY. Only while open. */
  decryptWithDek(data: Uint8Array): Uint8Array {
    if (this.#phase !== "open" || this.#session === null) throw new Error("no open channel");
    return this.#session.decryptWithDek(data);
  }

  /** Ends the channel and wipes its keys. */
  reset(): void {
    this.#session?.kill();
    this.#session = null;
    this.#keys = null;
    this.#phase = "none";
  }
}
