import assert from "node:assert/strict";
import { consistencyProof, emptyRoot, leafHash, treeRoot } from "../merkle.ts";
import { decide, suspect, type TreeHead } from "./decision.ts";
import { firstRootOf } from "./first_root.ts";

const LARGEST = 6;
const leavesOf = (story: string) =>
  Array.from({ length: LARGEST }, (_, i) => leafHash(new TextEncoder().encode(`${story}${i}`)));
const HONEST = leavesOf("a");
const FORKED = leavesOf("b");
const rootOf = (leaves: Uint8Array[], size: number) =>
  size === 0 ? emptyRoot() : treeRoot(leaves.slice(0, size));

/** The specification's sentences, in its order, written without the code under test. */
function expected(
  known: boolean,
  signed: boolean,
  old: number,
  size: number,
  honestRoot: boolean,
  proofFits: boolean,
  latest: TreeHead | undefined,
): number {
  if (!known) return 404;
  if (!signed) return 403;
  if (old > size) return 400;
  if (old !== (latest?.size ?? 0)) return 409;
  if (old === size && latest !== undefined && size > 0 && !honestRoot) return 409;
  return proofFits ? 200 : 422;
}

const STATUS = {
  "unknown-log": 404,
  "invalid-signature": 403,
  "old-size-above-size": 400,
  "old-size-not-latest": 409,
  "other-root": 409,
  "consistency-proof": 422,
} as const;

Deno.test("every request against every state up to six entries is decided as the specification says", () => {
  let walked = 0;
  const seen = new Map<number, number>();
  const sizes = Array.from({ length: LARGEST + 1 }, (_, i) => i);
  for (const known of [false, true]) {
    for (const signed of [false, true]) {
      for (const latestSize of [undefined, ...sizes]) {
        const latest = latestSize === undefined
          ? undefined
          : { size: latestSize, root: rootOf(HONEST, latestSize) };
        for (const old of [...sizes, LARGEST + 1]) {
          for (const size of sizes) {
            for (const tree of [HONEST, FORKED]) {
              const root = rootOf(tree, size);
              const right = old <= size ? consistencyProof(old, tree.slice(0, size)) : [];
              const proofs = [
                right,
                [],
                [...right, emptyRoot()],
                right.slice(1),
                right.map(() => emptyRoot()),
              ];
              for (const proof of proofs) {
                const answer = decide({ known, signed, old, size, root, proof }, latest);
                const status = answer.kind === "cosign" ? 200 : STATUS[answer.reason];
                const honest = tree === HONEST || size === 0;
                const isRight = JSON.stringify(proof.map((hash) => hash.toHex())) ===
                  JSON.stringify(right.map((hash) => hash.toHex()));
                const fits = old === 0 ? proof.length === 0 : isRight && honest;
                assert.equal(status, expected(known, signed, old, size, honest, fits, latest));
                if (answer.kind === "refuse") assert.equal(answer.knownSize, latestSize ?? 0);
                seen.set(status, (seen.get(status) ?? 0) + 1);
                walked++;
              }
            }
          }
        }
      }
    }
  }
  assert.ok(walked > 15_000);
  assert.deepEqual([...seen.keys()].sort(), [200, 400, 403, 404, 409, 422]);
});

Deno.test("no two decisions to cosign ever lead to two roots of one size or a tree that does not begin with the last", () => {
  // From every state, every cosigned successor begins with it: by induction all of a witness's checkpoints do.
  for (let latestSize = 1; latestSize <= LARGEST; latestSize++) {
    const latest = { size: latestSize, root: rootOf(HONEST, latestSize) };
    for (let size = 0; size <= LARGEST; size++) {
      for (const proofOf of [HONEST, FORKED]) {
        const proof = latestSize <= size ? consistencyProof(latestSize, proofOf.slice(0, size)) : [];
        const root = rootOf(FORKED, size);
        const answer = decide({ known: true, signed: true, old: latestSize, size, root, proof }, latest);
        assert.equal(answer.kind, "refuse");
      }
    }
  }
});

Deno.test("a suspicion is proven, open or none", () => {
  const head = (tree: Uint8Array[], size: number): TreeHead => ({ size, root: rootOf(tree, size) });
  const kind = (tree: Uint8Array[], old: number, size: number, proof: Uint8Array[], same?: TreeHead) =>
    suspect({ known: true, signed: true, old, ...head(tree, size), proof }, head(HONEST, 3), same)?.kind;
  const proof = (tree: Uint8Array[], old: number, size: number) => consistencyProof(old, tree.slice(0, size));
  assert.equal(kind(HONEST, 3, 5, proof(HONEST, 3, 5)), undefined);
  assert.equal(kind(FORKED, 3, 5, proof(FORKED, 3, 5)), "other-history");
  assert.equal(kind(FORKED, 3, 5, proof(HONEST, 3, 5)), "unproven-growth");
  assert.equal(kind(FORKED, 0, 5, []), undefined);
  assert.equal(kind(FORKED, 0, 3, [], head(HONEST, 3)), "two-roots");
  assert.equal(kind(FORKED, 0, 2, [], head(HONEST, 2)), "two-roots");
  assert.equal(kind(HONEST, 0, 2, [], head(HONEST, 2)), undefined);
  assert.equal(kind(HONEST, 0, 2, []), "went-back");
  const unsigned = { known: true, signed: false, old: 0, ...head(FORKED, 3), proof: [] };
  assert.equal(suspect(unsigned, head(HONEST, 3), head(HONEST, 3)), undefined);
});

Deno.test("the first root of a proof is the one that the second tree had", () => {
  for (let second = 1; second <= LARGEST; second++) {
    for (let first = 0; first <= second; first++) {
      const found = firstRootOf(consistencyProof(first, HONEST.slice(0, second)), first, second);
      const powerOfTwo = (first & (first - 1)) === 0;
      assert.deepEqual(found, powerOfTwo || first === second ? undefined : rootOf(HONEST, first));
    }
  }
  assert.equal(firstRootOf([emptyRoot()], 3, 6), undefined);
});
