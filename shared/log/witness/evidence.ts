/**
 * Evidence: one self-contained JSON file that shows what a log signed that cannot both be true. Nothing in it is believed:
 * {@link judgeEvidence} computes everything again from the file and from keys.
 */

import { z } from "zod";
import { fromStrictBase64 } from "../../base/base64.ts";
import { equal, toUtf8 } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { type Checkpoint, parseCheckpoint } from "../checkpoint.ts";
import { HASH_LENGTH, verifyConsistency } from "../merkle.ts";
import { parseNote, verifyNote } from "../note.ts";
import { ed25519Verifier, parseVerifierKey } from "../vkey.ts";
import { judgeTiles } from "./evidence_tiles.ts";

/** First field of every file. */
export const EVIDENCE_FORMAT = "recovery-key/log-evidence/v1";
/** Longest file in bytes that is read. */
export const EVIDENCE_BYTES_MAX = 32_000_000;

/** Kinds of contradiction; what each proves stands in docs/operations/witness.md. */
export const EVIDENCE_KINDS = [
  "two-roots",
  "other-history",
  "unproven-growth",
  "went-back",
  "tiles",
] as const;
/** One of {@link EVIDENCE_KINDS}. */
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

const Base64 = z.string().max(64);
const EvidenceFile = z.strictObject({
  format: z.literal(EVIDENCE_FORMAT),
  kind: z.enum(EVIDENCE_KINDS),
  origin: z.string().min(1).max(1024),
  /** Verifier keys of the log as the witness knew them. */
  logKeys: z.array(z.string().max(1024)).min(1).max(16),
  /** The whole note that was there first: cosigned, or smaller. Absent with kind `tiles`. */
  first: z.string().max(70_000).optional(),
  /** The whole note that contradicts it. */
  second: z.string().max(70_000),
  /** Consistency proof from the first size to the second, lowest hash first. */
  proof: z.array(Base64).max(63).default([]),
  /** With kind `other-history`: the root that the second tree has at the first size. */
  rootInSecond: Base64.optional(),
  /** With kind `tiles`: path and content of what the log served. */
  tiles: z.array(z.strictObject({ path: z.string().max(256), content: z.string().max(24_000_000) })).max(16)
    .default([]),
  /** Verifier key of the witness that kept this. */
  witness: z.string().max(1024),
  /** When it was found, RFC 3339 in UTC, by the witness's clock. */
  foundAt: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/),
});

/** The file's content. */
export type Evidence = z.infer<typeof EvidenceFile>;

/** What a file turned out to be worth. */
export interface EvidenceVerdict {
  /**
   * `proven`: the log's key signed two things that cannot both be true. `inconclusive`: the signatures are genuine, but an honest
   * log could have come to this. `forged`: the file does not show what it says.
   */
  readonly verdict: "proven" | "inconclusive" | "forged";
  /** Plain words, one sentence each. */
  readonly explanation: readonly string[];
  /** Names and key IDs of the log's keys that signed, as `<name>+<key ID>`. */
  readonly signedBy: readonly string[];
}

/** Reads a file's form. @throws {CodedError} `EVIDENCE_MALFORMED`. */
export function parseEvidence(bytes: Uint8Array): Evidence {
  if (bytes.length > EVIDENCE_BYTES_MAX) throw malformed(`over ${EVIDENCE_BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw malformed("it is not JSON");
  }
  const parsed = EvidenceFile.safeParse(value);
  if (!parsed.success) {
    throw malformed(
      parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
    );
  }
  return parsed.data;
}

/** Writes a file. */
export function formatEvidence(evidence: Evidence): Uint8Array<ArrayBuffer> {
  return toUtf8(`${JSON.stringify(evidence, undefined, 1)}\n`) as Uint8Array<ArrayBuffer>;
}

/**
 * Verifies everything in a file again.
 * @param keys verifier keys of the log that the reader trusts; without them the file's own keys are used, and whose they are is
 *   for the reader to find out.
 */
export async function judgeEvidence(
  evidence: Evidence,
  keys: readonly string[] = evidence.logKeys,
): Promise<EvidenceVerdict> {
  try {
    return await judge(evidence, keys);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return forged(`${error.message}.`);
  }
}

/** A checkpoint of the file with its signatures verified. */
interface Opened extends Checkpoint {
  readonly signedBy: readonly string[];
}

async function judge(evidence: Evidence, keys: readonly string[]): Promise<EvidenceVerdict> {
  const second = open(evidence.second, evidence.origin, keys);
  if (evidence.kind === "tiles") {
    const { shown, words } = await judgeTiles(evidence.tiles, second);
    return { verdict: shown ? "inconclusive" : "forged", explanation: words, signedBy: second.signedBy };
  }
  if (evidence.first === undefined) return forged("The first checkpoint is missing.");
  const first = open(evidence.first, evidence.origin, keys);
  const signedBy = [...new Set([...first.signedBy, ...second.signedBy])];
  const { verdict, explanation } = JUDGES[evidence.kind](first, second, evidence);
  return { verdict, explanation, signedBy };
}

type Judge = (first: Opened, second: Opened, evidence: Evidence) => Omit<EvidenceVerdict, "signedBy">;

const JUDGES: Readonly<Record<Exclude<EvidenceKind, "tiles">, Judge>> = {
  "two-roots": (first, second) => {
    if (first.size !== second.size) return forged("The two checkpoints are of different sizes.");
    if (equal(first.root, second.root)) return forged("The two checkpoints have the same root.");
    return {
      verdict: "proven",
      explanation: [
        `The log signed two different trees of the same size, ${entries(first.size)}.`,
        "A log of one history has one root for each size: it showed different histories to different readers.",
      ],
    };
  },
  "other-history": (first, second, { proof, rootInSecond }) => {
    const other = rootInSecond === undefined ? undefined : fromStrictBase64(rootInSecond);
    if (other?.length !== HASH_LENGTH) {
      return forged("The root of the second tree at the first size is missing.");
    }
    if (equal(other, first.root)) {
      return forged("The second tree begins with the first one: nothing contradicts.");
    }
    if (first.size < 1 || first.size >= second.size) {
      return forged("The first checkpoint is not the smaller one.");
    }
    if (!verifyConsistency(hashesOf(proof), first.size, second.size, other, second.root)) {
      return forged("The proof does not lead to the second checkpoint.");
    }
    return {
      verdict: "proven",
      explanation: [
        `The log signed a tree of ${
          entries(first.size)
        }, and a tree of ${second.size} that begins with another tree of that size.`,
        "The proof in this file leads to the second root, and shows which root the second tree had at the first size: not the one that was signed.",
        "Entries were changed, taken out or put in after they had been signed.",
      ],
    };
  },
  "unproven-growth": (first, second, { proof }) => {
    if (first.size < 1 || first.size >= second.size) {
      return forged("The second checkpoint is not the larger one.");
    }
    if (verifyConsistency(hashesOf(proof), first.size, second.size, first.root, second.root)) {
      return forged("The proof verifies: the second tree begins with the first one.");
    }
    return {
      verdict: "inconclusive",
      explanation: [
        `The log signed trees of ${first.size} and of ${second.size} entries; the proof that came with them does not connect them.`,
        "That does not prove a fault of the log: anybody can send a wrong proof along with a genuine checkpoint.",
        "Ask the log for a consistency proof between these two sizes. A log that cannot give one has two histories.",
      ],
    };
  },
  "went-back": (first, second) => {
    if (second.size >= first.size) return forged("The second checkpoint is not the smaller one.");
    return {
      verdict: "inconclusive",
      explanation: [
        `The witness had cosigned ${
          entries(first.size)
        } when a checkpoint of ${second.size} was presented that it had not cosigned.`,
        "That does not prove a fault of the log: whoever kept an old checkpoint can present it, and a log restored from an old copy does too.",
        "Ask the log for a consistency proof between these two sizes. A log that cannot give one has two histories.",
      ],
    };
  },
};

function open(note: string, origin: string, keys: readonly string[]): Opened {
  const verified = verifyNote(
    parseNote(toUtf8(note)),
    keys.map((key) => ed25519Verifier(parseVerifierKey(key))),
  );
  const checkpoint = parseCheckpoint(note.slice(0, note.lastIndexOf("\n\n") + 1));
  if (checkpoint.origin !== origin) {
    throw new CodedError(
      "EVIDENCE_MALFORMED",
      `A checkpoint in the file is of ${checkpoint.origin}, not of ${origin}`,
    );
  }
  return {
    ...checkpoint,
    signedBy: verified.map(({ name, keyId }) => `${name}+${keyId.toString(16).padStart(8, "0")}`),
  };
}

function hashesOf(proof: readonly string[]): Uint8Array[] {
  // What is no hash of 32 bytes makes no proof verify.
  return proof.map((line) => fromStrictBase64(line) ?? new Uint8Array());
}

function entries(size: number): string {
  return `${size} ${size === 1 ? "entry" : "entries"}`;
}

function forged(why: string): EvidenceVerdict {
  return { verdict: "forged", explanation: [why], signedBy: [] };
}

function malformed(state: string): CodedError {
  return new CodedError("EVIDENCE_MALFORMED", `Cannot read evidence: ${state}`);
}

defineErrors({
  EVIDENCE_MALFORMED: {
    fault: "peer",
    retry: false,
    next:
      "It is no evidence file, or it was changed: ask whoever gave it for the file that the witness kept.",
  },
});
