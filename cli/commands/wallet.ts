/** `rk wallet`: is this card genuine, and what a hardware wallet does with a card. */

import type { Command } from "commander";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { libraryCandidates } from "shared/transport/pcsc/library.ts";
import { HOME } from "../home.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { DEFAULT_SPINE, STANDARD_FOLDER } from "../spine/layout.ts";
import { STANDARD_PCSC_LIBRARY, STANDARD_VIRTUAL_READERS } from "./station.ts";
import { registerWalletRecover } from "./wallet_recover.ts";
import { registerWalletUpdate } from "./wallet_update.ts";

interface GenuineCheckOptions extends CommonOptions {
  reader: string;
  trust?: string;
  virtualReaders?: string;
  revocations?: string;
}

interface KeeperOptions extends CommonOptions {
  reader?: string;
  trust?: string;
  virtualReaders?: string;
  state?: string;
  secretsFd?: string;
  confirm?: string[];
  wait?: string;
  words?: string;
  import?: boolean;
  name?: string;
  changePin?: boolean;
  wipe?: boolean;
  compare?: boolean;
  listen?: string;
  tokenFile?: string;
  apduPort?: string;
  maker?: string;
  empty?: boolean;
  entropyFd?: string;
  ask?: boolean;
}

/** Standard folder of a wallet, as deno.json's permission sets write it. */
const STANDARD_WALLET = ".rk/wallet";
/** Standard address of a served wallet, as deno.json's permission sets write it. */
const STANDARD_LISTEN = "127.0.0.1:8481";
/** Standard file and host of the list of revoked certificates, as deno.json's permission sets write them. */
const STANDARD_REVOCATION_LIST = ".rk/revocations.jws";
const STANDARD_REVOCATION_HOST = "revocations.invalid:443";
/** Where a wallet remembers the newest list that it used. */
const REVOCATION_MEMORY = `${HOME}/wallet/revocations`;
const DEFAULT_STATE = `${HOME}/wallet/wallet.json`;
/** Standard address of a device that host scripts drive, as deno.json's permission sets write it. */
const STANDARD_APDU = "127.0.0.1:8491";
const DEFAULT_DEVICE = `${HOME}/wallet/device.json`;

const SECRETS_HELP = `
Secrets are typed without echo at a terminal, or read to the end from descriptor N (0 to 9) with --secrets-fd N: JSON objects,
one a line, with the names walletPin, newWalletPin, cardPin, newCardPin, words; or plain values, one a line, as they are asked:
the wallet's PIN first (newWalletPin when the wallet is new), then newCardPin for backup and manage --change-pin, then cardPin.
    rk wallet restore --reader R --secrets-fd 3 3<secrets.json
Yeses for scripts: --confirm last-try (a wrong PIN would erase the card), wipe, other-seed, erase-wallet.
The state file is sealed under the wallet's PIN; the third wrong PIN erases it. It is for tests and other programs: who copies
the file can try PINs off line.`;

/** Registers the commands. */
export function registerWallet(program: Command): void {
  const wallet = program.command("wallet").description("what a hardware wallet does with a card")
    .addHelpText("after", SECRETS_HELP);
  withReader(wallet.command("genuine-check"))
    .description("prove that a card is genuine, by a full mutual authentication; nothing on the card changes")
    .option("--revocations <file|url>", "also look it up in the signed list of revoked certificates")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: GenuineCheckOptions) => {
      if (options.revocations) await Deno.mkdir(REVOCATION_MEMORY, { recursive: true, mode: 0o700 });
      const trust = options.trust ? absolute(options.trust) : `${DEFAULT_SPINE}/station/wallet-trust.json`;
      return await runForeground(genuineCheckSpec({ ...options, trust }));
    }));
  keeper(wallet, "setup", "make a wallet: its own PIN, and a new seed, typed words, or none yet")
    .option("--words <n>", "draw a new seed of 12, 18 or 24 words")
    .option("--import", "take words that are typed")
    .action(keep("setup"));
  keeper(wallet, "status", "what the wallet is, after its PIN").action(keep("status"));
  keeper(wallet, "words", "show the seed's words on this terminal").action(keep("words"));
  keeper(wallet, "erase", "erase the wallet").action(keep("erase"));
  withReader(keeper(wallet, "identify", "which card is this: name, serial, state, PIN tries left"))
    .option("--compare", "also whether it holds this wallet's seed; asks the card's PIN")
    .action(keep("identify"));
  withReader(keeper(wallet, "backup", "the wallet's seed to an empty card, read back and compared"))
    .option("--name <text>", "name for the card")
    .action(keep("backup"));
  withReader(keeper(wallet, "restore", "the seed of a card into an empty wallet")).action(keep("restore"));
  withReader(keeper(wallet, "manage", "change a card's PIN or name, or erase it"))
    .option("--change-pin", "give the card a new PIN")
    .option("--name <text>", "give the card a name; an empty one erases it")
    .option("--wipe", "erase seed, PIN and name")
    .action(keep("manage"));
  keeper(
    wallet,
    "serve",
    "keep the wallet for other programs: JSON lines (device/app/wallet_serve.ts), or APDUs with --apdu-port",
  )
    .option("--reader <name>", "reader for cards, by name or a part of it")
    .option("--trust <file>", "what the wallet trusts; the file that the local station wrote otherwise")
    .option("--virtual-readers <host:port,...>", "virtual readers instead of PC/SC")
    .option("--listen <address>", "unix:PATH in the state file's folder, or HOST:PORT on loopback")
    .option(
      "--token-file <file>",
      "with HOST:PORT: token that programs begin with; made when it is not there",
    )
    .option(
      "--apdu-port <port>",
      "a virtual device that Recover host scripts drive: APDUs over TCP on 127.0.0.1; --state is its own file, made when it is not there",
    )
    .option("--words <n>", "with --apdu-port: seed of a new device, 12, 18 or 24 words")
    .option("--empty", "with --apdu-port: a new device has no seed, to restore one")
    .option("--entropy-fd <n>", "with --apdu-port: entropy of a new device as hex from this descriptor")
    .option(
      "--maker <file>",
      "with --apdu-port: issuer and entropy key of a maker's devices; maker.json beside --state otherwise",
    )
    .option(
      "--ask",
      "with --apdu-port: ask at the terminal what the device would ask; yes to everything otherwise",
    )
    .action(
      action((options: KeeperOptions) =>
        options.apduPort === undefined ? keep("serve")(options) : serveApdus(options)
      ),
    );
  registerWalletRecover(wallet);
  registerWalletUpdate(wallet);
}

/** `rk wallet serve --apdu-port`. */
async function serveApdus(options: KeeperOptions): Promise<number> {
  const port = Number(options.apduPort);
  if (!/^\d{1,5}$/.test(options.apduPort ?? "") || port > 65535) {
    throw new CodedError("WALLET_APDU_PORT", "Cannot serve device: --apdu-port takes a port number");
  }
  if (options.entropyFd !== undefined && !/^\d$/.test(options.entropyFd)) {
    throw new CodedError(
      "WALLET_SECRETS_FD",
      "Cannot read entropy: --entropy-fd takes a descriptor from 0 to 9",
    );
  }
  const spec = apduSpec(options, port);
  await Deno.mkdir(folderOf(options.state ? absolute(options.state) : DEFAULT_DEVICE), {
    recursive: true,
    mode: 0o700,
  });
  return await runForeground(
    spec,
    options.entropyFd === undefined ? {} : { stdinFrom: Number(options.entropyFd) },
  );
}

/** The process of `rk wallet serve --apdu-port`. */
export function apduSpec(options: KeeperOptions, port: number): Omit<ChildSpec, "logFile"> {
  const state = options.state ? absolute(options.state) : DEFAULT_DEVICE;
  const maker = options.maker ? absolute(options.maker) : `${folderOf(state)}/maker.json`;
  const listen = `127.0.0.1:${port}`;
  return {
    name: "device",
    module: "device/app/recover_device_main.ts",
    permissions: "wallet-apdu",
    substitution: {
      [STANDARD_WALLET]: [...new Set([folderOf(state), folderOf(maker)])],
      [STANDARD_APDU]: listen,
    },
    args: [
      ...flag("--state", state),
      ...flag("--maker", maker),
      ...flag("--listen", listen),
      ...flag("--words", options.words),
      ...(options.empty ? ["--empty"] : []),
      ...(options.entropyFd === undefined ? [] : ["--entropy-stdin"]),
      ...(options.ask ? ["--ask"] : []),
      ...(options.json ? ["--json"] : []),
    ],
  };
}

function withReader(command: Command): Command {
  return command
    .requiredOption("--reader <name>", "reader, by name or a part of it")
    .option("--trust <file>", "what the wallet trusts; the file that the local station wrote otherwise")
    .option("--virtual-readers <host:port,...>", "virtual readers instead of PC/SC");
}

function keeper(wallet: Command, name: string, description: string): Command {
  const command = wallet.command(name).description(description)
    .option("--state <file>", "the wallet's own file; .rk/wallet/wallet.json otherwise")
    .option("--json", "the last line is one JSON object");
  if (name === "serve") return command.option("--wait <seconds>", "longest wait for a card", "60");
  return command
    .option("--secrets-fd <n>", "read secrets from this descriptor instead of the terminal")
    .option("--confirm <word...>", "say yes beforehand: last-try, wipe, other-seed, erase-wallet")
    .option("--wait <seconds>", "longest wait for a card", "60");
}

function keep(command: string) {
  return action(async (options: KeeperOptions) => {
    const { secretsFd } = options;
    if (secretsFd !== undefined && !/^\d$/.test(secretsFd)) {
      throw new CodedError(
        "WALLET_SECRETS_FD",
        "Cannot read secrets: --secrets-fd takes a descriptor from 0 to 9",
      );
    }
    const spec = walletSpec(command, options);
    await Deno.mkdir(folderOf(options.state ? absolute(options.state) : DEFAULT_STATE), {
      recursive: true,
      mode: 0o700,
    });
    return await runForeground(spec, secretsFd === undefined ? {} : { stdinFrom: Number(secretsFd) });
  });
}

const folderOf = (path: string) => path.replace(/\/[^/]*$/, "") || "/";

const isAddress = (source: string) => /^https?:\/\//.test(source);

/** What the process may reach of a list: its file, or its host. */
function revocationSubstitution(source: string | undefined): Record<string, string[]> {
  if (source === undefined) return {};
  const url = isAddress(source) && URL.canParse(source) ? new URL(source) : undefined;
  const port = url?.port || (url?.protocol === "http:" ? "80" : "443");
  return {
    [STANDARD_REVOCATION_LIST]: url === undefined ? [absolute(source)] : [],
    [STANDARD_REVOCATION_HOST]: url === undefined ? [] : [`${url.hostname}:${port}`],
  };
}

/** The process of `rk wallet genuine-check`. */
export function genuineCheckSpec(
  options: GenuineCheckOptions & { trust: string },
): Omit<ChildSpec, "logFile"> {
  return {
    name: "wallet",
    module: "device/app/wallet_main.ts",
    permissions: `wallet${options.revocations ? "-revocations" : ""}${
      options.virtualReaders ? "-virtual" : ""
    }`,
    substitution: { ...readerSubstitution(options), ...revocationSubstitution(options.revocations) },
    args: [
      "genuine-check",
      ...flag("--reader", options.reader),
      ...flag("--trust", options.trust),
      ...flag("--virtual-readers", options.virtualReaders),
      ...(options.revocations === undefined ? [] : [
        ...flag(
          "--revocations",
          isAddress(options.revocations) ? options.revocations : absolute(options.revocations),
        ),
        ...flag("--revocations-memory", REVOCATION_MEMORY),
      ]),
      ...(options.json ? ["--json"] : []),
    ],
    ...pcscEnvironment(),
  };
}

/** The process of the other commands. */
export function walletSpec(command: string, options: KeeperOptions): Omit<ChildSpec, "logFile"> {
  const state = options.state ? absolute(options.state) : DEFAULT_STATE;
  const trust = options.trust ? absolute(options.trust) : `${DEFAULT_SPINE}/station/wallet-trust.json`;
  const serves = command === "serve";
  const listen = options.listen ?? `unix:${folderOf(state)}/wallet.sock`;
  const path = listen.startsWith("unix:") ? absolute(listen.slice("unix:".length)) : undefined;
  return {
    name: "wallet",
    module: "device/app/wallet_main.ts",
    permissions: serves ? "wallet-serve" : options.virtualReaders ? "wallet-keeper-virtual" : "wallet-keeper",
    substitution: {
      ...readerSubstitution({ ...options, trust }),
      ...(serves && options.virtualReaders ? { [STANDARD_PCSC_LIBRARY]: [] } : {}),
      [STANDARD_WALLET]: [
        folderOf(state),
        ...(path === undefined ? [] : [path]),
        ...(options.tokenFile ? [absolute(options.tokenFile)] : []),
      ],
      [STANDARD_LISTEN]: path === undefined ? listen : `unix:${path}`,
    },
    args: [
      command,
      ...flag("--state", state),
      ...flag("--reader", options.reader),
      ...(options.reader === undefined ? [] : flag("--trust", trust)),
      ...flag("--virtual-readers", options.virtualReaders),
      ...flag("--wait", options.wait),
      ...(options.json ? ["--json"] : []),
      ...(options.secretsFd === undefined ? [] : ["--secrets-stdin"]),
      ...(options.confirm ?? []).flatMap((word) => flag("--confirm", word)),
      ...flag("--words", options.words),
      ...(options.import ? ["--import"] : []),
      ...flag("--name", options.name),
      ...(options.changePin ? ["--change-pin"] : []),
      ...(options.wipe ? ["--wipe"] : []),
      ...(options.compare ? ["--compare"] : []),
      ...(serves ? flag("--listen", path === undefined ? listen : `unix:${path}`) : []),
      ...(options.tokenFile ? flag("--token-file", absolute(options.tokenFile)) : []),
    ],
    ...pcscEnvironment(),
  };
}

/** One option in one argument, so that a value that begins with a dash stays a value. */
function flag(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${name}=${value}`];
}

function readerSubstitution(
  options: { trust: string; virtualReaders?: string },
): Record<string, string | string[]> {
  return {
    [STANDARD_VIRTUAL_READERS]: options.virtualReaders?.split(",") ?? [],
    [STANDARD_PCSC_LIBRARY]: libraryCandidates(),
    [`${STANDARD_FOLDER}/station/wallet-trust.json`]: [options.trust, ...hostKeyFile(options.trust)],
  };
}

/** The file beside a trust file that holds the wallet's private key, if it names one: the process may read that too. */
function hostKeyFile(trust: string): string[] {
  try {
    const { hostKeyFile } = JSON.parse(Deno.readTextFileSync(trust)) as { hostKeyFile?: unknown };
    if (typeof hostKeyFile !== "string") return [];
    return [hostKeyFile.startsWith("/") ? hostKeyFile : `${folderOf(trust)}/${hostKeyFile}`];
  } catch {
    return []; // The process says what is wrong with the file.
  }
}

function pcscEnvironment(): Pick<ChildSpec, "env"> {
  const socket = Deno.env.get("PCSCLITE_CSOCK_NAME");
  return socket ? { env: { PCSCLITE_CSOCK_NAME: socket } } : {};
}

defineErrors({
  WALLET_APDU_PORT: {
    fault: "usage",
    retry: false,
    next: "Give a port from 0 to 65535; 0 takes a free one and tells it.",
  },
  WALLET_SECRETS_FD: {
    fault: "usage",
    retry: false,
    next: "Open one of the descriptors 0 to 9 for it, for example: --secrets-fd 3 3<secrets.json",
  },
});
