/** Files of mirrored logs: a folder that keeps them, and sources over HTTPS or from a folder. */

import { dirname } from "node:path";
import { CodedError, codeOf } from "../../base/errors.ts";
import { type ClientTls, httpClient } from "./http_client.ts";
import { ENTRY_LENGTH_MAX, parseTilePath, TILE_WIDTH } from "../tile.ts";
import "./mirror.ts";
import type { TileSource, TileStore } from "./mirror.ts";

/** Longest file in bytes: a full bundle of the longest entries. */
export const MIRROR_FILE_BYTES_MAX = TILE_WIDTH * (ENTRY_LENGTH_MAX + 2);

/** Keeps files in a folder, written whole or not at all. */
export function tileFolder(folder: string): TileStore {
  return {
    async read(path) {
      try {
        return await Deno.readFile(`${folder}/${checked(path)}`);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw storeFault(error);
      }
    },
    async write(path, content) {
      const target = `${folder}/${checked(path)}`;
      try {
        await Deno.mkdir(dirname(target), { recursive: true, mode: 0o700 });
        using file = await Deno.open(`${target}.new`, {
          write: true,
          create: true,
          truncate: true,
          mode: 0o600,
        });
        for (let written = 0; written < content.length;) {
          written += await file.write(content.subarray(written));
        }
        await file.sync();
        await Deno.rename(`${target}.new`, target);
      } catch (error) {
        throw storeFault(error);
      }
    },
  };
}

/** Files that a log publishes in a folder, such as a mounted one. */
export function folderSource(folder: string): TileSource {
  return {
    async fetch(path) {
      try {
        const { size } = await Deno.stat(`${folder}/${checked(path)}`);
        if (size > MIRROR_FILE_BYTES_MAX) throw unavailable(path, "it is too long");
        return await Deno.readFile(`${folder}/${path}`);
      } catch (error) {
        throw error instanceof CodedError ? error : unavailable(path, (error as Error).name);
      }
    },
  };
}

/**
 * Files that a log publishes over HTTPS.
 * @param prefix address without a slash at its end.
 * @param deadlineMs for each file, in milliseconds.
 */
export function httpsSource(prefix: string, deadlineMs: number, tls?: ClientTls): TileSource {
  const client = httpClient(tls);
  return {
    async fetch(path) {
      const url = `${prefix}/${checked(path)}`;
      try {
        const { status, body } = await client.request({ url, deadlineMs, bytesMax: MIRROR_FILE_BYTES_MAX });
        if (status !== 200) throw unavailable(path, `status ${status}`);
        return body;
      } catch (error) {
        throw error instanceof CodedError ? error : unavailable(path, (error as Error).message);
      }
    },
  };
}

/** The path itself, when it is one: it becomes part of a file name. */
function checked(path: string): string {
  parseTilePath(path);
  return path;
}

function unavailable(path: string, why: string): CodedError {
  return new CodedError("MIRROR_SOURCE", `Cannot fetch ${path}: ${why}`);
}

function storeFault(error: unknown): CodedError {
  return new CodedError(
    "MIRROR_STORE",
    `Cannot use the mirror's folder: ${codeOf(error)}, ${(error as Error).name}`,
  );
}
