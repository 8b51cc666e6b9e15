/**
 * What a witness answers: a pure function of the request and of what it cosigned before. C2SP tlog-witness, add-checkpoint; the
 * order of the checks is the specification's.
 */

import { equal } from "../../base/bytes.ts";
import { verifyConsistency } from "../merkle.ts";
import { firstRootOf } from "./first_root.ts";

/** Size and root of a tree. */
export interface TreeHead {
  /** Number of leaves. */
  readonly size: number;
  /** Root (32). */
  readonly root: Uint8Array;
}

/** What is known of a request when it is decided. */
export interface Submission extends TreeHead {
  /** Whether the checkpoint's origin is a log that this witness is configured for. */
  readonly known: boolean;
  /** Whether a key of that log signed the checkpoint. */
  readonly signed: boolean;
  /** Size of the old size line. */
  readonly old: number;
  /** Hashes of the proof lines, 32 bytes each. */
  readonly proof: readonly Uint8Array[];
}

/** Why a checkpoint is not cosigned. */
export type WitnessRefusal =
  | "unknown-log"
  | "invalid-signature"
  | "old-size-above-size"
  | "old-size-not-latest"
  | "other-root"
  | "consistency-proof";

/** The HTTP status of each refusal, and the line that explains it; with 409 the body is the known size instead. */
export const REFUSALS: Readonly<Record<WitnessRefusal, { readonly status: number; readonly text: string }>> =
  {
    "unknown-log": { status: 404, text: "unknown log" },
    "invalid-signature": { status: 403, text: "invalid signature: no known key of the log has signed" },
    "old-size-above-size": { status: 400, text: "the old size is above the checkpoint's size" },
    "old-size-not-latest": {
      status: 409,
      text: "the old size is not that of the latest cosigned checkpoint",
    },
    "other-root": { status: 409, text: "another root was cosigned for this size" },
    "consistency-proof": { status: 422, text: "the consistency proof does not verify" },
  };

/** The decision. */
export type WitnessDecision =
  | { readonly kind: "cosign" }
  | { readonly kind: "refuse"; readonly reason: WitnessRefusal; readonly knownSize: number };

/** Decides. @param latest what was cosigned last for the origin; undefined when nothing was. */
export function decide(submission: Submission, latest: TreeHead | undefined): WitnessDecision {
  const knownSize = latest?.size ?? 0;
  const refuse = (reason: WitnessRefusal): WitnessDecision => ({ kind: "refuse", reason, knownSize });
  if (!submission.known) return refuse("unknown-log");
  if (!submission.signed) return refuse("invalid-signature");
  if (submission.old > submission.size) return refuse("old-size-above-size");
  if (submission.old !== knownSize) return refuse("old-size-not-latest");
  if (submission.old === submission.size && latest !== undefined && !equal(submission.root, latest.root)) {
    return refuse("other-root");
  }
  return isConsistent(submission, latest) ? { kind: "cosign" } : refuse("consistency-proof");
}

function isConsistent({ old, size, root, proof }: Submission, latest: TreeHead | undefined): boolean {
  // Every tree begins with the empty one: there is nothing to prove, and the specification wants no lines then.
  if (old === 0 || latest === undefined) return proof.length === 0;
  return verifyConsistency(proof, old, size, latest.root, root);
}

/** What a request shows about its log, apart from the answer that it gets. */
export type Suspicion =
  /** One size, two roots: proven by the two signatures. */
  | { readonly kind: "two-roots"; readonly first: TreeHead }
  /** The proof leads to the new root, but from another old one than was cosigned: proven by signatures and proof. */
  | { readonly kind: "other-history"; readonly first: TreeHead; readonly rootInSecond: Uint8Array }
  /** A proof that shows nothing: perhaps only the proof is wrong. */
  | { readonly kind: "unproven-growth"; readonly first: TreeHead }
  /** Smaller than what was cosigned: perhaps only an old checkpoint that somebody kept. */
  | { readonly kind: "went-back"; readonly first: TreeHead };

/**
 * What a signed checkpoint of a known log shows, whatever the old size line says.
 * @param latest what was cosigned last.
 * @param sameSize what was cosigned for the checkpoint's own size, when that is remembered.
 */
export function suspect(
  submission: Submission,
  latest: TreeHead | undefined,
  sameSize: TreeHead | undefined,
): Suspicion | undefined {
  if (!submission.known || !submission.signed || latest === undefined || latest.size === 0) return undefined;
  const { size, root, old, proof } = submission;
  // Every history begins with no entries: logs ask so how far a witness is.
  if (size === 0) return undefined;
  if (sameSize !== undefined) {
    return equal(sameSize.root, root) ? undefined : { kind: "two-roots", first: sameSize };
  }
  if (size < latest.size) return { kind: "went-back", first: latest };
  // With another old size the proof is not about what was cosigned: an honest sender only has to send again.
  if (old !== latest.size || isConsistent(submission, latest)) return undefined;
  const rootInSecond = firstRootOf(proof, old, size);
  const leads = rootInSecond !== undefined && verifyConsistency(proof, old, size, rootInSecond, root);
  return leads
    ? { kind: "other-history", first: latest, rootInSecond }
    : { kind: "unproven-growth", first: latest };
}
