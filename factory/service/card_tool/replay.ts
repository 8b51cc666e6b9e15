/**
 * Replays a recording against a card and compares. Rows of a secure channel are sent through a channel of our own, opened with the
 * given keys at the recorded level: recorded cryptograms open nothing, and would count as failed authentications.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { type CommandApdu, decodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { INS_SELECT } from "shared/protocol/gp/constants.ts";
import {
  INS_EXTERNAL_AUTHENTICATE,
  INS_INITIALIZE_UPDATE,
  isSecurityLevel,
  type Scp03Mode,
} from "shared/protocol/scp03/constants.ts";
import { isHidden } from "../../domain/card_tool/sensitive.ts";
import type { RecordedRow, Recording } from "../../domain/card_tool/recording.ts";
import type { KeySource } from "../../domain/card_tool/key_file.ts";
import { identify, selectDomain } from "./look.ts";
import type { ToolSession } from "./session.ts";

/** What became of one row. */
export interface ReplayedRow {
  readonly row: number;
  readonly step: string;
  readonly outcome: "equal" | "differs" | "skipped" | "event" | "planned";
  /** Why it was skipped, or what is different. */
  readonly why: string | null;
  readonly expected: string | null;
  readonly actual: string | null;
}

/** What a replay came to. */
export interface ReplayReport {
  readonly name: string;
  readonly rows: readonly ReplayedRow[];
  readonly equal: number;
  readonly differing: number;
  readonly skipped: number;
}

/** How a replay is run. */
export interface ReplayWish {
  readonly recording: Recording;
  readonly keys?: KeySource;
}

/** Class of the Recovery Key applet's commands on the wire; they are wrapped under it. spec/card.md, section 2. */
const CLA_APPLET = 0x08;

/** Answers that hold random numbers or counters: their length and status word are compared. */
const RANDOM_ANSWERS: readonly number[] = [INS_INITIALIZE_UPDATE, 0x40, 0x52, 0x84];

function compare(command: CommandApdu, expected: ResponseApdu, actual: ResponseApdu): string | null {
  if (expected.sw !== actual.sw) {
    return `status word ${formatStatus(actual.sw)}, recorded ${formatStatus(expected.sw)}`;
  }
  if (RANDOM_ANSWERS.includes(command.ins)) {
    // A DER signature is one or two bytes shorter now and then.
    return Math.abs(expected.data.length - actual.data.length) <= 3
      ? null
      : `${actual.data.length} bytes, recorded ${expected.data.length}`;
  }
  return toHex(expected.data) === toHex(actual.data) ? null : "other data";
}

type Outcome = Partial<ReplayedRow> & Pick<ReplayedRow, "outcome">;

/** One replay; holds what the rows before have done. */
class Replay {
  readonly #session: ToolSession;
  readonly #wish: ReplayWish;
  readonly #rows: ReplayedRow[] = [];
  #chip = "";
  /** A channel of our own stands for the recorded one. */
  #open = false;
  #initialize: CommandApdu | undefined;

  constructor(session: ToolSession, wish: ReplayWish) {
    this.#session = session;
    this.#wish = wish;
  }

  async run(): Promise<ReplayReport> {
    const { name, rows } = this.#wish.recording;
    if (this.#wish.keys !== undefined && rows.some((row) => row.plain !== undefined)) {
      // Any card may be here: one whose issuer domain cannot be selected still has an answer to reset.
      await selectDomain(this.#session).catch(() => {});
      this.#chip = await identify(this.#session);
    }
    for (const [i, row] of rows.entries()) {
      const result = await this.#row(row, i);
      this.#rows.push({ row: i + 1, step: row.step, expected: null, actual: null, why: null, ...result });
    }
    const count = (outcome: ReplayedRow["outcome"]) =>
      this.#rows.filter((row) => row.outcome === outcome).length;
    return {
      name,
      rows: this.#rows,
      equal: count("equal"),
      differing: count("differs"),
      skipped: count("skipped"),
    };
  }

  async #row(row: RecordedRow, index: number): Promise<Outcome> {
    if (row.sent === "") {
      if (!this.#session.dryRun) await this.#session.reset();
      this.#open = false;
      return { outcome: "event", why: row.note || null };
    }
    const shown = row.plain ?? row.sent;
    if (isHidden(shown)) return skip("its data is hidden in the recording");
    if (row.sealed) return skip("it is sealed for the session in which it was recorded");
    if (row.received === "") return skip("no answer was recorded");
    let plain: CommandApdu;
    try {
      plain = decodeCommand(fromHex(shown));
    } catch {
      return skip("it is no well-formed APDU");
    }
    if (plain.ins === INS_INITIALIZE_UPDATE && (plain.cla & 0x80) !== 0) {
      this.#initialize = plain;
      return this.#wish.keys === undefined
        ? skip("a channel needs --keys")
        : skip("a channel of our own is opened instead");
    }
    if (plain.ins === INS_EXTERNAL_AUTHENTICATE && (plain.cla & 0x80) !== 0) {
      return await this.#authenticate(plain, row, this.#wireClassAfter(index));
    }
    if (row.plain !== undefined) return await this.#secure(plain, row);
    if (plain.ins === INS_SELECT) {
      this.#open = false;
      this.#session.endChannel();
    }
    const answer = plain.ins === INS_SELECT
      ? await this.#session.read(row.step, plain)
      : await this.#session.sendPlain(row.step, plain);
    if (this.#session.dryRun) return { outcome: "planned" };
    return this.#compared(plain, decodeResponse(fromHex(row.received)), answer);
  }

  /** The Recovery Key applet's commands keep their class on the wire: the first one after the handshake tells. */
  #wireClassAfter(index: number): number | undefined {
    const next = this.#wish.recording.rows.slice(index + 1).find((row) => row.sent !== "");
    return next?.plain !== undefined && next.sent.startsWith("08") ? CLA_APPLET : undefined;
  }

  async #authenticate(
    recorded: CommandApdu,
    row: RecordedRow,
    wireCla: number | undefined,
  ): Promise<Outcome> {
    const { keys } = this.#wish;
    const initialize = this.#initialize;
    this.#initialize = undefined;
    if (keys === undefined) return skip("a channel needs --keys");
    if (!row.received.endsWith("9000") || initialize === undefined) {
      return skip("it failed when it was recorded");
    }
    if (!isSecurityLevel(recorded.p1)) return skip("it asks for a level that does not exist");
    const mode: Scp03Mode = initialize.data.length === 16 ? "S16" : "S8";
    await this.#session.authenticate({
      chip: this.#chip,
      domain: "",
      keyVersion: initialize.p1,
      keys,
      level: recorded.p1,
      mode,
      ...(wireCla === undefined ? {} : { wireCla }),
    });
    this.#open = true;
    return this.#session.dryRun
      ? { outcome: "planned" }
      : { outcome: "equal", why: "opened with the given keys" };
  }

  async #secure(plain: CommandApdu, row: RecordedRow): Promise<Outcome> {
    if (!this.#open) {
      return skip(this.#wish.keys === undefined ? "a channel needs --keys" : "its channel is not open");
    }
    const answer = await this.#session.send(row.step, plain, { changes: true });
    if (this.#session.dryRun) return { outcome: "planned" };
    const recorded = decodeResponse(fromHex(isHidden(row.received) ? row.received.slice(-4) : row.received));
    if (row.plainReceived === undefined || isHidden(row.plainReceived)) {
      return this.#compared(plain, { sw: recorded.sw, data: new Uint8Array(0) }, {
        sw: answer.sw,
        data: new Uint8Array(0),
      });
    }
    return this.#compared(plain, { sw: recorded.sw, data: fromHex(row.plainReceived) }, answer);
  }

  #compared(command: CommandApdu, expected: ResponseApdu, actual: ResponseApdu): Outcome {
    const why = compare(command, expected, actual);
    const shown = (answer: ResponseApdu) => `${toHex(answer.data)} ${formatStatus(answer.sw)}`.trim();
    return why === null
      ? { outcome: "equal" }
      : { outcome: "differs", why, expected: shown(expected), actual: shown(actual) };
  }
}

function skip(why: string): Pick<ReplayedRow, "outcome" | "why"> {
  return { outcome: "skipped", why };
}

/** Replays a recording; a difference is a result, not a failure. @throws {CodedError} `CARDTOOL_GUARD`, `SCP03_*`, `CARD_*`. */
export function replayRecording(session: ToolSession, wish: ReplayWish): Promise<ReplayReport> {
  return new Replay(session, wish).run();
}

/** Turns a replay with differences into a failure, for exit codes. @throws {CodedError} `CARDTOOL_REPLAY_DIFFERS`. */
export function requireEqual(report: ReplayReport): void {
  if (report.differing === 0) return;
  throw new CodedError(
    "CARDTOOL_REPLAY_DIFFERS",
    `Cannot confirm the recording: ${report.differing} of ${report.equal + report.differing} rows differ`,
    { differing: report.differing },
  );
}
