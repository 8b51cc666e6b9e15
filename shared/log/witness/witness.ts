/**
 * The witness: reads a request, decides, remembers the checkpoint durably, and only then cosigns it. Requests for one log are
 * worked one after another; the store refuses what was decided on something that is no longer the latest.
 */

import { CodedError, codeOf, defineErrors } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { Clock } from "../../transport/clock.ts";
import { cosigner } from "../cosignature.ts";
import {
  formatNote,
  formatSignatureLine,
  type NoteVerifier,
  type VerifiedSignature,
  verifyNote,
} from "../note.ts";
import { formatVerifierKey, type VerifierKey } from "../vkey.ts";
import {
  decide,
  REFUSALS,
  type Submission,
  suspect,
  type Suspicion,
  type WitnessRefusal,
} from "./decision.ts";
import { type Evidence, EVIDENCE_FORMAT } from "./evidence.ts";
import type { EvidenceKeeper } from "./evidence_folder.ts";
import type { Mirror } from "./mirror.ts";
import { OriginQueue } from "./origin_queue.ts";
import { type AddCheckpointRequest, parseAddCheckpoint } from "./request.ts";
import type { CosignedCheckpoint, WitnessStateStore } from "./state_store.ts";
import "./state_store.ts";

/** Content type of the known size in a 409. C2SP tlog-witness. */
export const SIZE_CONTENT_TYPE = "text/x.tlog.size";
const TEXT_CONTENT_TYPE = "text/plain; charset=utf-8";

/** A log that is witnessed. */
export interface WitnessedLog {
  readonly origin: string;
  /** Its keys (type 1); one must have signed. */
  readonly keys: readonly NoteVerifier[];
  /** The same as texts, for evidence. */
  readonly vkeys: readonly string[];
  /** Copies the log's files before its checkpoints are cosigned. */
  readonly mirror?: Mirror;
}

/** What a witness is made of. */
export interface WitnessParts {
  readonly logs: readonly WitnessedLog[];
  readonly store: WitnessStateStore;
  readonly evidence: EvidenceKeeper;
  /** Key of type 4. */
  readonly key: VerifierKey;
  /** Ed25519 (64) over a message, with the key's private half. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How far the clock may be behind the last cosignature's time, in seconds, before nothing is cosigned any more. */
  readonly clockToleranceSeconds: number;
  /** Hears of every answer and of every contradiction (metrics). */
  readonly observe?: (event: WitnessEvent) => void;
}

/** What happened, for metrics. */
export type WitnessEvent =
  | { readonly kind: "answer"; readonly origin: string; readonly status: number; readonly reason: string }
  | { readonly kind: "evidence"; readonly origin: string; readonly evidence: Evidence["kind"] };

/** An answer to `add-checkpoint`. */
export interface WitnessAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** `cosigned`, why it was refused, or an error code. */
  readonly reason: string;
}

/** A witness. */
export class Witness {
  readonly #parts: WitnessParts;
  readonly #logs: ReadonlyMap<string, WitnessedLog>;
  readonly #queue = new OriginQueue();

  constructor(parts: WitnessParts) {
    this.#parts = parts;
    this.#logs = new Map(parts.logs.map((log) => [log.origin, log]));
  }

  /** Answers one request. Faults of ours become 503 with their code; the caller sends again. */
  async addCheckpoint(body: Uint8Array): Promise<WitnessAnswer> {
    let origin = "";
    let answer: WitnessAnswer;
    try {
      const request = parseAddCheckpoint(body);
      const log = this.#logs.get(request.checkpoint.origin);
      origin = log?.origin ?? "";
      answer = log === undefined
        ? refusal("unknown-log", 0)
        : await this.#queue.run(log.origin, () => this.#work(log, request));
    } catch (error) {
      answer = failure(error);
      const fields = { origin, code: codeOf(error), error };
      if (answer.status >= 500) this.#parts.log.error("witness.failed", fields);
    }
    this.#parts.observe?.({ kind: "answer", origin, status: answer.status, reason: answer.reason });
    return answer;
  }

  async #work(log: WitnessedLog, request: AddCheckpointRequest): Promise<WitnessAnswer> {
    const { store } = this.#parts;
    const signatures = verifiedSignatures(request, log.keys);
    const submission: Submission = {
      known: true,
      signed: signatures.length > 0,
      old: request.old,
      size: request.checkpoint.size,
      root: request.checkpoint.root,
      proof: request.proof,
    };
    const latest = store.latest(log.origin);
    const sameSize = store.at(log.origin, submission.size);
    const decision = decide(submission, latest);
    const found = suspect(submission, latest, sameSize);
    if (found !== undefined) await this.#keep(log, request, signatures, found, sameSize ?? latest!);
    if (decision.kind === "refuse") return refusal(decision.reason, decision.knownSize);
    await this.#mirror(log, request, signatures, latest?.size ?? 0);
    return await this.#cosign(log, request, signatures, latest);
  }

  async #cosign(
    log: WitnessedLog,
    request: AddCheckpointRequest,
    signatures: readonly VerifiedSignature[],
    latest: CosignedCheckpoint | undefined,
  ): Promise<WitnessAnswer> {
    const { store, key, sign } = this.#parts;
    const { size, root } = request.checkpoint;
    const timestamp = this.#time();
    const { text } = request.note!;
    // Only what was verified is kept: a note can carry anything besides.
    const note = formatNote({ text, signatures });
    store.commit(log.origin, latest?.size, { size, root, note, timestamp });
    const signature = await cosigner(key, sign, () => timestamp).sign(text);
    return {
      status: 200,
      contentType: TEXT_CONTENT_TYPE,
      body: formatSignatureLine({ name: key.name, keyId: key.keyId, signature }),
      reason: "cosigned",
    };
  }

  /** Seconds since 1970, never less than before. */
  #time(): number {
    const { clock, store, clockToleranceSeconds, log } = this.#parts;
    const now = Math.floor(clock.now() / 1000);
    const last = store.lastTimestamp();
    if (now >= last) return now;
    if (last - now > clockToleranceSeconds) {
      throw new CodedError(
        "WITNESS_CLOCK",
        `Cannot cosign: the clock is ${last - now} s behind the last cosignature`,
      );
    }
    log.warning("witness.clock-behind", { seconds: last - now });
    return last;
  }

  async #mirror(
    log: WitnessedLog,
    { checkpoint, note }: AddCheckpointRequest,
    signatures: readonly VerifiedSignature[],
    from: number,
  ): Promise<void> {
    const bad = await log.mirror?.update(checkpoint, from);
    if (bad === undefined) return;
    this.#write(log, {
      kind: "tiles",
      second: new TextDecoder().decode(formatNote({ text: note!.text, signatures })),
      proof: [],
      tiles: bad.tiles.map(({ path, content }) => ({ path, content: content.toBase64() })),
    }, false);
    throw new CodedError("WITNESS_TILES", `Cannot cosign: ${bad.why}`);
  }

  async #keep(
    log: WitnessedLog,
    { checkpoint, note, proof }: AddCheckpointRequest,
    signatures: readonly VerifiedSignature[],
    suspicion: Suspicion,
    known: CosignedCheckpoint,
  ): Promise<void> {
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const first = text(known.note);
    const second = text(formatNote({ text: note!.text, signatures }));
    const { kind } = suspicion;
    if (kind === "went-back") {
      // With the log's files at hand it can be told whether the small tree is the beginning of the large one.
      const history = await log.mirror?.historyAt(checkpoint, known);
      if (history === "same") return;
      if (history !== undefined) {
        return this.#write(log, {
          kind: "other-history",
          first: second,
          second: first,
          proof: history.proof.map((hash) => hash.toBase64()),
          rootInSecond: history.root.toBase64(),
          tiles: [],
        }, true);
      }
    }
    this.#write(log, {
      kind,
      first,
      second,
      proof: kind === "other-history" || kind === "unproven-growth"
        ? proof.map((hash) => hash.toBase64())
        : [],
      ...(suspicion.kind === "other-history" ? { rootInSecond: suspicion.rootInSecond.toBase64() } : {}),
      tiles: [],
    }, kind === "two-roots" || kind === "other-history");
  }

  #write(
    log: WitnessedLog,
    evidence: Omit<Evidence, "format" | "origin" | "logKeys" | "witness" | "foundAt">,
    proven: boolean,
  ): void {
    const { evidence: keeper, clock, key, log: logger, observe } = this.#parts;
    const file = keeper.keep({
      format: EVIDENCE_FORMAT,
      ...evidence,
      origin: log.origin,
      logKeys: [...log.vkeys],
      witness: formatVerifierKey(key),
      foundAt: new Date(clock.now()).toISOString(),
    }, proven);
    logger[proven ? "error" : "warning"]("witness.evidence", {
      origin: log.origin,
      kind: evidence.kind,
      proven,
      file,
    });
    observe?.({ kind: "evidence", origin: log.origin, evidence: evidence.kind });
  }
}

/** The log's own signatures, or none when one of them is not valid: a note with a bad signature of a known key is no note. */
function verifiedSignatures(
  { note }: AddCheckpointRequest,
  keys: readonly NoteVerifier[],
): readonly VerifiedSignature[] {
  if (note === undefined) return [];
  try {
    return verifyNote(note, keys);
  } catch (error) {
    if (error instanceof CodedError) return [];
    throw error;
  }
}

function refusal(reason: WitnessRefusal, knownSize: number): WitnessAnswer {
  const { status, text } = REFUSALS[reason];
  return status === 409
    ? { status, contentType: SIZE_CONTENT_TYPE, body: `${knownSize}\n`, reason }
    : { status, contentType: TEXT_CONTENT_TYPE, body: `${text}\n`, reason };
}

function failure(error: unknown): WitnessAnswer {
  const reason = codeOf(error);
  const status = error instanceof CodedError ? error.row.http ?? 503 : 500;
  // The message of a fault of ours may name files: outside, the code has to do.
  const body = status < 500 && error instanceof CodedError ? error.message : reason;
  return { status, contentType: TEXT_CONTENT_TYPE, body: `${body}\n`, reason };
}

defineErrors({
  WITNESS_CLOCK: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Set the clock of the witness's machine: it was ahead before, or is behind now.",
  },
  WITNESS_TILES: {
    fault: "peer",
    retry: true,
    http: 422,
    next:
      "The log's published files are not those of the checkpoint: publish them before asking for a cosignature.",
  },
});
