/** Commands as a person writes them. */

import { CodedError } from "shared/base/errors.ts";
import { fromHex } from "shared/base/bytes.ts";
import { type CommandApdu, decodeCommand } from "shared/protocol/apdu/command.ts";
import type { ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { INS_EXTERNAL_AUTHENTICATE } from "shared/protocol/scp03/constants.ts";
import { checkGuard, UNFINISHED } from "../../domain/card_tool/guard.ts";
import { commandName } from "../../domain/card_tool/names.ts";
import { sensitivityOf } from "../../domain/card_tool/sensitive.ts";
import type { FailureRecords } from "../../transport/card_tool/port.ts";
import { identify } from "./look.ts";
import { requireOk, type ToolSession } from "./session.ts";

/** Most commands in one run. */
export const COMMANDS_MAX = 10_000;

/** One command and its answer. */
export interface SentCommand {
  readonly command: CommandApdu;
  readonly answer: ResponseApdu;
}

/**
 * Reads commands, one a line; empty lines and lines that begin with `#` are skipped.
 * @param fromArguments they came from the command line, where secrets are seen by other users.
 * @throws {CodedError} `CARDTOOL_SECRET_ARGUMENT`, `APDU_MALFORMED`, `BYTES_NOT_HEX`, `CARDTOOL_USAGE`.
 */
export function parseCommands(lines: readonly string[], fromArguments: boolean): CommandApdu[] {
  const commands = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => decodeCommand(fromHex(line.replaceAll(":", ""))));
  if (commands.length === 0) throw new CodedError("CARDTOOL_USAGE", "Cannot send: there is no command");
  if (commands.length > COMMANDS_MAX) {
    throw new CodedError("CARDTOOL_USAGE", `Cannot send: more than ${COMMANDS_MAX} commands`);
  }
  const secret = fromArguments ? commands.find((one) => sensitivityOf(one).command !== undefined) : undefined;
  if (secret !== undefined) {
    throw new CodedError(
      "CARDTOOL_SECRET_ARGUMENT",
      `Cannot take ${commandName(secret.ins)} from the command line: it holds ${
        sensitivityOf(secret).command
      }`,
    );
  }
  return commands;
}

function isAuthentication(command: CommandApdu): boolean {
  return command.ins === INS_EXTERNAL_AUTHENTICATE && (command.cla & 0x80) !== 0;
}

/**
 * Sends commands as they are, or through the open channel. An error status word is an answer, not a failure.
 * EXTERNAL AUTHENTICATE by hand goes past the tool's own channel and not past its guard.
 * @throws {CodedError} `CARDTOOL_GUARD`, `CARDTOOL_REFUSED` for the selection.
 */
export async function sendCommands(
  session: ToolSession,
  commands: readonly CommandApdu[],
  options: {
    readonly select?: Uint8Array;
    readonly secure: boolean;
    readonly records: FailureRecords;
    readonly retryAuthentication: boolean;
    readonly now: () => number;
  },
): Promise<SentCommand[]> {
  // Asked first: a GET DATA in the middle of a handshake would end it.
  const chip = !options.secure && commands.some(isAuthentication) ? await identify(session) : "";
  if (options.select !== undefined) {
    requireOk("select", await session.read("select", selectCommand(options.select)));
  }
  const sent: SentCommand[] = [];
  for (const [i, command] of commands.entries()) {
    const step = `command ${i + 1}, ${commandName(command.ins)}`;
    if (options.secure) {
      sent.push({ command, answer: await session.send(step, command, { changes: true }) });
      continue;
    }
    if (!isAuthentication(command) || session.dryRun) {
      sent.push({ command, answer: await session.sendPlain(step, command) });
      continue;
    }
    checkGuard(await options.records.read(chip), options.retryAuthentication);
    const record = (outcome: string) =>
      options.records.write({
        chip,
        time: new Date(options.now()).toISOString(),
        domain: "",
        keyVersion: 0,
        encCheckValue: "unknown",
        outcome,
      });
    await record(UNFINISHED);
    const answer = await session.sendPlain(step, command);
    if (answer.sw === SW.OK) await options.records.clear(chip);
    else await record("SCP03_AUTHENTICATION_FAILED");
    sent.push({ command, answer });
  }
  return sent;
}
