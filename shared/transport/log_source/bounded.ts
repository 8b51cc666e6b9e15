/** Files of a log are read to their end, and never further than one of that kind can be long. */

import { CodedError, defineErrors } from "../../base/errors.ts";

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

defineErrors({
  LOG_SOURCE_UNAVAILABLE: {
    fault: "service",
    retry: true,
    next: "Check the folder or the address of the log.",
  },
  LOG_SOURCE_TOO_LARGE: {
    fault: "peer",
    retry: false,
    next: "No file of a log is that long: keep it, and ask whoever runs the log.",
  },
});
