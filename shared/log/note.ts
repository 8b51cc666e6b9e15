/**
 * Signed notes (C2SP signed-note): a text, an empty line, signature lines `— <key name> <base64(key ID || signature)>`.
 * Parsing says nothing about who signed: that is {@link verifyNote}, against keys that the caller trusts.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { fromStrictBase64 } from "../base/base64.ts";
import { concat, readUint, toUtf8, writeUint } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { exactText } from "./text.ts";

/** Longest note in bytes. */
export const NOTE_BYTES_MAX = 1_000_000;
/** Most signature lines of one note; the specification asks for 16 at least. */
export const NOTE_SIGNATURES_MAX = 100;
/** Length of a key ID in bytes. */
export const KEY_ID_LENGTH = 4;

const SIGNATURE_PREFIX = "— ";
const SEPARATOR = "\n\n";

/** One signature line. */
export interface NoteSignature {
  /** Key name. */
  readonly name: string;
  /** Key ID: an unsigned 32-bit number. With the name it says which key signed, and how. */
  readonly keyId: number;
  /** Signature as its type has it, without the key ID. */
  readonly signature: Uint8Array;
}

/** A note as it was read: nothing in it is verified. */
export interface Note {
  /** What was signed, with its final newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A public key that notes are verified with. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: number;
  /** Whether `signature` (without the key ID) is this key's for a note's text. */
  verify(text: string, signature: Uint8Array): boolean;
}

/** A key that signs notes; it may live in a token, so that signing takes its time. */
export interface NoteSigner {
  readonly name: string;
  readonly keyId: number;
  /** Signature of a note's text, without the key ID. */
  sign(text: string): Promise<Uint8Array>;
}

/** Whether a text may be a key name: not empty, no Unicode space, no plus, no control character. */
export function isKeyName(name: string): boolean {
  // deno-lint-ignore no-control-regex -- control characters are what is refused
  return name.length > 0 && name.isWellFormed() && !/[\p{White_Space}+\u0000-\u001f]/u.test(name);
}

/**
 * The key ID: first 4 bytes of SHA-256(name || 0x0A || type || public key), as a number.
 * @param type signature type identifier byte.
 */
export function noteKeyId(name: string, type: number, publicKey: Uint8Array): number {
  return readUint(
    sha256(concat(toUtf8(name), Uint8Array.of(0x0a, type), publicKey)).subarray(0, KEY_ID_LENGTH),
  );
}

function malformed(state: string): CodedError {
  return new CodedError("NOTE_MALFORMED", `Cannot read note: ${state}`);
}

/**
 * Reads a note. The bytes it accepts are those that {@link formatNote} writes for the result, no others.
 * @throws {CodedError} `NOTE_MALFORMED`, `NOTE_TOO_LARGE`.
 */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > NOTE_BYTES_MAX) {
    throw new CodedError("NOTE_TOO_LARGE", `Cannot read note: ${bytes.length} bytes, over ${NOTE_BYTES_MAX}`);
  }
  const content = exactText(bytes);
  if (content === undefined) throw malformed("it is not UTF-8");
  checkCharacters(content);
  const split = content.lastIndexOf(SEPARATOR);
  if (split < 0) throw malformed("no empty line before the signatures");
  const text = content.slice(0, split + 1);
  const block = content.slice(split + SEPARATOR.length);
  if (block === "") throw malformed("no signature");
  if (!block.endsWith("\n")) throw malformed("the last line has no newline");
  const lines = block.slice(0, -1).split("\n");
  if (lines.length > NOTE_SIGNATURES_MAX) {
    throw new CodedError(
      "NOTE_TOO_LARGE",
      `Cannot read note: ${lines.length} signatures, over ${NOTE_SIGNATURES_MAX}`,
    );
  }
  return { text, signatures: lines.map(parseSignatureLine) };
}

function checkCharacters(content: string): void {
  // deno-lint-ignore no-control-regex -- control characters are what is refused
  if (/[\u0000-\u0009\u000b-\u001f]/.test(content)) throw malformed("a control character");
}

/** Reads one line without its newline. @throws {CodedError} `NOTE_MALFORMED`. */
export function parseSignatureLine(line: string): NoteSignature {
  const parts = line.startsWith(SIGNATURE_PREFIX) ? line.slice(SIGNATURE_PREFIX.length).split(" ") : [];
  if (parts.length !== 2) throw malformed("a signature line of another form");
  const [name, encoded] = parts as [string, string];
  if (!isKeyName(name)) throw malformed("a key name with a space, a plus or nothing");
  const blob = fromStrictBase64(encoded);
  if (blob === undefined) throw malformed("a signature that is not Base64");
  if (blob.length <= KEY_ID_LENGTH) throw malformed("a signature without content");
  return {
    name,
    keyId: readUint(blob.subarray(0, KEY_ID_LENGTH)),
    signature: blob.slice(KEY_ID_LENGTH),
  };
}

/** One signature line with its newline. */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  return `${SIGNATURE_PREFIX}${name} ${concat(writeUint(keyId, KEY_ID_LENGTH), signature).toBase64()}\n`;
}

/**
 * Writes a note. @throws {CodedError} `NOTE_MALFORMED` when the text does not end in a newline or has control characters, a
 * name is none, or no signature is given.
 */
export function formatNote({ text, signatures }: Note): Uint8Array {
  if (!text.endsWith("\n")) throw malformed("the text has no final newline");
  if (!text.isWellFormed()) throw malformed("it is not UTF-8");
  checkCharacters(text);
  if (signatures.length === 0) throw malformed("no signature");
  for (const { name, signature } of signatures) {
    if (!isKeyName(name)) throw malformed("a key name with a space, a plus or nothing");
    if (signature.length === 0) throw malformed("a signature without content");
  }
  return toUtf8(`${text}\n${signatures.map(formatSignatureLine).join("")}`);
}

/** Signs a text. @throws {CodedError} `NOTE_MALFORMED` as {@link formatNote}. */
export async function signNote(text: string, signers: readonly NoteSigner[]): Promise<Uint8Array> {
  const signatures: NoteSignature[] = [];
  for (const signer of signers) {
    signatures.push({ name: signer.name, keyId: signer.keyId, signature: await signer.sign(text) });
  }
  return formatNote({ text, signatures });
}

/** A signature that was verified, with the key that did it. */
export interface VerifiedSignature extends NoteSignature {
  readonly verifier: NoteVerifier;
}

/**
 * The signatures of a note that known keys made, in the note's order. Signatures of other keys are ignored, as the
 * specification says; a known key's signature that does not verify refuses the whole note, and so does a known key that signed
 * twice: readers could choose different ones.
 * @returns at least one signature.
 * @throws {CodedError} `NOTE_SIGNATURE`, `NOTE_SIGNATURE_TWICE`, `NOTE_UNSIGNED`.
 */
export function verifyNote(note: Note, verifiers: readonly NoteVerifier[]): VerifiedSignature[] {
  const verified: VerifiedSignature[] = [];
  for (const signature of note.signatures) {
    const verifier = verifiers.find(({ name, keyId }) =>
      name === signature.name && keyId === signature.keyId
    );
    if (verifier === undefined) continue;
    if (verified.some((other) => other.verifier === verifier)) {
      throw new CodedError("NOTE_SIGNATURE_TWICE", `Cannot trust note: ${signature.name} signed it twice`);
    }
    if (!verifier.verify(note.text, signature.signature)) {
      throw new CodedError(
        "NOTE_SIGNATURE",
        `Cannot trust note: the signature of ${signature.name} is not valid`,
      );
    }
    verified.push({ ...signature, verifier });
  }
  if (verified.length === 0) {
    throw new CodedError("NOTE_UNSIGNED", "Cannot trust note: no known key has signed it");
  }
  return verified;
}

defineErrors({
  NOTE_MALFORMED: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "It is no signed note (C2SP signed-note): get the file again from where it was published.",
  },
  NOTE_TOO_LARGE: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "A note of this size is not read: check what was given.",
  },
  NOTE_SIGNATURE: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "The note was changed or forged: keep it, and ask whoever runs the log.",
  },
  NOTE_SIGNATURE_TWICE: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "One key signs a note once: take out the second line.",
  },
  NOTE_UNSIGNED: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "Give the verifier key (vkey) of the log, or of whoever signed the note.",
  },
});
