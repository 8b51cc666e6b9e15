/**
 * Targets: fetched in as many attempts as it takes, each going on where the one before was cut (RFC 9110, 14.2), never longer
 * than what was signed, and under their own name only once length and every hash are right.
 */

import { createHash } from "node:crypto";
import type { TargetFile } from "@tufjs/models";
import { CodedError } from "shared/base/errors.ts";
import { lookAtFile } from "shared/transport/durable_file.ts";
import type { FileSource } from "./http_source.ts";
import "./errors.ts";

/** Hashes that are computed; a target must have one of them, and all that it has must be right. */
const HASHES = ["sha256", "sha384", "sha512"];

/** What is told while a target is fetched: bytes that are here, of how many. */
export type Progress = (bytes: number, length: number) => void;

/** Where a target is fetched from and kept. */
export interface TargetPlaces {
  readonly source: FileSource;
  /** Address that target paths are put after. */
  readonly baseUrl: string;
  readonly folder: string;
  /** Whether the repository names files by their hash. */
  readonly consistentSnapshot: boolean;
}

/**
 * Fetches a target unless it is here already.
 * @returns path of the file.
 * @throws {CodedError} `TUF_UNREACHABLE`, `TUF_TOO_LONG`, `TUF_TARGET_ALTERED`, `TUF_REFUSED`.
 */
export async function fetchTarget(
  target: TargetFile,
  places: TargetPlaces,
  progress: Progress = () => {},
): Promise<string> {
  const path = `${places.folder}/${encodeURIComponent(target.path)}`;
  const [algorithm] = hashesOf(target);
  if (lookAtFile(path)?.bytes === target.length && await isRight(path, target)) {
    progress(target.length, target.length);
    return path;
  }
  // Hidden: what is not verified yet is not among the targets.
  const partial = `${places.folder}/.partial-${target.hashes[algorithm!]}`;
  await Deno.mkdir(places.folder, { recursive: true });
  await goOn(target, partial, places, progress);
  if (!await isRight(partial, target)) {
    await Deno.remove(partial);
    throw new CodedError("TUF_TARGET_ALTERED", `Cannot use ${target.path}: it is not what was signed`, {
      path: target.path,
    });
  }
  await Deno.rename(partial, path);
  return path;
}

async function goOn(
  target: TargetFile,
  partial: string,
  { source, baseUrl, consistentSnapshot }: TargetPlaces,
  progress: Progress,
): Promise<void> {
  let here = lookAtFile(partial)?.bytes ?? 0;
  if (here > target.length) here = 0;
  if (here === target.length && here > 0) return;
  const { status, offset, body, cancel } = await source.get(
    addressOf(target, baseUrl, consistentSnapshot),
    here,
  );
  if (status !== 200 && status !== 206 || offset !== 0 && offset !== here) {
    cancel();
    // 416: the file has another length than what is here; begin anew next time.
    if (status === 416) await Deno.remove(partial);
    throw new CodedError("TUF_UNREACHABLE", `Cannot fetch ${target.path}: the server answers ${status}`);
  }
  using file = await Deno.open(partial, { write: true, create: true, mode: 0o600 });
  await file.truncate(offset);
  await file.seek(offset, Deno.SeekMode.Start);
  let length = offset;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > target.length) {
      await Deno.remove(partial);
      throw new CodedError(
        "TUF_TOO_LONG",
        `Cannot use ${target.path}: it has more than ${target.length} bytes`,
      );
    }
    for (let written = 0; written < chunk.length;) written += await file.write(chunk.subarray(written));
    progress(length, target.length);
  }
  await file.sync();
}

/** Address of a target: its path, with a hash before the file's name in consistent snapshots. Section 6.2. */
function addressOf({ path, hashes }: TargetFile, baseUrl: string, consistentSnapshot: boolean): string {
  const parts = path.split("/");
  if (parts.some((part) => part === "." || part === "..")) {
    throw new CodedError("TUF_REFUSED", `Cannot fetch ${path}: its path leads elsewhere`, { path });
  }
  const name = parts.pop()!;
  const file = consistentSnapshot ? `${Object.values(hashes)[0]}.${name}` : name;
  const place = [...parts, file].map(encodeURIComponent).join("/");
  return `${baseUrl.replace(/\/+$/, "")}/${place}`;
}

function hashesOf({ path, hashes }: TargetFile): string[] {
  const names = Object.keys(hashes);
  const right = names.length > 0 &&
    names.every((name) => HASHES.includes(name) && /^[0-9a-f]{64,128}$/.test(hashes[name]!));
  if (right) return names;
  throw new CodedError("TUF_REFUSED", `Cannot use ${path}: it is signed with hashes ${names.join(", ")}`, {
    path,
  });
}

async function isRight(path: string, target: TargetFile): Promise<boolean> {
  const digests = hashesOf(target).map((name) => ({ name, digest: createHash(name) }));
  let length = 0;
  using file = await Deno.open(path);
  const buffer = new Uint8Array(65_536);
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    length += read;
    for (const { digest } of digests) digest.update(buffer.subarray(0, read));
  }
  return length === target.length &&
    digests.every(({ name, digest }) => digest.digest("hex") === target.hashes[name]);
}
