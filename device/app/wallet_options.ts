/** The command line of the wallet's process. */

import { parseArgs } from "node:util";
import { CodedError } from "shared/base/errors.ts";
import { encodeCardName } from "../wallet/card_name.ts";
import type { ManageAction } from "../wallet/flow_context.ts";
import { WORD_COUNTS, type WordCount } from "../wallet/mnemonic.ts";
import { type Confirmation, CONFIRMATIONS } from "../wallet/person.ts";
import "./wallet_errors.ts";

/** Commands of the process. */
export const WALLET_COMMANDS = [
  "genuine-check",
  "setup",
  "status",
  "words",
  "erase",
  "identify",
  "backup",
  "restore",
  "manage",
  "serve",
] as const;
/** One of them. */
export type WalletCommand = typeof WALLET_COMMANDS[number];

/** Commands that use a card. */
const WITH_CARD: readonly WalletCommand[] = [
  "genuine-check",
  "identify",
  "backup",
  "restore",
  "manage",
  "serve",
];

const WAIT_SECONDS = { genuineCheck: 10, flow: 60, min: 1, max: 600 } as const;

/** Options of a run. */
export interface WalletOptions {
  readonly command: WalletCommand;
  readonly json: boolean;
  readonly state: string | undefined;
  readonly reader: string | undefined;
  readonly trust: string | undefined;
  readonly virtualReaders: string | undefined;
  readonly secretsGiven: boolean;
  readonly confirmed: ReadonlySet<Confirmation>;
  readonly waitMs: number;
  readonly name: Uint8Array | undefined;
  readonly action: ManageAction | undefined;
  readonly compare: boolean;
  readonly words: WordCount | undefined;
  readonly import: boolean;
  readonly listen: string | undefined;
  readonly tokenFile: string | undefined;
  /** Of genuine-check: where the list of revoked certificates is, and the folder of the wallet's memory of it. */
  readonly revocations: { readonly from: string; readonly memory: string } | undefined;
}

function usage(why: string): CodedError {
  return new CodedError("WALLET_USAGE", `Cannot run: ${why}`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        reader: { type: "string" },
        trust: { type: "string" },
        state: { type: "string" },
        json: { type: "boolean", default: false },
        "virtual-readers": { type: "string" },
        "secrets-stdin": { type: "boolean", default: false },
        confirm: { type: "string", multiple: true, default: [] },
        wait: { type: "string" },
        name: { type: "string" },
        "change-pin": { type: "boolean", default: false },
        wipe: { type: "boolean", default: false },
        compare: { type: "boolean", default: false },
        words: { type: "string" },
        import: { type: "boolean", default: false },
        listen: { type: "string" },
        "token-file": { type: "string" },
        revocations: { type: "string" },
        "revocations-memory": { type: "string" },
      },
    });
  } catch (error) {
    throw usage((error as Error).message);
  }
}

/** Reads the command line. @throws {CodedError} `WALLET_USAGE`, `WALLET_CARD_NAME`. */
export function readWalletOptions(args: readonly string[]): WalletOptions {
  const { values, positionals } = parse(args);
  const command = WALLET_COMMANDS.find((name) => name === positionals[0]);
  if (command === undefined || positionals.length !== 1) {
    throw usage(`give one of ${WALLET_COMMANDS.join(", ")}`);
  }
  if (command === "genuine-check" && (values.reader === undefined || values.trust === undefined)) {
    throw usage("give genuine-check, --reader and --trust");
  }
  if (command !== "genuine-check" && values.state === undefined) throw usage("give --state");
  if (
    WITH_CARD.includes(command) && command !== "serve" &&
    (values.reader === undefined || values.trust === undefined)
  ) {
    throw usage("give --reader and --trust");
  }
  const actions: ManageAction[] = [
    ...(values["change-pin"] ? ["pin" as const] : []),
    ...(command === "manage" && values.name !== undefined ? ["name" as const] : []),
    ...(values.wipe ? ["wipe" as const] : []),
  ];
  if (actions.length > 1) throw usage("give one of --change-pin, --name and --wipe");
  return {
    command,
    json: values.json,
    state: values.state,
    reader: values.reader,
    trust: values.trust,
    virtualReaders: values["virtual-readers"],
    secretsGiven: values["secrets-stdin"],
    confirmed: new Set(values.confirm.map(readConfirmation)),
    waitMs: readWait(values.wait, command),
    name: values.name === undefined ? undefined : encodeCardName(values.name),
    action: actions[0],
    compare: values.compare,
    words: readWordCount(values.words),
    import: values.import,
    listen: values.listen,
    tokenFile: values["token-file"],
    revocations: readSource(values.revocations, values["revocations-memory"]),
  };
}

function readSource(from: string | undefined, memory: string | undefined): WalletOptions["revocations"] {
  if (from === undefined) return undefined;
  if (memory === undefined) throw usage("--revocations needs --revocations-memory");
  return { from, memory };
}

function readConfirmation(text: string): Confirmation {
  const known = CONFIRMATIONS.find((one) => one === text);
  if (known === undefined) throw usage(`--confirm takes ${CONFIRMATIONS.join(", ")}`);
  return known;
}

function readWait(text: string | undefined, command: WalletCommand): number {
  if (text === undefined) {
    return 1000 * (command === "genuine-check" ? WAIT_SECONDS.genuineCheck : WAIT_SECONDS.flow);
  }
  const seconds = Number(text);
  if (!/^\d{1,3}$/.test(text) || seconds < WAIT_SECONDS.min || seconds > WAIT_SECONDS.max) {
    throw usage(`--wait takes ${WAIT_SECONDS.min} to ${WAIT_SECONDS.max} seconds`);
  }
  return 1000 * seconds;
}

function readWordCount(text: string | undefined): WordCount | undefined {
  if (text === undefined) return undefined;
  const count = WORD_COUNTS.find((known) => `${known}` === text);
  if (count === undefined) throw usage(`--words takes ${WORD_COUNTS.join(", ")}`);
  return count;
}
