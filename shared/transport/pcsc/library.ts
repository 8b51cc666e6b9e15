/**
 * libpcsclite.so.1 through FFI. Every parameter is an integer or a buffer, so `--allow-ffi` can be scoped to
 * this one file and `Deno.UnsafePointer` is not needed; the only pointer inside a structure (a reader's name in
 * SCARD_READERSTATE) comes from strdup, which dlsym finds in the library's own dependency, the C library.
 *
 * Calls run on threads of the runtime, so the event loop never waits. At most 32 of them run at once: one for
 * every watch and one for every card in mid-command.
 */

import { CodedError } from "../../base/errors.ts";
import "../card_channel.ts";
import "./results.ts";

// LONG is 8 bytes signed, DWORD 8 bytes unsigned on 64-bit Linux; SCARDCONTEXT and SCARDHANDLE are LONG.
const LONG = "isize";
const DWORD = "usize";
const BUFFER = "buffer";

const SYMBOLS = {
  SCardEstablishContext: { parameters: [DWORD, BUFFER, BUFFER, BUFFER], result: LONG, nonblocking: true },
  SCardReleaseContext: { parameters: [LONG], result: LONG, nonblocking: true },
  SCardListReaders: { parameters: [LONG, BUFFER, BUFFER, BUFFER], result: LONG, nonblocking: true },
  SCardGetStatusChange: { parameters: [LONG, DWORD, BUFFER, DWORD], result: LONG, nonblocking: true },
  SCardCancel: { parameters: [LONG], result: LONG, nonblocking: true },
  SCardConnect: {
    parameters: [LONG, BUFFER, DWORD, DWORD, BUFFER, BUFFER],
    result: LONG,
    nonblocking: true,
  },
  SCardReconnect: { parameters: [LONG, DWORD, DWORD, DWORD, BUFFER], result: LONG, nonblocking: true },
  SCardDisconnect: { parameters: [LONG, DWORD], result: LONG, nonblocking: true },
  SCardStatus: {
    parameters: [LONG, BUFFER, BUFFER, BUFFER, BUFFER, BUFFER, BUFFER],
    result: LONG,
    nonblocking: true,
  },
  SCardTransmit: {
    parameters: [LONG, BUFFER, BUFFER, DWORD, BUFFER, BUFFER, BUFFER],
    result: LONG,
    nonblocking: true,
  },
  strdup: { parameters: [BUFFER], result: DWORD },
  free: { parameters: [DWORD], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Where distributions put the library, for the running architecture. The first that may be opened is taken. */
export function libraryCandidates(arch: string = Deno.build.arch): string[] {
  return [
    `/usr/lib/${arch}-linux-gnu/libpcsclite.so.1`, // Debian, Ubuntu
    "/usr/lib64/libpcsclite.so.1", // Fedora, openSUSE
    "/usr/lib/libpcsclite.so.1", // Alpine, Arch
  ];
}

/** The loaded library; closes when the last call has returned. */
export class PcscLibrary {
  readonly path: string;
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  #inFlight = 0;
  #closed = false;
  readonly #unloaded = Promise.withResolvers<void>();
  #isUnloaded = false;

  private constructor(path: string, library: Deno.DynamicLibrary<typeof SYMBOLS>) {
    this.path = path;
    this.#library = library;
  }

  /**
   * Loads the library from `path`, or from the first usual place that exists and may be opened.
   * @throws {CodedError} `PCSC_LIBRARY` when none does; the message names each path and what was wrong.
   */
  static open(path?: string): PcscLibrary {
    if (Deno.build.os !== "linux") {
      throw new CodedError("PCSC_LIBRARY", `Cannot load libpcsclite: ${Deno.build.os} is not supported`);
    }
    const refusals: string[] = [];
    for (const candidate of path === undefined ? libraryCandidates() : [path]) {
      // Asked first, so that a missing permission is an error with a line to run and never a prompt.
      if (Deno.permissions.querySync({ name: "ffi", path: candidate }).state !== "granted") {
        refusals.push(`${candidate} (not allowed: --allow-ffi=${candidate})`);
        continue;
      }
      try {
        return new PcscLibrary(candidate, Deno.dlopen(candidate, SYMBOLS));
      } catch (error) {
        refusals.push(`${candidate} (${error instanceof Error ? error.message : "does not load"})`);
      }
    }
    throw new CodedError("PCSC_LIBRARY", `Cannot load libpcsclite: ${refusals.join("; ")}`);
  }

  /**
   * Runs one call. `kept` are the buffers that the C side reads or writes: they stay referenced until it returns.
   * @returns the result code as an unsigned 32-bit number.
   * @throws {CodedError} `PCSC_UNAVAILABLE` after `close`.
   */
  async call(
    run: (symbols: Symbols) => Promise<bigint | number>,
    kept: readonly ArrayBufferView[] = [],
  ): Promise<number> {
    if (this.#closed) throw new CodedError("PCSC_UNAVAILABLE", "Cannot call PC/SC: it was closed");
    this.#inFlight++;
    KEPT.add(kept);
    try {
      return Number(BigInt.asUintN(32, BigInt(await run(this.#library.symbols))));
    } finally {
      KEPT.delete(kept);
      this.#inFlight--;
      this.#unload();
    }
  }

  /** Copies a text for the C side and gives its address. To be given back with `release`. */
  duplicate(text: string): bigint {
    const terminated = new TextEncoder().encode(text + "\0");
    const address = BigInt(this.#library.symbols.strdup(terminated));
    if (address === 0n) throw new CodedError("PCSC_FAILED", "Cannot name a reader: out of memory");
    return address;
  }

  /** Frees what `duplicate` gave. */
  release(address: bigint): void {
    if (!this.#isUnloaded) this.#library.symbols.free(address);
  }

  /** Refuses new calls. Resolves when the library is unloaded: at once, or when the last call has returned. */
  close(): Promise<void> {
    this.#closed = true;
    this.#unload();
    return this.#unloaded.promise;
  }

  #unload(): void {
    if (!this.#closed || this.#isUnloaded || this.#inFlight > 0) return;
    this.#isUnloaded = true;
    this.#library.close();
    this.#unloaded.resolve();
  }
}

/** Buffers of calls in flight, reachable from here so that the collector leaves them alone. */
const KEPT = new Set<readonly ArrayBufferView[]>();
