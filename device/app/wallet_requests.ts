/** Requests to the served wallet, and the program behind the socket as the wallet's person. */

import { z } from "zod";
import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { encodeCardName } from "../wallet/card_name.ts";
import { MANAGE_ACTIONS } from "../wallet/flow_context.ts";
import type { WordCount } from "../wallet/mnemonic.ts";
import type { Person } from "../wallet/person.ts";
import { unlockWallet } from "../wallet/unlock.ts";
import type { Wallet } from "../wallet/wallet.ts";
import { WALLET_RUNS } from "./wallet_commands.ts";
import type { JsonMessage, LineConnection } from "./wallet_json_lines.ts";
import type { WalletOptions } from "./wallet_options.ts";
import { failure, walletResult } from "./wallet_results.ts";

const FLOW_REQUESTS = ["identify", "backup", "restore", "manage"] as const;

const Request = z.strictObject({
  id: z.union([z.int(), z.string().max(64)]),
  do: z.enum(["status", "unlock", "lock", "setup", ...FLOW_REQUESTS]),
  words: z.union([z.literal(12), z.literal(18), z.literal(24)]).optional(),
  import: z.boolean().optional(),
  name: z.string().max(128).optional(),
  action: z.enum(MANAGE_ACTIONS).optional(),
  compare: z.boolean().optional(),
});

/** Answers one request; its failure is an answer too. */
export async function handleRequest(
  message: JsonMessage,
  lines: LineConnection,
  options: WalletOptions,
  wallet: Wallet,
): Promise<void> {
  const { id } = message;
  const parsed = Request.safeParse(message);
  const reply = (value: JsonMessage) => lines.send({ id, ...value });
  try {
    if (!parsed.success) {
      const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "request").join(", ");
      throw new CodedError("WALLET_USAGE", `Cannot read request: ${fields}`);
    }
    await reply(await answer(parsed.data, lines, options, wallet));
  } catch (error) {
    await reply({ done: false, ...failure(error) });
  }
}

async function answer(
  request: z.infer<typeof Request>,
  lines: LineConnection,
  options: WalletOptions,
  wallet: Wallet,
): Promise<JsonMessage> {
  const person = programPerson(request.id, lines);
  const command = request.do;
  if (command === "lock") wallet.lock();
  if (command === "unlock") await unlockWallet(wallet, person, { mayCreate: false });
  if (command === "lock" || command === "unlock" || command === "status") {
    return { command, done: true, wallet: walletResult(wallet) };
  }
  const needsReader = FLOW_REQUESTS.some((flow) => flow === command);
  if (needsReader && (options.reader === undefined || options.trust === undefined)) {
    throw new CodedError(
      "WALLET_USAGE",
      `Cannot ${command}: the wallet was started without --reader and --trust`,
    );
  }
  let result: JsonMessage = {};
  await WALLET_RUNS[command]!(
    {
      ...options,
      command,
      name: request.name === undefined ? undefined : encodeCardName(request.name),
      action: request.action,
      compare: request.compare ?? false,
      words: request.words as WordCount | undefined,
      import: request.import ?? false,
    },
    wallet,
    person,
    { say: () => {}, result: (value) => void (result = value), screen: undefined },
  );
  return result;
}

/** The program as a person: each question is a line, and so is its answer. */
function programPerson(id: number | string, lines: LineConnection): Person {
  const ask = async (question: JsonMessage): Promise<unknown> => {
    await lines.send({ id, ...question });
    const message = await lines.next();
    if (message === undefined || message.cancel === true) {
      throw new CodedError("WALLET_CANCELLED", "Stopped: the program did not answer");
    }
    if (message.id !== id || !("answer" in message)) {
      throw new CodedError("WALLET_USAGE", "Cannot go on: the line is no answer to the question");
    }
    return message.answer;
  };
  const text = async (question: JsonMessage): Promise<string> => {
    const value = await ask(question);
    if (typeof value === "string") return value;
    throw new CodedError("WALLET_USAGE", "Cannot go on: the answer is no text");
  };
  return {
    canRetry: true,
    tell: ({ kind, ...facts }) => void lines.send({ id, notice: kind, ...facts }),
    secret: async (name, about) => new Secret(toUtf8(await text({ ask: name, ...about }))),
    confirm: async (what, about) => await ask({ confirm: what, ...about }) === true,
    async choose(question, options) {
      const chosen = await text({ choose: options, question });
      const known = options.find((option) => option === chosen);
      if (known === undefined) {
        throw new CodedError("WALLET_USAGE", "Cannot go on: the answer is none of the choices");
      }
      return known;
    },
    text: (question) => text({ text: question }),
  };
}
