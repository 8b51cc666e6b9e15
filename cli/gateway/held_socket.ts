/**
 * A listening socket that is held and never accepted from. Gateways that take one another's place share it: connections that
 * wait in it belong to the socket, so none is lost when a process leaves. SO_REUSEPORT would lose those that wait in the
 * socket of the process that ends (docs/decisions/0030_sockets_are_held_by_a_parent.md).
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import "gateway/transport/errors.ts";

/** A held socket. */
export interface HeldSocket {
  /** Descriptor in this process. */
  readonly fd: number;
  readonly port: number;
  /**
   * Call it after a process was started with the descriptor: the runtime makes what a child inherits blocking, for every process that
   * shares the socket, and an accept that blocks would stop all of a gateway that serves.
   */
  unblock(): void;
  close(): void;
}

const F_SETFL = 4;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
let libc: Deno.DynamicLibrary<{ fcntl: { parameters: ["i32", "i32", "i32"]; result: "i32" } }> | undefined;

function unblock(fd: number): void {
  libc ??= Deno.dlopen("libc.so.6", { fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" } });
  if (libc.symbols.fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) !== 0) {
    throw new CodedError("GATEWAY_HOLD", "Cannot keep the listening socket from blocking");
  }
}

/** Opens a listening socket and finds its descriptor. @throws {CodedError} `GATEWAY_LISTEN`, `GATEWAY_HOLD`. */
export function holdSocket(hostname: string, port: number): HeldSocket {
  let listener: Deno.TcpListener;
  try {
    listener = Deno.listen({ hostname, port });
  } catch (error) {
    const why = error instanceof Error ? error.name : "unknown fault";
    throw new CodedError("GATEWAY_LISTEN", `Cannot listen on ${hostname}:${port}: ${why}`);
  }
  const bound = listener.addr.port;
  const fd = descriptorOf(bound);
  if (fd === undefined) {
    listener.close();
    throw new CodedError("GATEWAY_HOLD", "Cannot find the descriptor of the listening socket below /proc");
  }
  return { fd, port: bound, unblock: () => unblock(fd), close: () => listener.close() };
}

/** A port that was free a moment ago. */
export function freePort(hostname: string): number {
  const listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** State of a listening socket in /proc/net/tcp. */
const TCP_LISTEN = "0A";

/** What a shell sees of its parent: sockets by port, then descriptors with what they lead to. The runtime reads no /proc. */
const LOOK = 'cat "/proc/$PPID/net/tcp" "/proc/$PPID/net/tcp6" 2>/dev/null; ' +
  'for f in /proc/$PPID/fd/*; do echo "fd ${f##*/} $(readlink "$f")"; done';

/** The runtime does not tell descriptors: the kernel does, by the inodes of the sockets that listen on the port. */
function descriptorOf(port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const { stdout } = new Deno.Command("/bin/sh", { args: ["-c", LOOK], stderr: "null" }).outputSync();
  const rows = new TextDecoder().decode(stdout).split("\n").map((line) => line.trim().split(/\s+/));
  const links = new Set(
    rows.filter((columns) => columns[1]?.endsWith(suffix) && columns[3] === TCP_LISTEN)
      .map((columns) => `socket:[${columns[9]}]`),
  );
  // Of sockets on the same port at several addresses, the one that was opened last has the highest number.
  const own = rows.filter(([kind, , link]) => kind === "fd" && links.has(link ?? "")).map(([, fd]) =>
    Number(fd)
  );
  return own.length === 0 ? undefined : Math.max(...own);
}

defineErrors({
  GATEWAY_HOLD: {
    fault: "installation",
    retry: false,
    next: "The gateway's parent needs Linux with /proc; `deno run gateway/app/main.ts` serves without it.",
  },
});
