/**
 * One Lua script on one Redis server, called with a bound on time and on how many wait. A server that is gone or does not answer is
 * not asked again for a moment, so that requests do not queue up behind it.
 */

import { createClient } from "@redis/client";

/** Where the server is. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** PEM; absent: without TLS. */
  readonly tls?: {
    readonly authorities: readonly string[];
    readonly certificate?: string | undefined;
    readonly key?: string | undefined;
  } | undefined;
  /** Longest wait for one call, milliseconds. */
  readonly timeoutMs: number;
}

/** A script that can be called. */
export interface RedisScript {
  /** Calls it; undefined when the server is gone, too slow, refuses, or too many calls wait. Never throws. */
  run(keys: readonly string[], args: readonly string[]): Promise<unknown>;
  close(): void;
}

/** Longest pause between two attempts to connect. */
const RECONNECT_MAX_MS = 1_000;
/** Calls that may wait at once. */
const MAX_WAITING = 10_000;
/** A server that failed to answer is left alone this long. */
const PAUSE_MS = 250;

/** Connects in the background: who calls before that gets undefined. `told` hears each change of state, with its cause. */
export function openRedisScript(
  address: RedisAddress,
  script: string,
  told: (state: "up" | "gone", cause: string) => void,
): RedisScript {
  const client = makeClient(address);
  let closed = false;
  let state: "up" | "gone" | undefined;
  let pausedUntil = 0;
  let waiting = 0;
  let hash: Promise<string> | undefined;
  const tell = (next: "up" | "gone", cause: string) => {
    if (next === "gone") pausedUntil = performance.now() + PAUSE_MS;
    if (state === next || closed) return;
    state = next;
    told(next, cause);
  };
  const causeOf = (error: unknown) => error instanceof Error ? codeOf(error) : "fault";
  client.on("error", (error: unknown) => tell("gone", causeOf(error)));
  client.on("ready", () => {
    pausedUntil = 0;
    tell("up", "connected");
  });
  client.connect().catch((error: unknown) => tell("gone", causeOf(error)));

  /** By its hash, and whole when the server does not know it: after a restart, or on another server. */
  const call = async (rest: string[]): Promise<unknown> => {
    try {
      return await client.sendCommand(["EVALSHA", await (hash ??= sha1(script)), ...rest]);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
      return await client.sendCommand(["EVAL", script, ...rest]);
    }
  };
  return {
    async run(keys, args) {
      if (!client.isReady || waiting >= MAX_WAITING || performance.now() < pausedUntil) return undefined;
      waiting++;
      try {
        const answer = await within(address.timeoutMs, call([String(keys.length), ...keys, ...args]));
        tell(answer === undefined ? "gone" : "up", answer === undefined ? "no answer in time" : "answers");
        return answer;
      } catch (error) {
        // An error of a server that is up, such as READONLY or OOM, is a server that cannot be used too.
        tell("gone", causeOf(error));
        return undefined;
      } finally {
        waiting--;
      }
    },
    close() {
      closed = true;
      client.destroy();
    },
  };
}

function makeClient({ host, port, username, password, tls, timeoutMs }: RedisAddress) {
  return createClient({
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    socket: {
      host,
      port,
      connectTimeout: timeoutMs * 10,
      reconnectStrategy: (attempts: number) => Math.min(50 * 2 ** Math.min(attempts, 10), RECONNECT_MAX_MS),
      ...(tls === undefined ? {} : {
        tls: true as const,
        ca: [...tls.authorities],
        ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
        ...(tls.key === undefined ? {} : { key: tls.key }),
      }),
    },
    disableOfflineQueue: true,
    // It would read the environment, and move to wherever the server says.
    maintNotifications: "disabled",
    commandsQueueMaxLength: MAX_WAITING,
  });
}

/** The system's code, or Redis's own first word (NOAUTH, READONLY): never the whole text, which may quote a command. */
function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? /^[A-Z]+(?= )/.exec(error.message)?.[0] ?? error.name;
}

async function sha1(text: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text))).toHex();
}

/** Undefined when it takes longer. What comes after that is thrown away. */
async function within<T>(milliseconds: number, work: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    work.catch(() => {});
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
