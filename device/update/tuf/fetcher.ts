/** What the library fetches with: our source, bounded, and every document looked at before the library reads it. */

import { Buffer } from "node:buffer";
import { CodedError } from "shared/base/errors.ts";
import { checkDocument } from "shared/protocol/release/document.ts";
import { DownloadHTTPError } from "./library.ts";
import type { FileSource } from "./http_source.ts";
import "./errors.ts";

/** Longest document of any kind, in bytes, whatever length was signed. */
const DOCUMENT_BYTES_MAX = 5_000_000;

/** Fetches metadata for the library; targets never come this way (download.ts). */
export class MetadataFetcher {
  readonly #source: FileSource;
  readonly #roots = new Map<number, Uint8Array>();
  #failure: unknown;

  /** @param source where documents come from. */
  constructor(source: FileSource) {
    this.#source = source;
  }

  /** Roots that were fetched, by their version. They are verified only where the library went on after them. */
  get roots(): ReadonlyMap<number, Uint8Array> {
    return this.#roots;
  }

  /** Why the last document was not fetched: the library puts its own words in place of it. */
  get failure(): unknown {
    return this.#failure;
  }

  /** A document, refused when it is longer than `maxLength` bytes, or when it has two readings. */
  async downloadBytes(url: string, maxLength: number): Promise<Buffer> {
    try {
      const bytes = await this.#download(url, Math.min(maxLength, DOCUMENT_BYTES_MAX));
      const version = /^(\d{1,9})\.root\.json$/.exec(name(url))?.[1];
      if (version !== undefined) this.#roots.set(Number(version), bytes);
      this.#failure = undefined;
      return bytes;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  async #download(url: string, maxLength: number): Promise<Buffer> {
    const { status, body, cancel } = await this.#source.get(url, 0);
    // The library takes 403 and 404 of a root as the end of the chain.
    if (status !== 200) {
      cancel();
      throw new DownloadHTTPError(`the server answers ${status} for ${name(url)}`, status);
    }
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > maxLength) {
        throw new CodedError("TUF_TOO_LONG", `Cannot use ${name(url)}: it has more than ${maxLength} bytes`);
      }
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    checkDocument(name(url), bytes);
    return bytes;
  }

  /** The library's way to targets: not used. */
  downloadFile<T>(url: string): Promise<T> {
    return Promise.reject(new CodedError("TUF_REFUSED", `Cannot fetch ${name(url)}: not by this way`));
  }
}

function name(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}
