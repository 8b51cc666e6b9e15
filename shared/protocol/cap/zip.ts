/**
 * The zip layer of a CAP file. fflate inflates; the directory is read here, because fflate checks neither checksums nor
 * sizes, and lets a second entry of one name replace the first: what is signed must be what everybody else would read.
 * PKWARE APPNOTE 6.3.10, section 4.
 */

import { crc32 } from "node:zlib";
import { Inflate } from "fflate";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** Largest archive, in bytes. */
export const ZIP_BYTES_MAX = 1 << 20;
/** Most entries. */
export const ZIP_ENTRIES_MAX = 1024;

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const CENTRAL_SIGNATURE = 0x02014b50;
const CENTRAL_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const FLAG_ENCRYPTED = 0x0001;
const FLAG_DATA_DESCRIPTOR = 0x0008;
const FLAG_PATCHED = 0x0020;
const FLAG_STRONG_ENCRYPTION = 0x0040;
const METHOD_STORED = 0;
const METHOD_DEFLATED = 8;
/** Compressed bytes given to the inflater at once: bounds what a bomb may produce before it is seen (about 1 MiB). */
const INFLATE_STEP_BYTES = 1024;

/** One file of an archive, not yet inflated. */
export interface ZipEntry {
  readonly name: string;
  /** Inflated length that the directory promises, in bytes. */
  readonly size: number;
  /** Inflates and checks. @throws {CodedError} `CAP_TOO_LARGE` over the limit, `CAP_ZIP`, `CAP_CHECKSUM`. */
  read(limitBytes: number): Uint8Array;
}

function fault(what: string): CodedError {
  return new CodedError("CAP_ZIP", `Cannot read CAP file: ${what}`);
}

/** End record: the last bytes of the file, its comment included. */
function findEnd(view: DataView): number {
  const last = view.byteLength - END_BYTES;
  for (let at = last; at >= 0 && last - at <= 0xffff; at--) {
    if (view.getUint32(at, true) === END_SIGNATURE && view.getUint16(at + 20, true) === last - at) return at;
  }
  throw fault("it is no zip archive, or cut off");
}

function inflate(compressed: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  let length = 0;
  const stream = new Inflate((chunk) => {
    if (length + chunk.length > size) throw fault("an entry is longer than its directory says");
    output.set(chunk, length);
    length += chunk.length;
  });
  try {
    for (let offset = 0; offset < compressed.length; offset += INFLATE_STEP_BYTES) {
      const end = Math.min(offset + INFLATE_STEP_BYTES, compressed.length);
      stream.push(compressed.subarray(offset, end), end === compressed.length);
    }
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError("CAP_ZIP", "Cannot read CAP file: an entry does not inflate", {}, error);
  }
  if (length !== size) throw fault("an entry is shorter than its directory says");
  return output;
}

/** Bytes of an entry's data inside the archive, from its local header, which must agree with the directory. */
function locate(
  bytes: Uint8Array,
  view: DataView,
  local: number,
  central: {
    readonly at: number;
    readonly name: Uint8Array;
    readonly flags: number;
    readonly method: number;
  },
  directoryStart: number,
): { readonly start: number; readonly end: number } {
  const { at } = central;
  if (local + LOCAL_BYTES > directoryStart || view.getUint32(local, true) !== LOCAL_SIGNATURE) {
    throw fault("an entry is not where its directory says");
  }
  const nameLength = view.getUint16(local + 26, true);
  const name = bytes.subarray(local + LOCAL_BYTES, local + LOCAL_BYTES + nameLength);
  const sameName = name.length === central.name.length && name.every((byte, i) => byte === central.name[i]);
  const flags = view.getUint16(local + 6, true);
  if (!sameName || flags !== central.flags || view.getUint16(local + 8, true) !== central.method) {
    throw fault("an entry's two headers differ");
  }
  if ((flags & FLAG_DATA_DESCRIPTOR) === 0) {
    // Checksum and both sizes stand in both headers.
    for (const offset of [0, 4, 8]) {
      if (view.getUint32(local + 14 + offset, true) !== view.getUint32(at + 16 + offset, true)) {
        throw fault("an entry's two headers differ");
      }
    }
  }
  const start = local + LOCAL_BYTES + nameLength + view.getUint16(local + 28, true);
  const end = start + view.getUint32(at + 20, true);
  if (end > directoryStart) throw fault("an entry runs into the directory");
  return { start, end };
}

/**
 * Reads the directory. Nothing is inflated before `read`.
 * @throws {CodedError} `CAP_TOO_LARGE` over 1 MiB or 1024 entries, `CAP_ZIP` for anything malformed, encrypted, in
 * several parts, zip64, overlapping, or with bytes before or between that no entry explains by its headers.
 */
export function readZip(bytes: Uint8Array): ZipEntry[] {
  if (bytes.length > ZIP_BYTES_MAX) {
    throw new CodedError("CAP_TOO_LARGE", `Cannot read CAP file: ${bytes.length} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = findEnd(view);
  const count = view.getUint16(end + 10, true);
  const directoryStart = view.getUint32(end + 16, true);
  const parts = view.getUint16(end + 4, true) + view.getUint16(end + 6, true);
  if (parts !== 0 || view.getUint16(end + 8, true) !== count) throw fault("it is one part of several");
  if (directoryStart + view.getUint32(end + 12, true) !== end) {
    throw fault("its directory is not where it says");
  }
  if (count > ZIP_ENTRIES_MAX) {
    throw new CodedError("CAP_TOO_LARGE", `Cannot read CAP file: ${count} entries`);
  }

  const entries: ZipEntry[] = [];
  const names = new Set<string>();
  const ranges: { readonly start: number; readonly end: number }[] = [];
  let at = directoryStart;
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > end || view.getUint32(at, true) !== CENTRAL_SIGNATURE) {
      throw fault("its directory is cut off");
    }
    const flags = view.getUint16(at + 8, true);
    const method = view.getUint16(at + 10, true);
    const checksum = view.getUint32(at + 16, true);
    const size = view.getUint32(at + 24, true);
    const nameEnd = at + CENTRAL_BYTES + view.getUint16(at + 28, true);
    const next = nameEnd + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > end) throw fault("its directory is cut off");
    if ((flags & (FLAG_ENCRYPTED | FLAG_PATCHED | FLAG_STRONG_ENCRYPTION)) !== 0) {
      throw fault("it is encrypted");
    }
    if (method !== METHOD_STORED && method !== METHOD_DEFLATED) {
      throw fault("an entry is compressed in another way");
    }

    const rawName = bytes.subarray(at + CENTRAL_BYTES, nameEnd);
    const name = decodeName(rawName);
    if (names.has(name)) {
      throw new CodedError("CAP_DUPLICATE", "Cannot read CAP file: two entries have one name");
    }
    names.add(name);
    const local = view.getUint32(at + 42, true);
    const range = locate(bytes, view, local, { at, name: rawName, flags, method }, directoryStart);
    ranges.push({ start: local, end: range.end });
    entries.push({
      name,
      size,
      read(limitBytes) {
        if (size > limitBytes) {
          throw new CodedError("CAP_TOO_LARGE", `Cannot read CAP file: an entry has ${size} bytes`);
        }
        const data = bytes.subarray(range.start, range.end);
        if (method === METHOD_STORED && data.length !== size) throw fault("an entry's sizes differ");
        const content = method === METHOD_STORED ? data.slice() : inflate(data, size);
        if (crc32(content) !== checksum) {
          throw new CodedError("CAP_CHECKSUM", "Cannot read CAP file: an entry's checksum is wrong");
        }
        return content;
      },
    });
    at = next;
  }
  if (at !== end) throw fault("its directory has bytes left over");
  ranges.sort((a, b) => a.start - b.start);
  if (ranges.some((range, i) => i > 0 && range.start < ranges[i - 1]!.end)) throw fault("entries overlap");
  return entries;
}

/** Names are compared byte for byte by every reader only when they are plain; others are kept apart by escapes. */
function decodeName(bytes: Uint8Array): string {
  let name = "";
  for (const byte of bytes) {
    if (byte === 0) throw fault("an entry's name holds a zero byte");
    name += byte < 0x80 ? String.fromCharCode(byte) : `%${byte.toString(16)}`;
  }
  return name;
}
