/**
 * A repository's folder.
 *
 *     public/metadata/N.ROLE.json, timestamp.json   what is published (static files)
 *     public/targets/PRODUCT/VERSION/HASH.FILE      packages
 *     public/log/, public/log/proofs/HASH           the log of releases, a proof for each package
 *     public/halt.json                              halts
 *     pending/ROLE.json                             what holders sign, with the signatures that are there
 *     packages/FILE                                 packages of what is pending
 *     private/log.sqlite                            sequence of the log
 */

import { createHash } from "node:crypto";
import { CodedError } from "shared/base/errors.ts";
import { toUtf8 } from "shared/base/bytes.ts";
import { type Halt, parseHalts } from "shared/protocol/release/halt.ts";
import { replaceFile } from "shared/transport/durable_file.ts";
import type { MetaJson, SignedJson } from "../../domain/release/documents.ts";
import "../../domain/release/errors.ts";

/** A document with its signatures. */
export interface Envelope {
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  readonly signed: SignedJson;
}

/** Files of one repository. */
export class ReleaseFolder {
  /** @param path absolute. */
  constructor(readonly path: string) {}

  /** Makes the folders. @throws {CodedError} `RELEASE_EXISTS` when a repository is there. */
  make(): void {
    if (this.exists("public/metadata") || this.exists("pending")) {
      throw new CodedError("RELEASE_EXISTS", `Cannot make a repository in ${this.path}: there is one`);
    }
    for (
      const folder of [
        "public/metadata",
        "public/targets",
        "public/log/proofs",
        "pending",
        "packages",
        "private",
      ]
    ) {
      Deno.mkdirSync(`${this.path}/${folder}`, {
        recursive: true,
        mode: folder === "private" ? 0o700 : 0o755,
      });
    }
  }

  /** Whether a file or folder is there. */
  exists(name: string): boolean {
    try {
      Deno.statSync(`${this.path}/${name}`);
      return true;
    } catch {
      return false;
    }
  }

  /** Bytes of a file. @throws {CodedError} `RELEASE_FOLDER`. */
  read(name: string): Uint8Array {
    try {
      return Deno.readFileSync(`${this.path}/${name}`);
    } catch {
      throw new CodedError("RELEASE_FOLDER", `Cannot read ${name} of ${this.path}: it is not there`);
    }
  }

  /** Replaces a file, whole or not at all; published ones can be read by everybody. */
  write(name: string, bytes: Uint8Array): void {
    const path = `${this.path}/${name}`;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    replaceFile(path, new Uint8Array(bytes));
    if (name.startsWith("public/")) Deno.chmodSync(path, 0o644);
  }

  /** Removes a file that is there. */
  remove(name: string): void {
    Deno.removeSync(`${this.path}/${name}`);
  }

  /** The newest published version of a role; 0: none. */
  newest(role: string): number {
    if (role === "timestamp") return this.exists(TIMESTAMP) ? this.#envelope(TIMESTAMP).signed.version : 0;
    const versions = [...Deno.readDirSync(`${this.path}/public/metadata`)]
      .map(({ name }) => /^(\d+)\.(.+)\.json$/.exec(name))
      .filter((match) => match !== null && decodeURIComponent(match[2]!) === role)
      .map((match) => Number(match![1]));
    return Math.max(0, ...versions);
  }

  /** File of a version of a role. */
  fileOf(role: string, version: number): string {
    return role === "timestamp" ? TIMESTAMP : `public/metadata/${version}.${encodeURIComponent(role)}.json`;
  }

  /** The newest published document of a role. @throws {CodedError} `RELEASE_FOLDER`. */
  published(role: string): Envelope {
    return this.#envelope(this.fileOf(role, this.newest(role)));
  }

  /** What is pending, by role: root first, then targets, then products. */
  pending(): Map<string, Envelope> {
    const names = [...Deno.readDirSync(`${this.path}/pending`)].map(({ name }) => name)
      .filter((name) => name.endsWith(".json")).map((name) => decodeURIComponent(name.slice(0, -5)));
    const rank = (role: string) => role === "root" ? 0 : role === "targets" ? 1 : 2;
    return new Map(
      names.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
        .map((role) => [role, this.#envelope(`pending/${encodeURIComponent(role)}.json`)]),
    );
  }

  /** Makes a document pending, or keeps it with one more signature. */
  keepPending(role: string, envelope: Envelope): void {
    this.write(`pending/${encodeURIComponent(role)}.json`, encode(envelope));
  }

  /** Publishes a document. */
  publish(role: string, envelope: Envelope): void {
    this.write(this.fileOf(role, envelope.signed.version), encode(envelope));
  }

  /** What a snapshot or timestamp says of the newest document of a role. */
  metaOf(role: string): MetaJson {
    const version = this.newest(role);
    const bytes = this.read(this.fileOf(role, version));
    return {
      version,
      length: bytes.length,
      hashes: { sha256: createHash("sha256").update(bytes).digest("hex") },
    };
  }

  /** Halts that are published. */
  halts(): Halt[] {
    if (!this.exists(HALTS)) return [];
    return parseHalts(JSON.parse(new TextDecoder().decode(this.read(HALTS))));
  }

  /** Publishes halts. */
  keepHalts(halts: readonly Halt[]): void {
    this.write(HALTS, toUtf8(JSON.stringify(halts, null, 1) + "\n"));
  }

  #envelope(name: string): Envelope {
    return JSON.parse(new TextDecoder().decode(this.read(name))) as Envelope;
  }
}

const TIMESTAMP = "public/metadata/timestamp.json";
const HALTS = "public/halt.json";

function encode(envelope: Envelope): Uint8Array {
  return toUtf8(JSON.stringify(envelope, null, 1) + "\n");
}
