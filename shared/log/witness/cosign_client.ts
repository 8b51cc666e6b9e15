/** A log's side of one witness: submit a checkpoint, answer a 409 with the right old size, verify what comes back. */

import { CodedError, defineErrors } from "../../base/errors.ts";
import { exactText, parseDecimal } from "../text.ts";
import { cosignatureVerifier, parseCosignature } from "../cosignature.ts";
import { type NoteSignature, parseSignatureLine } from "../note.ts";
import { parseVerifierKey } from "../vkey.ts";
import type { HttpAnswer, HttpClient } from "./http_client.ts";
import { formatAddCheckpoint } from "./request.ts";
import { SIZE_CONTENT_TYPE } from "./witness.ts";

/** Longest answer in bytes that is read. */
const ANSWER_BYTES_MAX = 65_536;
/** Requests for one checkpoint: the first guess, the size that the witness told, and once more after a race. */
const ATTEMPTS_MAX = 3;
/** How far in the future a cosignature's time may be, in seconds. */
const FUTURE_SECONDS_MAX = 300;

/** A checkpoint to be cosigned. */
export interface CheckpointToCosign {
  readonly size: number;
  /** Text of the note, with its final newline. */
  readonly text: string;
  /** Bytes of the whole note, signed by the log. */
  readonly note: Uint8Array;
  /** Consistency proof from a smaller size, 1 to `size`; empty for `size` itself. */
  consistencyProof(from: number): Promise<readonly Uint8Array[]>;
}

/** A witness, as a log knows it. */
export interface WitnessPeer {
  /** Submission prefix without a slash at its end, such as `https://witness.example`. */
  readonly url: string;
  /** Verifier key of type 4. */
  readonly vkey: string;
}

/** A cosignature that was verified. */
export interface VerifiedCosignature {
  readonly line: NoteSignature;
  /** Seconds since 1970. */
  readonly timestamp: number;
}

/** Submits checkpoints to one witness, and remembers how far it is. */
export class CosignClient {
  readonly #peer: WitnessPeer;
  readonly #http: HttpClient;
  readonly #deadlineMs: number;
  readonly #seconds: () => number;
  readonly #key;
  readonly #verifier;
  /** Size that the witness cosigned last, as far as is known. */
  #known: number;
  /** Largest size that was submitted here. */
  #submitted = 0;
  #timestamp = 0;

  /**
   * @param deadlineMs for each request, in milliseconds.
   * @param seconds the time, in seconds since 1970.
   * @param known size that the witness is known to have cosigned (from the cosignatures that the log keeps); 0 when unknown.
   * @throws {CodedError} `VKEY_*`, `COSIGNATURE_KEY`.
   */
  constructor(peer: WitnessPeer, http: HttpClient, deadlineMs: number, seconds: () => number, known = 0) {
    this.#peer = peer;
    this.#http = http;
    this.#deadlineMs = deadlineMs;
    this.#seconds = seconds;
    this.#known = known;
    this.#key = parseVerifierKey(peer.vkey);
    this.#verifier = cosignatureVerifier(this.#key);
  }

  /** Name of the witness. */
  get name(): string {
    return this.#key.name;
  }

  /**
   * Gets the witness's cosignature.
   * @throws {CodedError} `WITNESS_UNREACHABLE`, `WITNESS_REFUSED` with its status; `WITNESS_COSIGNATURE` when what it returned
   *   does not verify; `WITNESS_OTHER_ROOT` when it cosigned another root for this size; `WITNESS_AHEAD` when it cosigned a larger
   *   tree: this log went back, or another one uses its key; `WITNESS_BEHIND` when it forgot what it cosigned.
   */
  async cosign(checkpoint: CheckpointToCosign): Promise<VerifiedCosignature> {
    let old = Math.min(this.#known, checkpoint.size);
    this.#submitted = Math.max(this.#submitted, checkpoint.size);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const proof = old === 0 ? [] : await checkpoint.consistencyProof(old);
      const answer = await this.#http.request({
        url: `${this.#peer.url}/add-checkpoint`,
        body: formatAddCheckpoint(old, proof, checkpoint.note),
        deadlineMs: this.#deadlineMs,
        bytesMax: ANSWER_BYTES_MAX,
      });
      if (answer.status === 200) return this.#accept(answer, checkpoint);
      if (answer.status !== 409) throw this.#refused(answer);
      old = this.#conflict(answer, old, checkpoint);
    }
    throw new CodedError(
      "WITNESS_REFUSED",
      `Cannot get cosignature of ${this.name}: it keeps telling other sizes`,
      {
        status: 409,
      },
    );
  }

  /**
   * Size that the witness cosigned last. @param note signed checkpoint of no entries.
   * @throws {CodedError} `WITNESS_UNREACHABLE`, `WITNESS_REFUSED`.
   */
  async cosignedSize(note: Uint8Array): Promise<number> {
    const answer = await this.#http.request({
      url: `${this.#peer.url}/add-checkpoint`,
      body: formatAddCheckpoint(0, [], note),
      deadlineMs: this.#deadlineMs,
      bytesMax: ANSWER_BYTES_MAX,
    });
    if (answer.status === 200) return 0;
    const told = answer.status === 409 ? this.#toldSize(answer) : undefined;
    if (told === undefined) throw this.#refused(answer);
    this.#known = Math.max(this.#known, told);
    return told;
  }

  #toldSize({ body, contentType }: HttpAnswer): number | undefined {
    const content = exactText(body) ?? "";
    return content.endsWith("\n") && contentType.split(";")[0] === SIZE_CONTENT_TYPE
      ? parseDecimal(content.slice(0, -1))
      : undefined;
  }

  #accept(answer: HttpAnswer, checkpoint: CheckpointToCosign): VerifiedCosignature {
    const text = exactText(answer.body);
    for (const line of (text ?? "").split("\n").slice(0, -1)) {
      const signature = readLine(line);
      // Signatures of keys that are not known are ignored, as the specification says.
      if (signature?.name !== this.#key.name || signature.keyId !== this.#key.keyId) continue;
      const timestamp = parseCosignature(signature.signature)?.timestamp;
      if (timestamp === undefined || !this.#verifier.verify(checkpoint.text, signature.signature)) break;
      if (timestamp > this.#seconds() + FUTURE_SECONDS_MAX || timestamp < this.#timestamp) {
        throw new CodedError(
          "WITNESS_COSIGNATURE",
          `Cannot use cosignature of ${this.name}: its time is ${timestamp}`,
        );
      }
      this.#known = Math.max(this.#known, checkpoint.size);
      this.#timestamp = timestamp;
      return { line: signature, timestamp };
    }
    throw new CodedError(
      "WITNESS_COSIGNATURE",
      `Cannot use the answer of ${this.name}: no cosignature that verifies`,
    );
  }

  /** The size to send next. */
  #conflict(answer: HttpAnswer, old: number, { size }: CheckpointToCosign): number {
    const told = this.#toldSize(answer);
    if (told === undefined) throw this.#refused(answer);
    // A larger checkpoint of this process came first: nothing is wrong.
    if (told > size && told <= this.#submitted) throw this.#refused(answer);
    if (told > size) {
      throw new CodedError(
        "WITNESS_AHEAD",
        `Cannot get cosignature of ${this.name}: it cosigned ${told} entries, not ${size}`,
        {
          told,
          size,
        },
      );
    }
    if (told < this.#known) {
      throw new CodedError(
        "WITNESS_BEHIND",
        `Cannot trust ${this.name}: it cosigned ${this.#known} entries and tells ${told}`,
        {
          told,
          known: this.#known,
        },
      );
    }
    if (told === size && old === size) {
      throw new CodedError(
        "WITNESS_OTHER_ROOT",
        `Cannot get cosignature of ${this.name}: it cosigned another tree of ${size}`,
        {
          size,
        },
      );
    }
    this.#known = told;
    return told;
  }

  #refused({ status, body }: HttpAnswer): CodedError {
    const words = (exactText(body) ?? "").replaceAll(/[^\x20-\x7e]+/g, " ").trim().slice(0, 200);
    return new CodedError(
      "WITNESS_REFUSED",
      `Cannot get cosignature of ${this.name}: status ${status}, ${words}`,
      { status },
    );
  }
}

function readLine(line: string): NoteSignature | undefined {
  try {
    return parseSignatureLine(line);
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

defineErrors({
  WITNESS_REFUSED: {
    fault: "peer",
    retry: true,
    next:
      "Ask the witness's operator: 404 and 403 mean that it does not know this log or its key, 422 that the proof is wrong.",
  },
  WITNESS_COSIGNATURE: {
    fault: "peer",
    retry: true,
    next:
      "Check the witness's verifier key. If it is the right one, its answer was changed or its clock is wrong.",
  },
  WITNESS_OTHER_ROOT: {
    fault: "peer",
    retry: false,
    next:
      "This log has two histories. Stop writing, keep everything, and ask the witness for its evidence file.",
  },
  WITNESS_AHEAD: {
    fault: "service",
    retry: false,
    next:
      "This log's storage went back, or a second process uses its key. Stop writing, and restore the newest storage.",
  },
  WITNESS_BEHIND: {
    fault: "peer",
    retry: false,
    next:
      "The witness's state went back: it could cosign a second history. Do not count it until its operator gave it a new key.",
  },
});
