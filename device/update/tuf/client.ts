/**
 * The updater's client of The Update Framework 1.0.31: the library tuf-js (its workflow, its checks), over our own fetcher, our own
 * verification of signatures and our own store. See docs/decisions/0034_tuf_client.md.
 */

import type { TargetFile } from "@tufjs/models";
import { CodedError } from "shared/base/errors.ts";
import { METADATA_BYTES_MAX, readMetadata } from "shared/protocol/release/document.ts";
import type { ReleaseBundle } from "shared/protocol/release/metadata.ts";
import { fetchTarget, type Progress } from "./download.ts";
import { MetadataFetcher } from "./fetcher.ts";
import type { FileSource } from "./http_source.ts";
import { Updater } from "./library.ts";
import { verifyStrictly } from "./strict_verification.ts";
import { type StoreStage, TrustStore } from "./trust_store.ts";
import "./errors.ts";

verifyStrictly();

/** Most roots that one refresh goes over. Section 5.3.3. */
export const ROOT_ROTATIONS_MAX = 256;
/** Most roles that are looked at for one target. Section 5.6.7. */
const DELEGATIONS_MAX = 32;

/** Where a client works. */
export interface TufClientOptions {
  /** Folder of trusted metadata, made by `initTrust`. */
  readonly metadataDir: string;
  readonly metadataBaseUrl: string;
  /** Folder of verified targets, and the address that they come from. */
  readonly targetsDir?: string;
  readonly targetsBaseUrl?: string;
  readonly source: FileSource;
  /** Told of every step of every write of trusted metadata (tests). */
  readonly onStage?: StoreStage;
}

/** One run of the client: metadata is refreshed once, with one time of start. Close it after use. */
export interface TufClient extends Disposable {
  /** Brings the metadata of the top up to date. @throws {CodedError} `TUF_UNREACHABLE`, `TUF_TOO_LONG`, `TUF_REFUSED`, `TUF_STORE`. */
  refresh(): Promise<void>;
  /** What was signed about a target; undefined when nobody signed it. Refreshes first. */
  targetInfo(path: string): Promise<TargetFile | undefined>;
  /** Every target of a delegated role whose paths begin with the role's name. Refreshes first. */
  listTargets(role: string): Promise<TargetFile[]>;
  /** Fetches a target, going on where an earlier attempt was cut, unless it is here. @returns its path. */
  download(path: string, progress?: Progress): Promise<string>;
  /** Documents on the way to a target, for somebody who verifies them again (`verifyRelease`). Refreshes first. */
  bundle(path: string): Promise<ReleaseBundle>;
}

/** Opens a client. @throws {CodedError} `TUF_BUSY`, `TUF_NO_ROOT`, `TUF_STORE`, `RELEASE_METADATA`. */
export function openTufClient(options: TufClientOptions): TufClient {
  const store = TrustStore.open(options.metadataDir, options.onStage);
  try {
    return new Client(options, store);
  } catch (error) {
    store.close();
    throw coded(error, undefined);
  }
}

class Client implements TufClient {
  readonly #options: TufClientOptions;
  readonly #store: TrustStore;
  readonly #fetcher: MetadataFetcher;
  readonly #updater: InstanceType<typeof Updater>;
  #refreshed = false;

  constructor(options: TufClientOptions, store: TrustStore) {
    this.#options = options;
    this.#store = store;
    this.#fetcher = new MetadataFetcher(options.source);
    this.#updater = new Updater({
      metadataDir: store.work,
      metadataBaseUrl: options.metadataBaseUrl,
      fetcher: this.#fetcher,
      config: {
        maxRootRotations: ROOT_ROTATIONS_MAX,
        maxDelegations: DELEGATIONS_MAX,
        rootMaxLength: METADATA_BYTES_MAX.root,
        timestampMaxLength: METADATA_BYTES_MAX.timestamp,
        snapshotMaxLength: METADATA_BYTES_MAX.snapshot,
        targetsMaxLength: METADATA_BYTES_MAX.targets,
      },
    });
  }

  async refresh(): Promise<void> {
    if (this.#refreshed) return;
    await this.#run(() => this.#updater.refresh());
    this.#refreshed = true;
  }

  async targetInfo(path: string): Promise<TargetFile | undefined> {
    await this.refresh();
    return await this.#run(() => this.#updater.getTargetInfo(path));
  }

  async listTargets(role: string): Promise<TargetFile[]> {
    // Looking for any path of the role's brings its metadata.
    await this.targetInfo(`${role}/0/0`);
    const delegated = readMetadata("targets", this.#trusted("targets")).signed.delegations?.roles ?? {};
    if (!Object.hasOwn(delegated, role)) return [];
    return Object.values(readMetadata("targets", this.#trusted(role), role).signed.targets);
  }

  async download(path: string, progress?: Progress): Promise<string> {
    const { targetsBaseUrl, targetsDir, source } = this.#options;
    if (targetsBaseUrl === undefined || targetsDir === undefined) {
      throw new CodedError("TUF_OPTIONS", `Cannot fetch ${path}: no place to fetch it from, or to`);
    }
    const target = await this.targetInfo(path);
    if (target === undefined) {
      throw new CodedError("TUF_TARGET_MISSING", `Cannot fetch ${path}: nobody signed it`, { path });
    }
    const { consistentSnapshot } = readMetadata("root", this.#trusted("root")).signed;
    const places = { source, baseUrl: targetsBaseUrl, folder: targetsDir, consistentSnapshot };
    return await fetchTarget(target, places, progress);
  }

  async bundle(path: string): Promise<ReleaseBundle> {
    await this.targetInfo(path);
    const targets = readMetadata("targets", this.#trusted("targets"));
    const role = Object.values(targets.signed.delegations?.roles ?? {})
      .find((each) => each.isDelegatedPath(path));
    return {
      roots: this.#store.roots(),
      timestamp: this.#trusted("timestamp"),
      snapshot: this.#trusted("snapshot"),
      targets: this.#trusted("targets"),
      delegated: role === undefined ? {} : { [role.name]: this.#trusted(role.name) },
      path,
    };
  }

  [Symbol.dispose](): void {
    this.#store.close();
  }

  /** Runs a step of the library, and keeps what it came to trust, whether it ended well or not. */
  async #run<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      throw coded(error, this.#fetcher.failure);
    } finally {
      this.#store.save(this.#fetcher.roots);
    }
  }

  #trusted(role: string): Uint8Array {
    const bytes = this.#store.read(role);
    if (bytes === undefined) {
      throw new CodedError("TUF_REFUSED", `Cannot use ${role} metadata: it is not here`);
    }
    return bytes;
  }
}

/** The library's refusals as ours. @param failure why the last document was not fetched. */
function coded(error: unknown, failure: unknown): CodedError {
  if (error instanceof CodedError) return error;
  if (failure instanceof CodedError) return failure;
  const state = error instanceof Error ? error.message : "it was refused";
  return new CodedError("TUF_REFUSED", `Cannot use the repository's metadata: ${state}`, {}, error);
}
