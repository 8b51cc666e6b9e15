/**
 * How commands speak with a running gateway's parent: a Unix socket in its state folder (mode 0700), one JSON line each way.
 * Who may open the folder may change the gateway, as with the configuration file itself.
 */

import { createHash } from "node:crypto";
import { CodedError, codeOf, defineErrors } from "shared/base/errors.ts";
import { HOME } from "../home.ts";

/** A request to the parent. */
export interface ControlRequest {
  readonly verb: "status" | "reload" | "upgrade" | "rollback";
  /** Who asks. */
  readonly by: string;
  /** Generation to go back to. */
  readonly to?: number;
}

/** Its answer. */
export type ControlAnswer =
  | { readonly ok: true; readonly result: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** The longest path that a Unix socket can have on Linux, bytes. */
const MAX_SOCKET_PATH = 107;

/** State folder of the gateway with this configuration file, when none is named. */
export function stateFolder(configPath: string): string {
  return `${HOME}/gateway/${createHash("sha256").update(configPath).digest("hex").slice(0, 16)}`;
}

const socketPath = (state: string) => `${state}/control.sock`;

/** Serves requests until `close`. @throws {CodedError} `GATEWAY_CONTROL`. */
export async function openControl(
  state: string,
  handle: (request: ControlRequest) => Promise<Readonly<Record<string, unknown>>>,
): Promise<{ close(): void }> {
  const path = socketPath(state);
  if (new TextEncoder().encode(path).length > MAX_SOCKET_PATH) {
    throw new CodedError(
      "GATEWAY_CONTROL",
      `Cannot use the state folder ${state}: its path is too long for a socket`,
    );
  }
  await Deno.mkdir(state, { recursive: true, mode: 0o700 });
  await Deno.chmod(state, 0o700);
  if (await connects(path)) {
    throw new CodedError("GATEWAY_CONTROL", `Cannot use the state folder ${state}: another gateway has it`);
  }
  await Deno.remove(path).catch(() => {});
  const listener = Deno.listen({ transport: "unix", path });
  const serve = async (connection: Deno.UnixConn) => {
    let answer: ControlAnswer;
    try {
      answer = { ok: true, result: await handle(JSON.parse(await readLine(connection))) };
    } catch (error) {
      answer = {
        ok: false,
        code: codeOf(error),
        message: error instanceof Error ? error.message : "unknown fault",
      };
    }
    try {
      await writeLine(connection, answer);
    } catch {
      // Nobody waits for the answer any more; what was asked for is done all the same.
    } finally {
      connection.close();
    }
  };
  void (async () => {
    for await (const connection of listener) void serve(connection);
  })().catch(() => {});
  return {
    close: () => {
      listener.close();
      Deno.removeSync(path);
    },
  };
}

/** Asks a running gateway's parent. @throws {CodedError} `GATEWAY_NOT_RUNNING`, or what the parent answered. */
export async function askControl(
  state: string,
  request: ControlRequest,
): Promise<Readonly<Record<string, unknown>>> {
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path: socketPath(state) });
  } catch {
    throw new CodedError("GATEWAY_NOT_RUNNING", `Cannot reach the gateway: nobody answers in ${state}`);
  }
  try {
    await writeLine(connection, request);
    const answer = JSON.parse(await readLine(connection)) as ControlAnswer;
    if (answer.ok) return answer.result;
    throw new CodedError(answer.code, answer.message);
  } finally {
    connection.close();
  }
}

/** Longest request or answer, bytes. */
const MAX_LINE = 1_048_576;

async function readLine(connection: Deno.UnixConn): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of connection.readable.values({ preventCancel: true })) {
    text += decoder.decode(part, { stream: true });
    if (text.includes("\n") || text.length > MAX_LINE) break;
  }
  return text;
}

async function writeLine(connection: Deno.UnixConn, value: unknown): Promise<void> {
  const writer = connection.writable.getWriter();
  await writer.write(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
  writer.releaseLock();
}

async function connects(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}

defineErrors({
  GATEWAY_CONTROL: {
    fault: "configuration",
    retry: false,
    next: "Name another folder with --state, or stop the gateway that uses this one.",
  },
  GATEWAY_NOT_RUNNING: {
    fault: "service",
    retry: true,
    next: "Start it: rk gateway --config FILE. If it was started with --state, name the same folder.",
  },
});
