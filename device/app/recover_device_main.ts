/**
 * A virtual device for host scripts: APDUs over TCP on loopback (device/recover/apdu_server.ts).
 *
 *     recover_device_main.ts --state FILE --maker FILE --listen HOST:PORT [--words 12|18|24 | --empty | --entropy-stdin] [--ask] [--json]
 *
 * A state file that is not there is made: with a new seed of 24 words unless told otherwise. The first line printed is one
 * JSON object with `ready`. Questions are answered yes unless --ask puts them to the terminal.
 *
 * Exit code 0: it was stopped. 2: usage. 3: a file is wrong. 6: another process holds the device. 7: disk.
 */

import { parseArgs } from "node:util";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { serveApdus } from "../recover/apdu_server.ts";
import { holdDevice } from "../recover/device_state.ts";
import type { RecoverPerson } from "../recover/ports.ts";
import { RecoverDevice } from "../recover/recover_device.ts";

const ENTROPY_BYTES: Readonly<Record<string, number>> = { "12": 16, "18": 24, "24": 32 };
const STDIN_MAX = 256;

interface Options {
  readonly state: string;
  readonly maker: string;
  readonly hostname: string;
  readonly port: number;
  readonly words: string;
  readonly empty: boolean;
  readonly entropyStdin: boolean;
  readonly ask: boolean;
  readonly json: boolean;
}

function usage(why: string): CodedError {
  return new CodedError("DEVICE_USAGE", `Cannot serve device: ${why}`);
}

function readOptions(args: readonly string[]): Options {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        state: { type: "string" },
        maker: { type: "string" },
        listen: { type: "string" },
        words: { type: "string", default: "24" },
        empty: { type: "boolean", default: false },
        "entropy-stdin": { type: "boolean", default: false },
        ask: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    throw usage((error as Error).message);
  }
  const { state, maker, listen, words } = values;
  if (state === undefined || maker === undefined || listen === undefined) {
    throw usage("give --state, --maker and --listen");
  }
  const [, hostname, port] = /^(127\.0\.0\.1|\[?::1\]?|localhost):(\d{1,5})$/.exec(listen) ?? [];
  if (hostname === undefined || Number(port) > 65535) throw usage("--listen takes HOST:PORT on loopback");
  if (!(words in ENTROPY_BYTES)) throw usage("--words takes 12, 18 or 24");
  return {
    state,
    maker,
    hostname: hostname.replace(/[[\]]/g, ""),
    port: Number(port),
    words,
    empty: values.empty,
    entropyStdin: values["entropy-stdin"],
    ask: values.ask,
    json: values.json,
  };
}

/** Entropy of a new device. */
async function firstEntropy(options: Options): Promise<Secret | undefined> {
  if (options.entropyStdin) return await readEntropy();
  return options.empty ? undefined : new Secret(SYSTEM_RANDOM(ENTROPY_BYTES[options.words]!));
}

/** Hex of 16, 24 or 32 bytes from standard input, so that it is on no command line. */
async function readEntropy(): Promise<Secret> {
  const buffer = new Uint8Array(STDIN_MAX);
  let length = 0;
  for (let read = await Deno.stdin.read(buffer); read !== null && length < STDIN_MAX;) {
    length += read;
    read = await Deno.stdin.read(buffer.subarray(length));
  }
  const text = new TextDecoder().decode(buffer.subarray(0, length)).trim().toUpperCase();
  buffer.fill(0);
  if (!/^([0-9A-F]{32}|[0-9A-F]{48}|[0-9A-F]{64})$/.test(text)) {
    throw usage("--entropy-stdin takes 16, 24 or 32 bytes as hex");
  }
  return new Secret(fromHex(text));
}

/** Tells events, and answers yes: a virtual device has no buttons. With `ask` the terminal answers. */
function personOf({ ask }: Options, tell: (event: Record<string, unknown>) => void): RecoverPerson {
  const question = (event: Record<string, unknown>, text: string) => {
    tell(event);
    return Promise.resolve(!ask || confirm(text));
  };
  return {
    confirmIdentity: ({ backupName, firstName, lastName, dateOfBirth, placeOfBirth }, flow) => {
      // Whose identity it is, is for the device's screen, not for a log.
      const who = `${firstName} ${lastName}, ${dateOfBirth}, ${placeOfBirth}, "${backupName}"`;
      return question({ event: "confirm-identity", flow }, `${flow}: is this you? ${who}`);
    },
    showSecurityCode: (code) =>
      ask ? console.error(`Security code ${code}`) : tell({ event: "security-code", code }),
    confirmRestore: (_identity, provider) =>
      question({ event: "confirm-restore", provider }, `Restore the seed from ${provider}?`),
    confirmRoot: ({ name, publicKey }, action) =>
      question({ event: `${action}-root`, name, publicKey: toHex(publicKey) }, `${action} root ${name}?`),
    confirmDelete: (_identity, provider) =>
      question({ event: "confirm-delete", provider }, `Let ${provider} delete its share?`),
    tell: (what, provider) => tell({ event: what, provider }),
  };
}

async function serve(options: Options): Promise<void> {
  const tell = (event: Record<string, unknown>) => console.log(JSON.stringify(event));
  const held = holdDevice({
    path: options.state,
    makerPath: options.maker,
    entropy: await firstEntropy(options),
    random: SYSTEM_RANDOM,
  });
  try {
    const { identity, memory } = held;
    const device = new RecoverDevice({
      identity,
      memory,
      person: personOf(options, tell),
      random: SYSTEM_RANDOM,
    });
    const listener = Deno.listen({ hostname: options.hostname, port: options.port });
    const stop = () => listener.close();
    Deno.addSignalListener("SIGTERM", stop);
    Deno.addSignalListener("SIGINT", stop);
    if (!options.ask) {
      console.error("device: Virtual, and it answers every question with yes. Not for a seed of value.");
    }
    const entropy = memory.entropy();
    tell({
      ready: true,
      port: listener.addr.transport === "tcp" ? listener.addr.port : 0,
      state: options.state,
      new: held.isNew,
      seed: entropy !== undefined,
      targetId: toHex(identity.targetId),
      issuerPublicKey: toHex(identity.issuerPublicKey),
      devicePublicKey: toHex(identity.certificate.publicKey),
    });
    entropy?.wipe();
    await serveApdus(listener, device);
  } finally {
    held.close();
  }
}

/** Runs the process. @returns exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await serve(readOptions(args));
    return EXIT_CODES.ok;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      console.error("device: Cannot listen: another program has this port");
      return EXIT_CODES.service;
    }
    if (!(error instanceof CodedError)) throw error;
    const { fault, next } = errorRow(error.code);
    console.error(`device: ${error.message}\n    ${next}`);
    if (args.includes("--json")) {
      console.log(JSON.stringify({ error: { code: error.code, message: error.message, next } }));
    }
    return EXIT_CODES[fault];
  }
}

defineErrors({
  DEVICE_USAGE: { fault: "usage", retry: false, next: "`rk help wallet serve` tells what the options take." },
});

if (import.meta.main) Deno.exit(await main(Deno.args));
