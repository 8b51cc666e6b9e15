/** The card as the engine sees it: plain commands, one secure channel at a time, APDUs and the card's time counted. */

import { fromHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import type { ResponseApdu } from "shared/protocol/apdu/response.ts";
import { formatStatus, SW } from "shared/protocol/apdu/status_words.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { CLA_RECOVERY_KEY } from "shared/protocol/recovery_key/constants.ts";
import type { SecurityLevel } from "shared/protocol/scp03/constants.ts";
import { parseInitializeUpdate, startHandshake } from "shared/protocol/scp03/host_session.ts";
import type { InitializeUpdateAnswer } from "shared/protocol/scp03/initialize_update.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import "factory/domain/personalization/errors.ts";
import "factory/domain/profile_errors.ts";

/** Level at which the applet takes its own commands; spec/card.md, section 2. */
export const APPLET_LEVEL: SecurityLevel = 0x33;
/** Length of a host challenge of mode S8, in bytes. */
const CHALLENGE_LENGTH = 8;

/** What a secure channel leads to. */
export type ChannelTarget = "isd" | "ssd" | "applet";

/** How a channel is opened. */
export interface OpenChannel {
  readonly target: ChannelTarget;
  /** AID in hex. */
  readonly aid: string;
  readonly keyVersion: number;
  readonly keys: StaticKeys | ((info: InitializeUpdateAnswer) => Promise<StaticKeys>);
  readonly level: SecurityLevel;
}

/** Where the link gets its parts. */
export interface CardLinkOptions {
  readonly channel: CardChannel;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Aborted when no further command may leave. */
  readonly stop: AbortSignal;
}

/** The link; see the module's comment. */
export class CardLink {
  readonly #options: CardLinkOptions;
  #secure: { readonly target: ChannelTarget; readonly channel: SecureChannel } | undefined;
  /** APDUs sent so far. */
  apdus = 0;
  /** Milliseconds spent waiting for the card so far. */
  cardMilliseconds = 0;

  constructor(options: CardLinkOptions) {
    this.#options = options;
  }

  /** The open channel's target. */
  get target(): ChannelTarget | undefined {
    return this.#secure?.channel.alive ? this.#secure.target : undefined;
  }

  /** Sends a command as it is. */
  readonly transmit = (command: CommandApdu): Promise<ResponseApdu> => transceive(this.#raw, command);

  readonly #raw = async (bytes: Uint8Array): Promise<Uint8Array> => {
    if (this.#options.stop.aborted) {
      throw new CodedError("STATION_STOPPED", "Cannot go on with the card: the station was stopped");
    }
    this.apdus++;
    const begun = this.#options.clock.monotonic();
    try {
      return await this.#options.channel.transmit(bytes);
    } finally {
      this.cardMilliseconds += this.#options.clock.monotonic() - begun;
    }
  };

  /** Selects an application; the secure channel ends with it. */
  select(aid: string): Promise<ResponseApdu> {
    this.#end();
    return this.transmit(selectCommand(fromHex(aid)));
  }

  /** Selects what has to be there. @throws {CodedError} `PROFILE_CARD`. */
  async selectExisting(aid: string, name: string): Promise<ResponseApdu> {
    const answer = await this.select(aid);
    if (answer.sw !== SW.OK) {
      throw new CodedError(
        "PROFILE_CARD",
        `Cannot select ${name} ${aid}: the card answers ${formatStatus(answer.sw)}`,
        { sw: formatStatus(answer.sw) },
      );
    }
    return answer;
  }

  /**
   * INITIALIZE UPDATE alone, to the selected domain: it authenticates nobody and tries nothing on the card.
   * @returns undefined when the card has no key set of this version.
   */
  async probe(keyVersion: number): Promise<InitializeUpdateAnswer | undefined> {
    this.#end();
    const hostChallenge = this.#options.random(CHALLENGE_LENGTH);
    const answer = await this.transmit(startHandshake({ keyVersion, hostChallenge }).command);
    if (answer.sw === SW.REFERENCED_DATA_NOT_FOUND) return undefined;
    if (answer.sw !== SW.OK) {
      throw new CodedError(
        "SCP03_INITIALIZE_REFUSED",
        `Cannot ask for key version ${keyVersion}: the card answers ${formatStatus(answer.sw)}`,
        { sw: answer.sw, keyVersion },
      );
    }
    return parseInitializeUpdate(answer.data);
  }

  /** Selects the target and opens its channel. */
  async open(what: OpenChannel): Promise<SecureChannel> {
    await this.selectExisting(
      what.aid,
      what.target === "applet" ? "the applet" : `the ${what.target.toUpperCase()}`,
    );
    return await this.authenticate(what);
  }

  /** Opens the channel of what is selected. */
  async authenticate(what: OpenChannel): Promise<SecureChannel> {
    this.#end();
    const channel = await SecureChannel.open({
      transmit: this.transmit,
      keyVersion: what.keyVersion,
      keys: what.keys,
      level: what.level,
      random: this.#options.random,
      ...(what.target === "applet" ? { wireCla: CLA_RECOVERY_KEY } : {}),
    });
    this.#secure = { target: what.target, channel };
    return channel;
  }

  /** The open channel. */
  get channel(): SecureChannel {
    if (this.#secure === undefined) {
      throw new CodedError("INTERNAL", "Cannot send command: no secure channel is open");
    }
    return this.#secure.channel;
  }

  /** Ends the secure channel and lets the card go. Never throws. */
  async close(): Promise<void> {
    this.#end();
    await this.#options.channel.close();
  }

  #end(): void {
    this.#secure?.channel.close();
    this.#secure = undefined;
  }
}
