/**
 * Proof files (C2SP tlog-proof): that an entry is in a log, checkable off line with the log's verifier key alone. The checkpoint
 * is carried as the log published it, with its signatures; the extra data is not authenticated by anything.
 */

import { fromStrictBase64 } from "../base/base64.ts";
import { concat, toUtf8 } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { exactText, parseDecimal } from "./text.ts";
import { HASH_LENGTH, PROOF_HASHES_MAX } from "./merkle.ts";
import { NOTE_BYTES_MAX } from "./note.ts";

/** First line of every proof. */
export const TLOG_PROOF_HEADER = "c2sp.org/tlog-proof@v1";
/** Longest extra data in bytes: the entry itself fits. */
export const TLOG_PROOF_EXTRA_MAX = 0xffff;

/** A proof file, taken apart and not verified. */
export interface TlogProof {
  /** Opaque; ours carry the entry itself here. */
  readonly extra?: Uint8Array;
  /** Index of the entry in the log. */
  readonly index: number;
  /** Inclusion proof, lowest first, 32 bytes each. */
  readonly hashes: readonly Uint8Array[];
  /** The checkpoint note, byte for byte. */
  readonly checkpoint: Uint8Array;
}

/** Writes a proof file. @throws {CodedError} `TLOG_PROOF_MALFORMED` for what could not be read again. */
export function formatTlogProof({ extra, index, hashes, checkpoint }: TlogProof): Uint8Array {
  if (!Number.isSafeInteger(index) || index < 0) throw malformed("an index out of range");
  if (hashes.length > PROOF_HASHES_MAX || hashes.some(({ length }) => length !== HASH_LENGTH)) {
    throw malformed(`hashes that are not 32 bytes, or more than ${PROOF_HASHES_MAX}`);
  }
  if (checkpoint.length === 0) throw malformed("no checkpoint");
  if (extra !== undefined && (extra.length === 0 || extra.length > TLOG_PROOF_EXTRA_MAX)) {
    throw malformed("extra data of no byte or too many");
  }
  const lines = [
    TLOG_PROOF_HEADER,
    ...(extra === undefined ? [] : [`extra ${extra.toBase64()}`]),
    `index ${index}`,
    ...hashes.map((hash) => hash.toBase64()),
    "",
    "",
  ];
  return concat(toUtf8(lines.join("\n")), checkpoint);
}

/** Takes a proof file apart. The checkpoint is not looked into. @throws {CodedError} `TLOG_PROOF_MALFORMED`. */
export function parseTlogProof(bytes: Uint8Array): TlogProof {
  if (bytes.length > NOTE_BYTES_MAX + 4 * TLOG_PROOF_EXTRA_MAX) throw malformed("too large");
  const text = exactText(bytes);
  if (text === undefined) throw malformed("it is not UTF-8");
  // The first empty line ends the proof: no line before it may be empty, and the checkpoint has its own behind it.
  const end = text.indexOf("\n\n");
  if (end < 0) throw malformed("no empty line before the checkpoint");
  const lines = text.slice(0, end).split("\n");
  if (lines.shift() !== TLOG_PROOF_HEADER) throw malformed(`the first line is not ${TLOG_PROOF_HEADER}`);
  let extra: Uint8Array | undefined;
  if (lines[0]?.startsWith("extra ")) {
    extra = fromStrictBase64(lines.shift()!.slice("extra ".length));
    if (extra === undefined || extra.length === 0 || extra.length > TLOG_PROOF_EXTRA_MAX) {
      throw malformed("extra data that is not Base64, empty or too long");
    }
  }
  const indexLine = lines.shift();
  const index = indexLine?.startsWith("index ") ? parseDecimal(indexLine.slice("index ".length)) : undefined;
  if (index === undefined) throw malformed("no index");
  if (lines.length > PROOF_HASHES_MAX) throw malformed(`more than ${PROOF_HASHES_MAX} hashes`);
  const hashes = lines.map((line) => {
    const hash = fromStrictBase64(line);
    if (hash?.length !== HASH_LENGTH) throw malformed("a hash that is not the Base64 text of 32 bytes");
    return hash;
  });
  const checkpoint = toUtf8(text.slice(end + 2));
  if (checkpoint.length === 0) throw malformed("no checkpoint");
  return { ...(extra === undefined ? {} : { extra }), index, hashes, checkpoint };
}

function malformed(state: string): CodedError {
  return new CodedError("TLOG_PROOF_MALFORMED", `Cannot read proof: ${state}`);
}

defineErrors({
  TLOG_PROOF_MALFORMED: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "It is no proof file (C2SP tlog-proof@v1): `rk log prove` writes one.",
  },
});
