/** `rk card info | list | diagnose | keys | lock | unlock | load | install | delete | apdu | trace | replay`: any GlobalPlatform card. */

import type { Command } from "commander";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { libraryCandidates } from "shared/transport/pcsc/library.ts";
import { HOME } from "../home.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { STANDARD_PCSC_LIBRARY, STANDARD_VIRTUAL_READERS } from "./station.ts";

/** Options of a verb as commander gives them; each is handed on under its own name. */
export type CardToolOptions = Readonly<Record<string, string | boolean | undefined>>;

/** Folder of the tool's state: failed authentications, so that no second key set is tried. */
export const CARD_TOOL_STATE = `${HOME}/card-tool`;
/** Standard paths in the permission sets. */
const STANDARD = {
  state: ".rk/card-tool",
  input: ".rk/card-tool/input",
  trace: ".rk/card-tool/trace.jsonl",
} as const;

/** Options that name files which the tool reads. */
const INPUT_FILES = ["keys", "newKeys", "dap", "file"] as const;

function common(verb: Command): Command {
  return verb
    .option("--reader <name>", "reader, by name or a part of it; needed when there are several")
    .option("--virtual-readers <host:port,...>", "virtual readers instead of PC/SC, for tests")
    .option("--trace <file>", "append every command and answer as JSON lines; secrets are hidden")
    .option("--json", "the last line is one JSON object");
}

/** Options of a verb that opens a secure channel. */
function withKeys(verb: Command): Command {
  return common(verb)
    .option("--keys <file>", "the card's keys, or a master key: JSON, mode 0600; - reads standard input")
    .option("--keys-fd <n>", "the same from a file descriptor")
    .option("--test-keys", "the published test keys 40..4F")
    .option("--key-version <hex>", "key version, two hex digits; the file's, else the card's first key set")
    .option("--domain <aid>", "security domain to speak to; the issuer's otherwise")
    .option(
      "--level <hex>",
      "security level 00, 01, 03, 11, 13 or 33; the strongest that the card has otherwise",
    )
    .option("--mode <S8|S16>", "length of challenges and MACs; what the card says otherwise")
    .option(
      "--retry-authentication",
      "try keys although an authentication failed on this card: cards can lock",
    )
    .option("--dry-run", "print the commands that would go; send nothing that changes the card");
}

function loading(verb: Command): Command {
  return withKeys(verb)
    .option("--dap <file>", "signature over the load file, from `rk package sign`")
    .option(
      "--dap-domain <aid>",
      "security domain that verifies the signature, when the file does not name it",
    )
    .option("--sd <aid>", "security domain that will own the package; the one spoken to otherwise")
    .option("--replace", "delete a package that has this AID, with its applications, first");
}

const KEY_FILE_HELP = `
A key file is JSON, readable by its owner alone (chmod 600):
  {"version":"30","enc":HEX,"mac":HEX,"dek":HEX}   three AES keys of 16, 24 or 32 bytes
  {"version":"30","key":HEX}                       one key three times
  {"master":HEX,"diversification":"kdf3"}          kdf3, emv or visa2, from the card's diversification data

Begin with --dry-run. Keys are never taken from arguments.`;

/** Registers the verbs below `rk card`. */
export function registerCardTool(card: Command): void {
  card.addHelpText("after", KEY_FILE_HELP);
  const verb = (name: string, description: string) => card.command(name).description(description);
  const run = (
    words: (...given: (string | string[] | undefined)[]) => (string | undefined)[],
    files: readonly number[] = [],
  ) =>
    action(async (...parameters: unknown[]) => {
      const options = parameters.at(-2) as CardToolOptions;
      const given = words(...parameters.slice(0, -2) as (string | string[] | undefined)[])
        .filter((word): word is string => word !== undefined);
      const paths = given.map((word, i) => files.includes(i) ? absolute(word) : word);
      return await runCardTool(paths, paths.filter((_, i) => files.includes(i)), options);
    });

  withKeys(verb("info", "what the card says of itself without any key")).action(run(() => ["info"]));
  withKeys(
    verb("list", "the registry: domains, applications, packages with modules, privileges, life cycles"),
  )
    .action(run(() => ["list"]));
  withKeys(
    verb("diagnose", "in which state the card is and what that means; with keys also behind the channel"),
  )
    .action(run(() => ["diagnose"]));

  const keys = verb("keys", "key sets of a security domain");
  withKeys(
    keys.command("list", { isDefault: true }).description(
      "key versions, types and lengths; check values of --keys",
    ),
  )
    .action(run(() => ["keys", "list"]));
  withKeys(keys.command("put").description("write a key set; the card's check values are compared"))
    .requiredOption("--new-keys <file>", "the new keys, as --keys")
    .option("--new-version <hex>", "their version, 01 to 7F; the file's otherwise")
    .option("--replace-version <hex>", "version that they replace; added otherwise")
    .action(run(() => ["keys", "put"]));
  withKeys(keys.command("delete <version>").description("delete a key version"))
    .action(run((version) => ["keys", "delete", version as string]));

  for (const name of ["lock", "unlock"] as const) {
    withKeys(verb(`${name} [aid]`, `${name} an application, a security domain or the card`))
      .option("--card", `${name} the card itself`)
      .option("--applications", "of a security domain: its applications too")
      .action(run((aid) => [name, aid as string | undefined]));
  }
  loading(verb("load <cap>", "load a package; name, version and hash are shown first"))
    .action(run((cap) => ["load", cap as string], [1]));
  loading(
    verb("install [cap]", "make an instance, of a package on the card or of a CAP file that is loaded first"),
  )
    .option("--package <aid>", "package on the card")
    .option("--module <aid>", "module; the only one of the CAP file otherwise")
    .option("--aid <aid>", "AID of the instance; the module's otherwise")
    .option("--privileges <names>", "names joined by commas, or 1 or 3 bytes in hex")
    .option("--parameters <hex>", "install parameters of the applet (value of C9)")
    .action(run((cap) => ["install", cap as string | undefined], [1]));
  withKeys(verb("delete <aid>", "delete an application, a security domain or a package"))
    .option("--related", "of a package: its applications too")
    .action(run((aid) => ["delete", aid as string]));
  withKeys(verb("apdu [hex...]", "send commands as they are, or through a secure channel"))
    .option("--file <file>", "commands, one a line; - reads standard input; for commands with secrets")
    .option("--select <aid>", "select this application first")
    .option("--secure", "through a secure channel to the selected application or domain")
    .action(run((given) => ["apdu", ...(given as string[])]));
  verb("trace <file>", "print a trace or a recording, with its status words explained")
    .option("--json", "the last line is one JSON object")
    .action(run((file) => ["trace", file as string], [1]));
  withKeys(verb("replay <file>", "send the commands of a trace or recording again and compare the answers"))
    .action(run((file) => ["replay", file as string], [1]));
}

/** Runs the tool in its process. @returns the exit code. */
async function runCardTool(
  words: readonly string[],
  files: readonly string[],
  options: CardToolOptions,
): Promise<number> {
  await Deno.mkdir(CARD_TOOL_STATE, { recursive: true, mode: 0o700 });
  const { keysFd, ...rest } = options;
  if (keysFd !== undefined && rest.keys !== undefined) {
    throw new CodedError("CARD_KEYS_FD", "Cannot use --keys and --keys-fd at once");
  }
  if (keysFd === undefined) return await runForeground(cardToolSpec(words, files, rest));
  if (!/^\d$/.test(String(keysFd))) {
    throw new CodedError("CARD_KEYS_FD", "Cannot read keys: --keys-fd takes a descriptor from 0 to 9");
  }
  return await runForeground(cardToolSpec(words, files, { ...rest, keys: "-" }), {
    stdinFrom: Number(keysFd),
  });
}

/**
 * The process of `rk card VERB`.
 * @param files paths among the words that the tool reads.
 * @param state folder of failed authentications, by default that of `RK_HOME`.
 */
export function cardToolSpec(
  words: readonly string[],
  files: readonly string[],
  options: CardToolOptions,
  state: string = CARD_TOOL_STATE,
): Omit<ChildSpec, "logFile"> {
  const given: Record<string, string | boolean | undefined> = { ...options };
  for (const name of [...INPUT_FILES, "trace"]) {
    const path = given[name];
    if (typeof path === "string" && path !== "-") given[name] = absolute(path);
  }
  const inputs = INPUT_FILES.map((name) => given[name])
    .filter((path): path is string => typeof path === "string" && path !== "-");
  const virtual = given["virtualReaders"];
  const socket = Deno.env.get("PCSCLITE_CSOCK_NAME");
  return {
    name: "card-tool",
    module: "factory/app/card_tool_main.ts",
    permissions: typeof virtual === "string" ? "card-tool-virtual" : "card-tool",
    substitution: {
      [STANDARD.state]: state,
      [STANDARD.input]: [...files, ...inputs],
      [STANDARD.trace]: typeof given["trace"] === "string" ? given["trace"] : [],
      [STANDARD_VIRTUAL_READERS]: typeof virtual === "string" ? virtual.split(",") : [],
      [STANDARD_PCSC_LIBRARY]: libraryCandidates(),
    },
    args: [
      ...words,
      "--state",
      state,
      ...Object.entries(given).flatMap(([name, value]) => {
        const option = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
        return value === true ? [option] : typeof value === "string" ? [option, value] : [];
      }),
    ],
    ...(socket ? { env: { PCSCLITE_CSOCK_NAME: socket } } : {}),
  };
}

defineErrors({
  CARD_KEYS_FD: {
    fault: "usage",
    retry: false,
    next: "Open it in the shell: rk card list --keys-fd 3 3<keys.json",
  },
});
