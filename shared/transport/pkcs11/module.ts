/**
 * A vendor's PKCS#11 library in this process. C_Initialize and the login state are per process, so everyone who
 * uses a library shares one module; the last one to leave finalizes it.
 */

import type { Handle, PKCS11 } from "pkcs11js";
import { Buffer } from "node:buffer";
import { CodedError } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import { CKF, CKR } from "./constants.ts";
import { Pkcs11Failure, returnValue } from "./failure.ts";
import "../hsm.ts";

/** Line that builds the binding where it is missing; the repository's root is the working directory. */
export const BUILD_LINE =
  "(cd node_modules/pkcs11js && npm rebuild)   # Debian: apt-get install npm g++ make python3";

/** How long a new start of the library waits for calls that are inside the token, in milliseconds. */
export const DRAIN_LIMIT_MS = 5_000;

/** A loaded library. */
export class Pkcs11Module {
  readonly library: string;
  readonly #binding: PKCS11;
  #users = 0;
  #initialized = false;
  #generation = 0;
  #inside = 0;
  #drained: (() => void)[] = [];
  #restart: Promise<void> | undefined;

  constructor(library: string, binding: PKCS11) {
    this.library = library;
    this.#binding = binding;
  }

  /** Changes whenever the library was initialized: handles of an earlier generation mean nothing. */
  get generation(): number {
    return this.#generation;
  }

  /** Runs calls into the library; never while it is being initialized again. */
  async call<T>(work: (binding: PKCS11) => T | Promise<T>): Promise<T> {
    while (this.#restart) await this.#restart.catch(() => {});
    this.#inside++;
    try {
      return await work(this.#binding);
    } finally {
      this.#inside--;
      if (this.#inside === 0) { for (const resolve of this.#drained.splice(0)) resolve(); }
    }
  }

  /**
   * Finalizes and initializes the library, unless somebody did since `generation`. A library (SoftHSM for one) looks
   * at its tokens only then, so a token that came back is not seen before.
   * @throws {CodedError} `HSM_UNAVAILABLE` when calls are stuck inside the token, or the library does not start.
   */
  async restart(generation: number): Promise<void> {
    while (this.#restart) await this.#restart.catch(() => {});
    if (generation !== this.#generation) return;
    this.#restart = this.#doRestart().finally(() => this.#restart = undefined);
    await this.#restart;
  }

  async #doRestart(): Promise<void> {
    await this.#drain();
    this.#finalize();
    this.#initialize();
  }

  async #drain(): Promise<void> {
    if (this.#inside === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#drained.push(resolve);
        timer = setTimeout(
          () => reject(new CodedError("HSM_UNAVAILABLE", "Cannot reopen token: calls are stuck inside it")),
          DRAIN_LIMIT_MS,
        );
      });
    } finally {
      clearTimeout(timer);
    }
  }

  #initialize(): void {
    try {
      this.#binding.C_Initialize({ flags: CKF.OS_LOCKING_OK });
    } catch (error) {
      if (returnValue(error) !== CKR.CRYPTOKI_ALREADY_INITIALIZED) throw error;
    }
    this.#initialized = true;
    this.#generation++;
  }

  #finalize(): void {
    if (!this.#initialized) return;
    this.#initialized = false;
    try {
      this.#binding.C_Finalize();
    } catch {
      // A library that lost its token may refuse to end; C_Initialize tells whether it can go on.
    }
  }

  /** Slots with the label of their token; slots that do not answer are left out. */
  tokens(binding: PKCS11): { slot: Handle; label: string; model: string; serial: string; flags: number }[] {
    const found = [];
    for (const slot of binding.C_GetSlotList(true)) {
      try {
        const info = binding.C_GetTokenInfo(slot);
        const text = (value: string) => value.replace(/[\s\0]+$/, "");
        found.push({
          slot,
          label: text(info.label),
          model: text(info.model),
          serial: text(info.serialNumber),
          flags: info.flags,
        });
      } catch (error) {
        if (returnValue(error) === undefined) throw error;
      }
    }
    return found;
  }

  /** One more user. */
  acquire(): void {
    if (this.#users === 0) this.#initialize();
    this.#users++;
  }

  /** One user less; the last one finalizes the library, when nothing is stuck inside it. */
  async release(): Promise<void> {
    this.#users--;
    if (this.#users > 0) return;
    try {
      await this.#drain();
    } catch {
      return; // finalizing under a running call crashes libraries; the process is about to end anyway
    }
    if (this.#users === 0) this.#finalize();
  }

  /**
   * C_Login. The PIN is passed as wiped memory through FFI; where the library does not export C_Login, or this process
   * may not open it, through the binding, which makes a string of it that cannot be wiped.
   * @throws {Pkcs11Failure} with the return value.
   */
  async login(session: Handle, userType: number, pin: Secret): Promise<void> {
    const direct = openDirect(this.library, {
      C_Login: { parameters: ["usize", "usize", "buffer", "usize"], result: "usize", nonblocking: true },
    });
    if (!direct) {
      this.#binding.C_Login(session, userType, new TextDecoder().decode(pin.reveal()));
      return;
    }
    try {
      const bytes = pin.reveal() as Uint8Array<ArrayBuffer>;
      const value = await direct.symbols.C_Login(
        handleNumber(session),
        BigInt(userType),
        bytes,
        BigInt(bytes.length),
      );
      if (Number(value) !== CKR.OK) throw new Pkcs11Failure(Number(value), "C_Login");
    } finally {
      direct.close();
    }
  }

  /** C_InitToken: erases the token in `slot`, labels it and sets the security officer's PIN. */
  initToken(slot: Handle, soPin: Secret, label: Uint8Array<ArrayBuffer>): void {
    const direct = this.#direct({
      C_InitToken: { parameters: ["usize", "buffer", "usize", "buffer"], result: "usize" },
    });
    try {
      const bytes = soPin.reveal() as Uint8Array<ArrayBuffer>;
      const value = direct.symbols.C_InitToken(handleNumber(slot), bytes, BigInt(bytes.length), label);
      if (Number(value) !== CKR.OK) throw new Pkcs11Failure(Number(value), "C_InitToken");
    } finally {
      direct.close();
    }
  }

  /** C_InitPIN: sets the user's PIN; the security officer is logged in on `session`. */
  initPin(session: Handle, pin: Secret): void {
    const direct = this.#direct({ C_InitPIN: { parameters: ["usize", "buffer", "usize"], result: "usize" } });
    try {
      const bytes = pin.reveal() as Uint8Array<ArrayBuffer>;
      const value = direct.symbols.C_InitPIN(handleNumber(session), bytes, BigInt(bytes.length));
      if (Number(value) !== CKR.OK) throw new Pkcs11Failure(Number(value), "C_InitPIN");
    } finally {
      direct.close();
    }
  }

  #direct<const S extends Deno.ForeignLibraryInterface>(symbols: S): Deno.DynamicLibrary<S> {
    const direct = openDirect(this.library, symbols);
    if (!direct) {
      throw new CodedError("HSM_LIBRARY", `Cannot initialize token: ${this.library} gives no direct access`, {
        library: this.library,
      });
    }
    return direct;
  }
}

function openDirect<const S extends Deno.ForeignLibraryInterface>(
  library: string,
  symbols: S,
): Deno.DynamicLibrary<S> | undefined {
  try {
    return Deno.dlopen(library, symbols);
  } catch {
    return undefined;
  }
}

/** CK_ULONG of a handle as the binding gives it: native byte order (little-endian on every machine Deno runs on). */
function handleNumber(handle: Handle): bigint {
  const bytes = Buffer.from(handle);
  return bytes.length === 8 ? bytes.readBigUInt64LE() : BigInt(bytes.readUInt32LE());
}

const modules = new Map<string, Pkcs11Module>();

/**
 * Loads a library, or takes the one that is loaded; `release` it when done.
 * @throws {CodedError} `HSM_LIBRARY` when the binding or the library does not load.
 */
export async function acquireModule(library: string): Promise<Pkcs11Module> {
  let module = modules.get(library);
  if (!module) {
    const binding = await loadBinding();
    module = modules.get(library); // somebody else may have been faster
    if (!module) {
      module = new Pkcs11Module(library, openLibrary(binding, library));
      modules.set(library, module);
    }
  }
  try {
    module.acquire();
  } catch (error) {
    throw new CodedError(
      "HSM_LIBRARY",
      `Cannot initialize PKCS#11 library ${library}: CK_RV 0x${returnValue(error)?.toString(16) ?? "?"}`,
      { library },
    );
  }
  return module;
}

async function loadBinding(): Promise<typeof import("pkcs11js")> {
  try {
    const loaded = await import("pkcs11js") as
      & { default?: typeof import("pkcs11js") }
      & typeof import("pkcs11js");
    return loaded.default ?? loaded;
  } catch (error) {
    throw new CodedError(
      "HSM_LIBRARY",
      `Cannot load the PKCS#11 binding: it is not built, or this process may not load it. Build it: ${BUILD_LINE}`,
      { reason: error instanceof Error ? error.name : undefined },
    );
  }
}

function openLibrary(binding: typeof import("pkcs11js"), library: string): PKCS11 {
  const opened = new binding.PKCS11();
  try {
    opened.load(library);
  } catch {
    throw new CodedError(
      "HSM_LIBRARY",
      `Cannot load PKCS#11 library ${library}: no such file, or not a PKCS#11 library for this machine`,
      { library },
    );
  }
  return opened;
}
