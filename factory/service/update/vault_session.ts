/**
 * One SCP03 session of the vault with one card: wraps the commands of one package's upgrade and nothing else. Each command is
 * wrapped once; an answer that is not what must come ends the session.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { formatStatus, SW } from "shared/protocol/apdu/status_words.ts";
import { parseUpgradeAnswer, UPGRADE_P1 } from "shared/protocol/gp/manage_elf_upgrade.ts";
import { INS_INSTALL, INS_LOAD } from "shared/protocol/gp/constants.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import {
  type UpgradeCommands,
  upgradeCommands,
  type UpgradePackage,
} from "shared/protocol/gp/upgrade_commands.ts";
import {
  finishHandshake,
  type InitializeUpdateAnswer,
  parseInitializeUpdate,
  type Scp03HostSession,
  startHandshake,
} from "shared/protocol/scp03/host_session.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import { STEP_COMMANDS_MAX, type UpdateEnd, type UpdatePhase } from "shared/protocol/wire/update.ts";
import { nextMove, type UpgradeMode, type UpgradeMove } from "../../domain/update/upgrade_move.ts";
import "shared/protocol/wire/update_errors.ts";

/** Level of the upgrade channel: C-MAC, no encryption, so that the wallet sees what it carries. */
export const UPGRADE_LEVEL = 0x01;
/** Most times that one session is gone on with, and that it loads: a card that goes round is left. */
const ROUNDS_MAX = { "go-on": 4, "take-back": 1, "load": 2, "start": 1 } as const;

/** The domain that may upgrade. */
export interface UpgradeDomain {
  readonly aid: Uint8Array;
  readonly keyVersion: number;
}

/** What the next commands are. */
export interface Batch {
  readonly phase: UpdatePhase;
  readonly commands: readonly string[];
  readonly end: UpdateEnd | null;
}

/** The session; see the module's comment. */
export class UpgradeSession {
  readonly #commands: UpgradeCommands;
  readonly #mode: UpgradeMode;
  readonly #hostChallenge: Uint8Array;
  readonly #domain: UpgradeDomain;
  readonly #rounds = new Map<UpgradeMove, number>();
  #channel: Scp03HostSession | undefined;
  #sent: readonly CommandApdu[] = [];
  #pending: CommandApdu[] = [];
  #phase: UpdatePhase = "opening";
  #first = true;

  /** @param hostChallenge 8 fresh random bytes: this session's alone. */
  constructor(mode: UpgradeMode, file: UpgradePackage, domain: UpgradeDomain, hostChallenge: Uint8Array) {
    this.#mode = mode;
    this.#commands = upgradeCommands(file);
    this.#domain = domain;
    this.#hostChallenge = hostChallenge;
  }

  /** The first commands: SELECT of the domain, INITIALIZE UPDATE with this session's challenge. */
  open(): Batch {
    this.#sent = [
      selectCommand(this.#domain.aid),
      startHandshake({ keyVersion: this.#domain.keyVersion, hostChallenge: this.#hostChallenge }).command,
    ];
    return this.#batch(this.#sent);
  }

  /** What the card answered to INITIALIZE UPDATE. @throws {CodedError} `UPDATE_CARD_REFUSED`. */
  identify(answers: readonly string[]): InitializeUpdateAnswer {
    const responses = this.#responses(answers);
    try {
      const info = parseInitializeUpdate(responses[1]!.data, "S8");
      if (info.keyVersion === this.#domain.keyVersion) return info;
    } catch (error) {
      throw new CodedError("UPDATE_CARD_REFUSED", "Cannot update card: it speaks no SCP03", {}, error);
    }
    throw new CodedError("UPDATE_CARD_REFUSED", "Cannot update card: it answers with another key version");
  }

  /**
   * Opens the channel and asks for the upgrade's status.
   * @param keys stay the caller's, who wipes them. @throws {CodedError} `UPDATE_CARD_KEYS`.
   */
  authenticate(info: InitializeUpdateAnswer, keys: StaticKeys): Batch {
    this.#phase = "authenticating";
    try {
      const { session, externalAuthenticate } = finishHandshake({
        parsed: info,
        hostChallenge: this.#hostChallenge,
        keys,
        level: UPGRADE_LEVEL,
      });
      this.#channel = session;
      this.#sent = [externalAuthenticate, this.#commands.status];
      return this.#batch([externalAuthenticate, session.wrap(this.#commands.status)]);
    } catch (error) {
      throw new CodedError(
        "UPDATE_CARD_KEYS",
        "Cannot update card: it does not have the upgrade keys of this factory",
        {},
        error,
      );
    }
  }

  /** The next commands after these answers. @throws {CodedError} `UPDATE_CARD_REFUSED`, `UPDATE_RESTORE_FAILED`. */
  next(answers: readonly string[]): Batch {
    const responses = this.#responses(answers);
    if (this.#pending.length > 0) return this.#wrapPending();
    const { status } = parseUpgradeAnswer(responses.at(-1)!.data);
    const move = nextMove(this.#mode, status, {
      first: this.#first,
      tookBack: this.#rounds.has("take-back"),
    });
    this.#first = false;
    this.#count(move, status);
    const { start, resume, recover, load } = this.#commands;
    switch (move) {
      case "start":
        return this.#go("saving", [start]);
      case "go-on":
        return this.#go("restoring", [resume]);
      case "take-back":
        return this.#go("restoring", [recover]);
      case "load":
        return this.#go("loading", [...load, resume]);
      case "updated":
      case "recovered":
      case "nothing":
        this.end();
        return { phase: "done", commands: [], end: move };
      case "stuck":
        throw new CodedError(
          "UPDATE_RESTORE_FAILED",
          "Cannot update card: the new package does not take the card's data; they are kept, and the old one must be loaded again",
        );
    }
  }

  /** Forgets the session keys. */
  end(): void {
    this.#channel?.kill();
    this.#channel = undefined;
    this.#pending = [];
  }

  #count(move: UpgradeMove, status: string): void {
    if (!(move in ROUNDS_MAX)) return;
    const rounds = (this.#rounds.get(move) ?? 0) + 1;
    if (rounds > ROUNDS_MAX[move as keyof typeof ROUNDS_MAX]) {
      throw new CodedError("UPDATE_CARD_REFUSED", `Cannot update card: it stays at ${status}`, { status });
    }
    this.#rounds.set(move, rounds);
  }

  #go(phase: UpdatePhase, commands: readonly CommandApdu[]): Batch {
    this.#phase = phase;
    this.#pending = [...commands];
    return this.#wrapPending();
  }

  #wrapPending(): Batch {
    const channel = this.#channel;
    if (channel === undefined) throw new CodedError("UPDATE_STEP", "Cannot wrap command: no channel is open");
    this.#sent = this.#pending.splice(0, STEP_COMMANDS_MAX);
    return this.#batch(this.#sent.map((each) => channel.wrap(each)));
  }

  #batch(commands: readonly CommandApdu[]): Batch {
    return { phase: this.#phase, commands: commands.map((each) => toHex(encodeCommand(each))), end: null };
  }

  /** Reads answers to what was sent: one for each command, all `9000`. */
  #responses(answers: readonly string[]): ResponseApdu[] {
    const responses = answers.map((answer) => decodeResponse(fromHex(answer)));
    const bad = responses.findIndex(({ sw }) => sw !== SW.OK);
    const failed = this.#sent[bad];
    if (failed !== undefined) {
      const { sw } = responses[bad]!;
      const what = commandName(failed);
      throw new CodedError(
        "UPDATE_CARD_REFUSED",
        `Cannot update card: it answers ${what} with ${formatStatus(sw)}`,
        {
          command: what,
          sw,
        },
      );
    }
    if (responses.length !== this.#sent.length) {
      throw new CodedError(
        "UPDATE_STEP",
        `Cannot go on: ${responses.length} answers, not ${this.#sent.length}`,
      );
    }
    return responses;
  }
}

const MANAGE_NAMES: Readonly<Record<number, string>> = {
  [UPGRADE_P1.START]: "start of the upgrade",
  [UPGRADE_P1.RESUME]: "resume of the upgrade",
  [UPGRADE_P1.RECOVERY]: "recovery of the upgrade",
  [UPGRADE_P1.STATUS]: "the question for the upgrade's status",
};
const NAMES: Readonly<Record<number, string>> = {
  0xa4: "SELECT of the upgrade domain",
  0x50: "INITIALIZE UPDATE",
  0x82: "EXTERNAL AUTHENTICATE",
  [INS_INSTALL]: "INSTALL [for load]",
};

function commandName({ ins, p1, p2 }: CommandApdu): string {
  if (ins === INS_LOAD) return `LOAD of block ${p2}`;
  return NAMES[ins] ?? MANAGE_NAMES[p1] ?? "a command";
}
