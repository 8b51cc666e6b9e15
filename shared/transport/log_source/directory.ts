/** A log in a folder, laid out as C2SP tlog-tiles serves it. Read only. */

import { CodedError } from "../../base/errors.ts";
import type { LogSource } from "../../log/source.ts";

/** Makes the source of a folder. */
export function directorySource(folder: string): LogSource {
  return {
    name: folder,
    async read(path, maxBytes) {
      let file: Deno.FsFile;
      try {
        file = await Deno.open(`${folder}/${path}`, { read: true });
      } catch (error) {
        // `000` may be a file where a folder of partial tiles is asked for: then there is none either.
        if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
          return undefined;
        }
        throw new CodedError("LOG_SOURCE_UNAVAILABLE", `Cannot read ${path} of ${folder}`, {}, error);
      }
      try {
        return await readBounded(file.readable, maxBytes, path);
      } catch (error) {
        if (error instanceof CodedError) throw error;
        throw new CodedError("LOG_SOURCE_UNAVAILABLE", `Cannot read ${path} of ${folder}`, {}, error);
      }
    },
  };
}

/** Reads a stream to its end, at most `maxBytes`. @throws {CodedError} `LOG_SOURCE_TOO_LARGE`. */
export async function readBounded(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  path: string,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels the stream, which closes the file or the connection.
  for await (const part of stream) {
    length += part.length;
    if (length > maxBytes) {
      throw new CodedError("LOG_SOURCE_TOO_LARGE", `Cannot read ${path}: over ${maxBytes} bytes`);
    }
    parts.push(part);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
