/** Dispatch of the Recovery Key applet: class, session, state, then the command. Card page, sections 2 to 4. */

import { concat } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { CardContext } from "../context.ts";
import type { InstanceState, RecoveryKeyState } from "../state.ts";
import { getCardCertificate, validateHostCertificate } from "./authentication.ts";
import { AppletCall } from "./call.ts";
import { getPublicKey, getStatus, setCertificate, setStatus } from "./factory.ts";
import { factoryReset, getData, setData } from "./manage.ts";
import { changePin, requestUpgrade, setPin, verifyPin } from "./pin.ts";
import { restoreSeed, setSeed, verifySeed } from "./seed.ts";

/** Class of the applet's own commands. */
const CLA_APPLET = 0x08;
const CLA_GP = 0x80;
const CLA_SECURE = 0x84;
const INS_INITIALIZE_UPDATE = 0x50;
const INS_EXTERNAL_AUTHENTICATE = 0x82;
const INS_GET_STATUS = 0xf2;
/** Level at which the applet takes its commands: C-MAC, C-ENC, R-MAC, R-ENC. */
const LEVEL_REQUIRED = 0x33;
const LEVEL_RMAC = 0x10;
/** Le byte 00, which the simulator does not tell from an absent field. */
const LE_ANY = 256;
/** QUIRK(recovery-key): without R-MAC the applet writes a status word of its own after GET STATUS data (a, step 12). */
const LITERAL_9000 = Uint8Array.of(0x90, 0x00);

/** `life cycle / transient`, as in the card page's table. */
type StateName = `${number}/${number}`;
type Handler = (call: AppletCall, command: CommandApdu) => ResponseApdu;

/** Commands with the states in which they are taken; anywhere else `6985`. */
const COMMANDS: ReadonlyMap<number, { readonly states: readonly StateName[]; readonly run: Handler }> =
  new Map<
    number,
    { readonly states: readonly StateName[]; readonly run: Handler }
  >([
    [0x40, { states: ["0/0"], run: getPublicKey }],
    [0x41, { states: ["0/0"], run: setCertificate }],
    [0xf0, { states: ["1/0"], run: setStatus }],
    [0x52, { states: ["2/1", "3/2"], run: getCardCertificate }],
    [0x51, { states: ["2/1", "3/2"], run: validateHostCertificate }],
    [0xd0, { states: ["2/3"], run: setPin }],
    [0xe0, { states: ["2/3"], run: setSeed }],
    [0x20, { states: ["3/3"], run: verifyPin }],
    [0x24, { states: ["3/4"], run: changePin }],
    [0x14, { states: ["3/4"], run: restoreSeed }],
    [0x2a, { states: ["3/4"], run: verifySeed }],
    // In 3/2 the state passes and the missing inner channel is 6F00 (matrix, PERSO/PIN_LOCKED).
    [0xca, { states: ["3/2", "3/3", "3/4"], run: getData }],
    [0xda, { states: ["3/4"], run: setData }],
    [0xe4, { states: ["3/4"], run: factoryReset }],
    [0xe5, { states: ["3/3", "3/4"], run: requestUpgrade }],
  ]);

/** INS bytes and states of every command, for tests that walk state x command. */
export const RECOVERY_KEY_COMMAND_STATES: ReadonlyMap<number, readonly string[]> = new Map(
  [...COMMANDS].map(([ins, { states }]) => [ins, states]),
);

/** Executes a command for the selected applet. */
export function recoveryKeyCommand(
  context: CardContext,
  instance: InstanceState,
  memory: RecoveryKeyState,
  command: CommandApdu,
): ResponseApdu {
  const { channel } = context.volatile;
  const { cla, ins } = command;
  if (cla === CLA_GP || cla === CLA_SECURE) {
    if (ins === INS_INITIALIZE_UPDATE) {
      if (cla !== CLA_GP) return response(SW.CLA_NOT_SUPPORTED);
      return channel.initializeUpdate(context, { kind: "instance", instance }, command, CLA_SECURE);
    }
    if (ins === INS_EXTERNAL_AUTHENTICATE) {
      const outcome = channel.externalAuthenticate(context, command);
      if (outcome === "authenticated") return response(SW.OK);
      return response(
        outcome === "not-initialized" ? SW.CONDITIONS_NOT_SATISFIED : SW.APPLET_AUTHENTICATION_FAILED,
      );
    }
    return response(SW.INS_NOT_SUPPORTED);
  }
  if (cla !== CLA_APPLET) return response(SW.CLA_NOT_SUPPORTED);
  // The simulator reads the fifth byte as Lc (d_errors, "Le=20 (case 2, P3 not 0)").
  if (command.data.length === 0 && (command.le ?? LE_ANY) !== LE_ANY) return response(SW.WRONG_LENGTH);

  const call = new AppletCall(context, instance, memory);
  if (ins === INS_GET_STATUS) return statusInAnySession(call, command);
  if (channel.phase === "none") return response(SW.UNKNOWN);
  if (channel.level !== LEVEL_REQUIRED) return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  // QUIRK(recovery-key): a bare 4-byte header is executed without MAC (d_errors, "no-data command without C-MAC").
  const plain = command.data.length === 0 ? command : channel.unwrap(command);
  if ("sw" in plain) return response(plain.sw);
  const known = COMMANDS.get(ins);
  if (known === undefined) return response(SW.INS_NOT_SUPPORTED);
  const state: StateName = `${memory.lifeCycle}/${call.volatile.transient}`;
  if (!known.states.includes(state)) return response(SW.CONDITIONS_NOT_SATISFIED);
  return channel.wrap(known.run(call, plain));
}

/** GET STATUS works without a session, and says so by how it answers. */
function statusInAnySession(call: AppletCall, command: CommandApdu): ResponseApdu {
  const { channel } = call.context.volatile;
  let plain = command;
  if (command.data.length > 0 && channel.phase !== "initialized") {
    const unwrapped = channel.unwrap(command);
    if ("sw" in unwrapped) return response(unwrapped.sw);
    plain = unwrapped;
  }
  const answer = getStatus(call, plain);
  if ((channel.level & LEVEL_RMAC) !== 0) return channel.wrap(answer);
  return answer.sw === SW.OK ? response(SW.OK, concat(answer.data, LITERAL_9000)) : answer;
}
