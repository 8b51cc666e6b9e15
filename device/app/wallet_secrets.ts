/**
 * A script in front of a wallet: secrets come from a file descriptor, yeses from `--confirm`.
 *
 * The descriptor is read to its end (16 KiB at most), once. Either JSON objects, one a line, whose names are those of
 * `SECRET_NAMES`: {"walletPin":"1357","cardPin":"24680"}. Or plain values, one a line, in the order in which they are asked;
 * every run asks walletPin (newWalletPin when the wallet is new), then words or newCardPin or cardPin; manage --change-pin asks
 * newCardPin before cardPin. A new PIN is given once.
 */

import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { type Confirmation, type Person, SECRET_NAMES, type SecretName } from "../wallet/person.ts";
import { noticeWords } from "./wallet_words.ts";

/** Longest content of the descriptor, in bytes. */
export const SECRETS_MAX_BYTES = 16 * 1024;

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const OPEN_BRACE = 0x7b;

/** Secrets by name, or in their order. */
export type GivenSecrets =
  | { readonly kind: "named"; readonly values: ReadonlyMap<string, Secret> }
  | { readonly kind: "ordered"; readonly values: Secret[] };

/** Reads a descriptor's content; `content` is wiped. @throws {CodedError} `WALLET_SECRET_MISSING`; nothing of it is repeated. */
export function parseSecrets(content: Uint8Array): GivenSecrets {
  try {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let i = 0; i <= content.length; i++) {
      if (i < content.length && content[i] !== NEWLINE) continue;
      const end = content[i - 1] === CARRIAGE_RETURN && i > start ? i - 1 : i;
      if (end > start) lines.push(content.subarray(start, end));
      start = i + 1;
    }
    if (lines[0]?.[0] !== OPEN_BRACE) {
      return { kind: "ordered", values: lines.map((line) => new Secret(line.slice())) };
    }
    const values = new Map<string, Secret>();
    for (const line of lines) {
      for (const [name, value] of Object.entries(readObject(line))) {
        if (!SECRET_NAMES.some((known) => known === name) || typeof value !== "string") throw unreadable();
        values.set(name, new Secret(toUtf8(value)));
      }
    }
    return { kind: "named", values };
  } finally {
    content.fill(0);
  }
}

function readObject(line: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(line));
  } catch {
    // The parser's message can quote the text.
    throw unreadable();
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unreadable();
  return value as Record<string, unknown>;
}

function unreadable(): CodedError {
  return new CodedError(
    "WALLET_SECRET_MISSING",
    `Cannot read secrets: give JSON objects with ${SECRET_NAMES.join(", ")} as text, or one value a line`,
  );
}

/** Reads a stream to its end. @throws {CodedError} `WALLET_SECRET_MISSING`. */
export async function readSecrets(
  read: (buffer: Uint8Array) => Promise<number | null>,
): Promise<GivenSecrets> {
  const buffer = new Uint8Array(SECRETS_MAX_BYTES + 1);
  let length = 0;
  for (;;) {
    const count = await read(buffer.subarray(length));
    if (count === null) break;
    length += count;
    if (length > SECRETS_MAX_BYTES) {
      buffer.fill(0);
      throw new CodedError("WALLET_SECRET_MISSING", "Cannot read secrets: they are too long");
    }
  }
  return parseSecrets(buffer.subarray(0, length));
}

/** Makes the person. @param given undefined: no secrets were given, and nobody is at a terminal. */
export function scriptPerson(
  given: GivenSecrets | undefined,
  write: (text: string) => void,
  confirmed: ReadonlySet<Confirmation>,
): Person {
  return {
    canRetry: false,
    tell: (notice) => write(`${noticeWords(notice)}\n`),
    secret: (name) => Promise.resolve().then(() => take(given, name)),
    confirm: (what) =>
      confirmed.has(what) ? Promise.resolve(true) : Promise.reject(
        new CodedError("WALLET_CONFIRM", `Cannot go on without a yes: give --confirm ${what}`, {
          confirm: what,
        }),
      ),
    choose: (_question, options) =>
      Promise.reject(
        new CodedError("WALLET_CONFIRM", `Cannot go on without a choice: ${options.join(", ")}`),
      ),
    text: (question) => Promise.reject(new CodedError("WALLET_CONFIRM", `Cannot go on without: ${question}`)),
  };
}

function take(given: GivenSecrets | undefined, name: SecretName): Secret {
  const missing = (why: string) =>
    new CodedError("WALLET_SECRET_MISSING", `Cannot go on without ${name}: ${why}`, { secret: name });
  if (given === undefined) throw missing("nobody is at a terminal, and --secrets-fd was not given");
  const value = given.kind === "named" ? given.values.get(name) : given.values.shift();
  if (value === undefined) throw missing("the secrets that were given do not hold it");
  // A copy: the caller wipes what it gets, and a name may be asked twice.
  return new Secret(value.reveal().slice());
}

/** Wipes what was not used. */
export function wipeSecrets(given: GivenSecrets | undefined): void {
  for (const secret of given?.values.values() ?? []) secret.wipe();
}
