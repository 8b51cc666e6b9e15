/** Command line of the release process, and what its options mean. */

import { parseArgs } from "node:util";
import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import { fromHex } from "shared/base/bytes.ts";
import { formatVerifierKey, SIGNATURE_TYPE_ED25519, verifierKey } from "shared/log/vkey.ts";
import type { LogTrust } from "shared/log/trust.ts";
import type { KeyJson } from "../domain/release/documents.ts";
import "../domain/release/errors.ts";

const one = { type: "string" } as const;
const several = { type: "string", multiple: true } as const;
const yes = { type: "boolean" } as const;

const OPTIONS = {
  folder: one,
  product: several,
  holder: several,
  threshold: one,
  online: one,
  "halt-key": one,
  "log-key": one,
  "online-key": one,
  origin: one,
  version: one,
  replaces: several,
  counter: one,
  chip: several,
  "source-url": one,
  "source-commit": one,
  "source-hash": one,
  "build-hash": one,
  notes: one,
  signed: one,
  key: one,
  role: one,
  reason: one,
  repository: one,
  root: one,
  ca: one,
  "client-cert": one,
  "client-key": one,
  make: yes,
  "fresh-only": yes,
  curve: one,
  out: one,
  library: one,
  "token-label": one,
  "pin-file": one,
  file: one,
  "passphrase-file": one,
  json: yes,
} as const;

/** Parsed options. */
export type ReleaseValues = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];
/** Options that take one value. */
type Single = Exclude<
  keyof typeof OPTIONS,
  "product" | "holder" | "replaces" | "chip" | "make" | "fresh-only" | "json"
>;

/** Takes a command line apart. @throws {CodedError} `RELEASE_USAGE`. */
export function parseReleaseOptions(
  args: readonly string[],
): { values: ReleaseValues; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new CodedError(
      "RELEASE_USAGE",
      `Cannot run: ${error instanceof Error ? error.message : "wrong options"}`,
    );
  }
}

/** A value that must be given. @throws {CodedError} `RELEASE_USAGE`. */
export function required(values: ReleaseValues, name: Single): string {
  const value = values[name];
  if (value === undefined) throw new CodedError("RELEASE_USAGE", `Cannot run: --${name} is missing`);
  return value;
}

/** A whole number. @throws {CodedError} `RELEASE_USAGE`. */
export function wholeNumber(text: string, name: string): number {
  if (!/^\d{1,10}$/.test(text)) {
    throw new CodedError("RELEASE_USAGE", `Cannot use --${name}: it is no whole number`);
  }
  return Number(text);
}

const KeyFile = z.strictObject({
  keytype: z.string(),
  scheme: z.enum(["ed25519", "ecdsa-sha2-nistp256"]),
  keyval: z.strictObject({ public: z.string().min(1).max(1024) }),
});

/** Reads the file of a public key, as `rk release key` writes it. @throws {CodedError} `RELEASE_USAGE`. */
export async function readKeyFile(path: string): Promise<KeyJson> {
  try {
    return KeyFile.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch {
    throw new CodedError("RELEASE_USAGE", `Cannot use ${path}: it is not what \`rk release key\` wrote`);
  }
}

/** Trust in a log whose key is in a file. @throws {CodedError} `RELEASE_USAGE` for other keys than Ed25519. */
export function logTrust(key: KeyJson, origin: string): LogTrust {
  if (key.scheme !== "ed25519") {
    throw new CodedError("RELEASE_USAGE", "Cannot use the log's key: checkpoints are signed with Ed25519");
  }
  const vkey = formatVerifierKey(verifierKey(origin, SIGNATURE_TYPE_ED25519, fromHex(key.keyval.public)));
  return { origin, log: [vkey], witnesses: [], quorum: 0 };
}

/** `CHIP/OS` as the release has it. @throws {CodedError} `RELEASE_USAGE`. */
export function chipOf(text: string): { chip: string; os: string } {
  const [chip, os, ...more] = text.split("/");
  if (!chip || !os || more.length > 0) {
    throw new CodedError("RELEASE_USAGE", `Cannot use --chip ${text}: give CHIP/OS, as P71D600/JCOP 4.5`);
  }
  return { chip, os };
}
