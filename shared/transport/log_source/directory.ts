/** A log in a folder, laid out as C2SP tlog-tiles serves it. Read only. */

import { CodedError } from "../../base/errors.ts";
import type { LogSource } from "../../log/source.ts";
import { readBounded } from "./bounded.ts";

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
