/**
 * Trusted metadata on disk. The library writes files in place, and a cut there would lose what protects from rollback. It is given
 * a copy to work on; what it came to trust is then put in place file by file, each whole or not at all, in the order of the
 * workflow (root, timestamp, snapshot, targets, delegated). A cut between two files leaves what a cut between two steps of the
 * workflow leaves, which the next refresh completes. The Update Framework 1.0.31, section 5.
 *
 *     FOLDER/root.json, timestamp.json, ...   what is trusted
 *     FOLDER/.roots/N.root.json               every root on the way, to show it to others
 *     FOLDER/.work/                           the library's copy, while a client is open
 *     FOLDER/.trust.lock
 */

import { CodedError } from "shared/base/errors.ts";
import { checkDocument } from "shared/protocol/release/document.ts";
import {
  lockFile,
  lookAtFile,
  removeLeftOver,
  replaceFile,
  type ReplaceStage,
} from "shared/transport/durable_file.ts";
import "./errors.ts";

/** Longest file that is read, in bytes. */
const FILE_BYTES_MAX = 5_000_000;
/** The order in which files become trusted; delegated roles come after. */
const ORDER = ["root.json", "timestamp.json", "snapshot.json", "targets.json"];

/** A place where the power can fail: which file is written, and how far. */
export type StoreStage = (file: string, stage: ReplaceStage) => void;

/** The folder of one client, locked until it is closed. */
export class TrustStore {
  readonly #folder: string;
  readonly #lock: Disposable;
  readonly #onStage: StoreStage;

  private constructor(folder: string, lock: Disposable, onStage: StoreStage) {
    this.#folder = folder;
    this.#lock = lock;
    this.#onStage = onStage;
  }

  /**
   * Opens a folder that `init` made, and lays out the library's copy.
   * @param onStage told of every step of every write (tests).
   * @throws {CodedError} `TUF_BUSY`, `TUF_NO_ROOT`, `TUF_STORE`.
   */
  static open(folder: string, onStage: StoreStage = () => {}): TrustStore {
    const lock = inStore(folder, () => lockFile(`${folder}/.trust`));
    if (lock === undefined) throw new CodedError("TUF_BUSY", `Cannot use ${folder}: another program does`);
    const store = new TrustStore(folder, lock, onStage);
    try {
      inStore(folder, () => store.#layOut());
      return store;
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** The library's copy. */
  get work(): string {
    return `${this.#folder}/.work`;
  }

  /** A document of the library's copy by its role; undefined when it has none. */
  read(role: string): Uint8Array | undefined {
    return readIfThere(`${this.work}/${encodeURIComponent(role)}.json`);
  }

  /**
   * Puts in place what the library came to trust.
   * @param roots roots that it went over, by version: those up to the trusted one are kept.
   */
  save(roots: ReadonlyMap<number, Uint8Array>): void {
    inStore(this.#folder, () => {
      const trusted = versionOf(this.read("root")!);
      for (const [version, bytes] of roots) {
        if (version <= trusted) this.#replace(`.roots/${version}.root.json`, bytes);
      }
      for (const name of inOrder(documentsIn(this.work))) {
        this.#replace(name, Deno.readFileSync(`${this.work}/${name}`));
      }
    });
  }

  /** Every root that is known, oldest first. */
  roots(): Uint8Array[] {
    const folder = `${this.#folder}/.roots`;
    const versions = documentsIn(folder).map((name) => Number(name.split(".")[0])).sort((a, b) => a - b);
    return versions.map((version) => Deno.readFileSync(`${folder}/${version}.root.json`));
  }

  /** Gives the folder back. */
  close(): void {
    removeTree(this.work);
    this.#lock[Symbol.dispose]();
  }

  #layOut(): void {
    removeTree(this.work);
    Deno.mkdirSync(this.work, { recursive: true, mode: 0o700 });
    Deno.mkdirSync(`${this.#folder}/.roots`, { recursive: true, mode: 0o700 });
    const root = readIfThere(`${this.#folder}/root.json`);
    if (root === undefined) {
      throw new CodedError("TUF_NO_ROOT", `Cannot refresh: ${this.#folder} holds no trusted root`);
    }
    checkDocument("root", root);
    for (const name of documentsIn(this.#folder)) {
      removeLeftOver(`${this.#folder}/${name}`);
      const bytes = readIfThere(`${this.#folder}/${name}`);
      if (bytes !== undefined) Deno.writeFileSync(`${this.work}/${name}`, bytes);
    }
  }

  #replace(name: string, bytes: Uint8Array): void {
    const path = `${this.#folder}/${name}`;
    const old = readIfThere(path);
    if (old !== undefined && same(old, bytes)) return;
    // A copy: what is written is wiped, and a Buffer's `slice` is no copy.
    replaceFile(path, new Uint8Array(bytes), (stage) => this.#onStage(name, stage));
  }
}

/**
 * Makes a folder of trusted metadata from a root that the caller trusts.
 * @throws {CodedError} `RELEASE_METADATA` when it is no root, `TUF_STORE`.
 */
export function initTrust(folder: string, root: Uint8Array): void {
  const version = versionOf(root);
  inStore(folder, () => {
    Deno.mkdirSync(`${folder}/.roots`, { recursive: true, mode: 0o700 });
    replaceFile(`${folder}/.roots/${version}.root.json`, new Uint8Array(root));
    replaceFile(`${folder}/root.json`, new Uint8Array(root));
  });
}

function versionOf(root: Uint8Array): number {
  return (checkDocument("root", root).signed as { version: number }).version;
}

function documentsIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].filter(({ name, isFile }) => isFile && name.endsWith(".json"))
    .map(({ name }) => name);
}

function inOrder(names: readonly string[]): string[] {
  return [...ORDER.filter((name) => names.includes(name)), ...names.filter((name) => !ORDER.includes(name))];
}

function readIfThere(path: string): Uint8Array | undefined {
  const file = lookAtFile(path);
  return file === undefined || file.bytes > FILE_BYTES_MAX ? undefined : Deno.readFileSync(path);
}

function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

function removeTree(path: string): void {
  if (lookAtFile(path) !== undefined) Deno.removeSync(path, { recursive: true });
}

function inStore<T>(folder: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof CodedError) throw error;
    const state = error instanceof Error ? error.message : "it is not reached";
    throw new CodedError("TUF_STORE", `Cannot use ${folder}: ${state}`, {}, error);
  }
}
