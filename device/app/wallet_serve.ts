/**
 * The wallet as a service for other programs on this machine: JSON lines over a Unix socket of mode 0600, or over TCP on the
 * loopback interface with a token. One program at a time; when it leaves, the wallet locks.
 *
 * The program sends {"id":1,"do":"status"}; `do` is status, unlock, lock, setup, identify, backup, restore or manage, with
 * `words`, `name`, `action`, `compare` as on the command line. On the way the wallet sends {"id":1,"notice":"card",...}, and
 * asks {"id":1,"ask":"cardPin","triesLeft":3,"card":{..}}, {"id":1,"confirm":"wipe",..} or {"id":1,"choose":[..]}; the program
 * answers {"id":1,"answer":"24680"}, true or false, or {"id":1,"cancel":true}. The last line of each request has `done`.
 * Over TCP the first line is {"token":"..."}.
 */

import { CodedError, EXIT_CODES } from "shared/base/errors.ts";
import { equalConstantTime, toUtf8 } from "shared/base/bytes.ts";
import { ensureSecretFile, readSecretFile } from "shared/transport/secret_file.ts";
import type { Wallet } from "../wallet/wallet.ts";
import { JsonLines, type LineConnection } from "./wallet_json_lines.ts";
import type { WalletOptions } from "./wallet_options.ts";
import { handleRequest } from "./wallet_requests.ts";
import { failure } from "./wallet_results.ts";
import "./wallet_errors.ts";

const LOOPBACK = /^(127(\.\d{1,3}){3}|::1|localhost)$/;

/** Where it listens. */
type Address = { readonly path: string } | { readonly hostname: string; readonly port: number };

function readAddress(text: string): Address {
  if (text.startsWith("unix:")) return { path: text.slice("unix:".length) };
  const [, hostname, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (hostname === undefined || Number(port) > 65535) {
    throw new CodedError("WALLET_USAGE", "Cannot serve: --listen takes unix:PATH or HOST:PORT");
  }
  if (!LOOPBACK.test(hostname)) {
    throw new CodedError(
      "WALLET_USAGE",
      `Cannot serve on ${hostname}: only loopback, secrets cross in the clear`,
    );
  }
  return { hostname, port: Number(port) };
}

function listen(address: Address): Deno.Listener {
  if ("path" in address) {
    // A socket that a killed process left behind; the wallet's lock says that none serves it now.
    try {
      if (Deno.lstatSync(address.path).isSocket) Deno.removeSync(address.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    const listener = Deno.listen({ transport: "unix", path: address.path });
    Deno.chmodSync(address.path, 0o600);
    return listener as Deno.Listener;
  }
  return Deno.listen(address);
}

/** Serves until SIGTERM or SIGINT. @returns exit code. @throws {CodedError} `WALLET_USAGE`, those of secret files. */
export async function serveWallet(
  options: WalletOptions,
  wallet: Wallet,
  write: (line: string) => void,
): Promise<number> {
  const address = readAddress(options.listen ?? "");
  const isTcp = "port" in address;
  if (isTcp && options.tokenFile === undefined) {
    throw new CodedError("WALLET_USAGE", "Cannot serve over TCP: give --token-file");
  }
  if (options.tokenFile !== undefined) ensureSecretFile(options.tokenFile);
  const listener = listen(address);
  const stop = () => listener.close();
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  const connections = new Set<LineConnection>();
  let busy = false;
  try {
    const bound = isTcp ? { port: (listener.addr as Deno.NetAddr).port } : {};
    write(JSON.stringify({ ready: true, listen: options.listen, ...bound, state: options.state }));
    for await (const connection of listener) {
      const lines = new JsonLines(connection);
      connections.add(lines);
      const mayServe = !busy;
      busy = true;
      // A second program is told so and let go; the first goes on.
      const served = mayServe
        ? converse(lines, options, wallet).finally(() => {
          wallet.lock();
          busy = false;
        })
        : lines.send({
          done: false,
          ...failure(new CodedError("WALLET_BUSY", "Cannot serve: another program is here")),
        });
      served.catch(() => {}).finally(() => {
        lines.close();
        connections.delete(lines);
      });
    }
    return EXIT_CODES.ok;
  } catch (error) {
    if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
      return EXIT_CODES.ok;
    }
    throw error;
  } finally {
    Deno.removeSignalListener("SIGTERM", stop);
    Deno.removeSignalListener("SIGINT", stop);
    for (const one of connections) one.close();
    if ("path" in address) await Deno.remove(address.path).catch(() => {});
  }
}

async function converse(lines: LineConnection, options: WalletOptions, wallet: Wallet): Promise<void> {
  try {
    if (options.tokenFile !== undefined) await requireToken(lines, options.tokenFile);
    for (let message = await lines.next(); message !== undefined; message = await lines.next()) {
      await handleRequest(message, lines, options, wallet);
    }
  } catch (error) {
    await lines.send({ done: false, ...failure(error) });
  }
}

async function requireToken(lines: LineConnection, path: string): Promise<void> {
  const first = await lines.next();
  using token = readSecretFile(path);
  const given = typeof first?.token === "string" ? toUtf8(first.token) : new Uint8Array(0);
  const right = equalConstantTime(token.reveal(), given);
  given.fill(0);
  if (!right) {
    throw new CodedError("WALLET_TOKEN", "Cannot serve: the connection did not begin with the token");
  }
}
