/**
 * The card as the tool sees it: commands with a name, a trace, one secure channel behind the guard, and a dry run, in which
 * nothing is sent but what reads without a channel (SELECT, GET DATA); even INITIALIZE UPDATE moves a counter on the card.
 */

import { toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import { command, type CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { describeStatus, SW } from "shared/protocol/apdu/status_words.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import {
  CLA_PLAIN,
  CLA_SECURE,
  INS_EXTERNAL_AUTHENTICATE,
  INS_INITIALIZE_UPDATE,
} from "shared/protocol/scp03/constants.ts";
import type { Scp03Mode, SecurityLevel } from "shared/protocol/scp03/constants.ts";
import { keyCheckValue } from "shared/protocol/scp03/key_check_value.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { checkGuard, UNFINISHED } from "../../domain/card_tool/guard.ts";
import { keysFor, type KeySource, wipeKeys } from "../../domain/card_tool/key_file.ts";
import { commandName } from "../../domain/card_tool/names.ts";
import { sensitivityOf, showCommand } from "../../domain/card_tool/sensitive.ts";
import { type TraceExchange, traceExchange } from "../../domain/card_tool/trace.ts";
import type { FailureRecords } from "../../transport/card_tool/port.ts";

/** One row of a dry run. */
export interface PlannedCommand {
  readonly step: string;
  /** The plain command in hex, secrets hidden. */
  readonly apdu: string;
  readonly command: string;
  /** It was sent, since it only reads and needs no channel. */
  readonly sent: boolean;
}

/** Where the session gets its parts. */
export interface SessionOptions {
  readonly channel: CardChannel;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly records: FailureRecords;
  readonly retryAuthentication: boolean;
  readonly dryRun: boolean;
  readonly trace?: (line: TraceExchange) => void;
}

/** How a channel is opened. */
export interface Authentication {
  readonly chip: string;
  /** AID of the selected domain, hex. */
  readonly domain: string;
  /** 0: the card's first key set. */
  readonly keyVersion: number;
  readonly keys: KeySource;
  readonly level: SecurityLevel;
  readonly mode: Scp03Mode;
  /** Class on the wire where it differs. */
  readonly wireCla?: number;
}

/** The session; see the module's comment. */
export class ToolSession {
  readonly #options: SessionOptions;
  readonly planned: PlannedCommand[] = [];
  /** Raw APDUs so far. */
  apdus = 0;
  /** Milliseconds spent waiting for the card. */
  cardMilliseconds = 0;
  /** A command that changes the card was sent. */
  changed = false;
  #channel: SecureChannel | undefined;
  #step: string | undefined;
  #plain: CommandApdu | undefined;
  #wire:
    | { readonly wire: CommandApdu; readonly answer: ResponseApdu; readonly milliseconds: number }
    | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Nothing that changes is sent. */
  get dryRun(): boolean {
    return this.#options.dryRun;
  }

  /** Answer to reset. */
  get atr(): Uint8Array {
    return this.#options.channel.atr;
  }

  /** The open channel, if it still lives. */
  get secureChannel(): SecureChannel | undefined {
    return this.#channel?.alive ? this.#channel : undefined;
  }

  readonly #raw = async (bytes: Uint8Array): Promise<Uint8Array> => {
    this.apdus++;
    const begun = this.#options.clock.monotonic();
    try {
      return await this.#options.channel.transmit(bytes);
    } finally {
      this.cardMilliseconds += this.#options.clock.monotonic() - begun;
    }
  };

  /** One command on the wire; its line waits for what the secure channel makes of the answer. */
  readonly #transmit = async (wire: CommandApdu): Promise<ResponseApdu> => {
    const begun = this.#options.clock.monotonic();
    const milliseconds = () => this.#options.clock.monotonic() - begun;
    const context = { ...(this.#step === undefined ? {} : { step: this.#step }) };
    const plain = this.#plain === undefined ? {} : { plain: this.#plain };
    try {
      const answer = await transceive(this.#raw, wire);
      if (this.#plain === undefined) {
        this.#trace({ ...context, wire, wireAnswer: answer, milliseconds: milliseconds() });
      } else this.#wire = { wire, answer, milliseconds: milliseconds() };
      return answer;
    } catch (error) {
      this.#trace({ ...context, ...plain, wire, milliseconds: milliseconds() });
      throw error;
    }
  };

  #trace(traced: Parameters<typeof traceExchange>[0]): void {
    this.#options.trace?.(traceExchange(traced));
  }

  #plan(step: string, plain: CommandApdu, sent: boolean): void {
    this.planned.push({
      step,
      command: commandName(plain.ins),
      apdu: showCommand(plain, sensitivityOf(plain).command),
      sent,
    });
  }

  /** A command without channel that only reads; a dry run sends it too. */
  async read(step: string, plain: CommandApdu): Promise<ResponseApdu> {
    if (this.dryRun) this.#plan(step, plain, true);
    return await this.#named(step, () => this.#transmit(plain));
  }

  /** A command without channel that may change the card; a dry run only names it. */
  async sendPlain(step: string, plain: CommandApdu): Promise<ResponseApdu> {
    if (this.dryRun) {
      this.#plan(step, plain, false);
      return response(SW.OK);
    }
    this.changed = true;
    return await this.#named(step, () => this.#transmit(plain));
  }

  /**
   * A command through the channel.
   * @param options.changes whether it changes the card.
   * @param options.assume what a dry run takes for the answer; `9000` unless given.
   */
  async send(
    step: string,
    plain: CommandApdu,
    options: { readonly changes: boolean; readonly assume?: ResponseApdu },
  ): Promise<ResponseApdu> {
    if (this.dryRun) {
      this.#plan(step, plain, false);
      return options.assume ?? response(SW.OK);
    }
    const channel = this.#channel;
    if (channel === undefined) {
      throw new CodedError("INTERNAL", "Cannot send command: no secure channel is open");
    }
    if (options.changes) this.changed = true;
    this.#plain = plain;
    this.#wire = undefined;
    let answer: ResponseApdu | undefined;
    try {
      answer = await this.#named(step, () => channel.send(plain));
      return answer;
    } finally {
      const wire = this.#wire as
        | { wire: CommandApdu; answer: ResponseApdu; milliseconds: number }
        | undefined;
      this.#plain = undefined;
      if (wire !== undefined) {
        this.#trace({
          step,
          wire: wire.wire,
          wireAnswer: wire.answer,
          plain,
          ...(answer === undefined ? {} : { plainAnswer: answer }),
          milliseconds: wire.milliseconds,
        });
      }
    }
  }

  async #named<T>(step: string, run: () => Promise<T>): Promise<T> {
    this.#step = step;
    try {
      return await run();
    } finally {
      this.#step = undefined;
    }
  }

  /**
   * Opens the channel of the selected domain. One key set, once: what failed before is on record and is not repeated.
   * @throws {CodedError} `CARDTOOL_GUARD`, `CARDTOOL_SCP`, and those of `SecureChannel.open`.
   */
  async authenticate(what: Authentication): Promise<void> {
    const { records, clock, retryAuthentication } = this.#options;
    checkGuard(await records.read(what.chip), retryAuthentication);
    if (this.dryRun) {
      this.#planAuthentication(what);
      return;
    }
    let tried = false;
    let keys: StaticKeys | undefined;
    const record = (outcome: string, keyVersion: number, encCheckValue: string) =>
      records.write({
        chip: what.chip,
        time: new Date(clock.now()).toISOString(),
        domain: what.domain,
        keyVersion,
        encCheckValue,
        outcome,
      });
    let keyVersion = what.keyVersion;
    let checkValue = "";
    try {
      this.#channel = await this.#named("open the secure channel", () =>
        SecureChannel.open({
          transmit: this.#transmit,
          keyVersion: what.keyVersion,
          keys: async (info) => {
            keys = await keysFor(what.keys, info.keyDiversificationData);
            keyVersion = info.keyVersion;
            checkValue = toHex(keyCheckValue(keys.enc));
            // On disk before the card is asked: a program that is killed here must not forget that it tried.
            await record(UNFINISHED, keyVersion, checkValue);
            tried = true;
            return keys;
          },
          level: what.level,
          mode: what.mode,
          random: this.#options.random,
          ...(what.wireCla === undefined ? {} : { wireCla: what.wireCla }),
        }));
      await records.clear(what.chip);
    } catch (error) {
      const code = codeOf(error);
      if (tried && FAILURES.includes(code)) await record(code, keyVersion, checkValue);
      if (code === "SCP03_PROTOCOL") {
        throw new CodedError("CARDTOOL_SCP", `Cannot open a secure channel: ${(error as Error).message}`, {
          ...(error as CodedError).details,
        });
      }
      throw error;
    } finally {
      if (keys !== undefined) wipeKeys(keys);
    }
  }

  #planAuthentication({ keyVersion, level, mode }: Authentication): void {
    const step = "open the secure channel";
    const length = mode === "S16" ? 16 : 8;
    const head = (plain: CommandApdu, lc: number) =>
      toHex(Uint8Array.of(plain.cla, plain.ins, plain.p1, plain.p2, lc));
    const update = command(CLA_PLAIN, INS_INITIALIZE_UPDATE, keyVersion, 0);
    const external = command(CLA_SECURE, INS_EXTERNAL_AUTHENTICATE, level, 0);
    this.planned.push(
      {
        step,
        command: commandName(INS_INITIALIZE_UPDATE),
        apdu: `${head(update, length)}[host challenge: ${length} bytes, drawn when it is sent]00`,
        sent: false,
      },
      {
        step,
        command: commandName(INS_EXTERNAL_AUTHENTICATE),
        apdu: `${head(external, 2 * length)}[host cryptogram and C-MAC: ${2 * length} bytes]`,
        sent: false,
      },
    );
  }

  /** Encrypts key material with the session's DEK; a dry run gives zeros, which it hides. */
  readonly encryptWithDek = (data: Uint8Array): Uint8Array =>
    this.#channel === undefined ? new Uint8Array(data.length) : this.#channel.encryptWithDek(data);

  /** Cold reset: the channel ends. */
  async reset(): Promise<void> {
    this.endChannel();
    await this.#options.channel.reset();
  }

  /** Forgets the session keys. */
  endChannel(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }

  /** Ends the channel and lets the card go. */
  async close(): Promise<void> {
    this.endChannel();
    await this.#options.channel.close();
  }
}

/** Codes that say that keys were tried and are wrong, or may be. */
const FAILURES: readonly string[] = ["SCP03_CARD_CRYPTOGRAM", "SCP03_AUTHENTICATION_FAILED"];

/** Refuses what is not `9000`. @throws {CodedError} `CARDTOOL_REFUSED`, details `sw`. */
export function requireOk(
  step: string,
  answer: ResponseApdu,
  accept: readonly number[] = [SW.OK],
): ResponseApdu {
  if (accept.includes(answer.sw)) return answer;
  throw new CodedError("CARDTOOL_REFUSED", `Cannot ${step}: the card answers ${describeStatus(answer.sw)}`, {
    sw: answer.sw,
  });
}
