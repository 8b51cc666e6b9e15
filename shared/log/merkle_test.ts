import assert from "node:assert/strict";
import { decodeBase64 } from "tests/vectors/base64.ts";
import { loadVector } from "tests/vectors/load.ts";
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";

interface Inclusion {
  readonly kind: "inclusion";
  readonly file: string;
  readonly leafIdx: number;
  readonly treeSize: number;
  readonly root: string;
  readonly leafHash: string;
  readonly proof: string[] | null;
  readonly wantErr: boolean;
}
interface Consistency {
  readonly kind: "consistency";
  readonly file: string;
  readonly size1: number;
  readonly size2: number;
  readonly root1: string;
  readonly root2: string;
  readonly proof: string[] | null;
  readonly wantErr: boolean;
}

const VECTORS = loadVector<{ data: (Inclusion | Consistency | { kind: "other" })[] }>(
  "merkle-rfc6962-proofs.json",
).data;
const bytes = (text: string | null) => decodeBase64(text ?? "");

Deno.test("verifyInclusion() and verifyConsistency() judge every vector of transparency-dev as it says", () => {
  let judged = 0;
  for (const vector of VECTORS) {
    let right: boolean;
    if (vector.kind === "inclusion") {
      const { proof, leafIdx, treeSize, leafHash, root } = vector;
      right = verifyInclusion((proof ?? []).map(bytes), leafIdx, treeSize, bytes(leafHash), bytes(root));
    } else if (vector.kind === "consistency") {
      const { proof, size1, size2, root1, root2 } = vector;
      right = verifyConsistency((proof ?? []).map(bytes), size1, size2, bytes(root1), bytes(root2));
    } else continue;
    assert.equal(right, !vector.wantErr, vector.file);
    judged++;
  }
  assert.equal(judged, 196);
});

const LEAVES = Array.from({ length: 40 }, (_, i) => leafHash(Uint8Array.of(i)));

Deno.test("every proof of every tree up to 40 leaves verifies, and no other index or size does", () => {
  for (let size = 1; size <= LEAVES.length; size++) {
    const leaves = LEAVES.slice(0, size);
    const root = treeRoot(leaves);
    for (let index = 0; index < size; index++) {
      const proof = inclusionProof(index, leaves);
      for (let other = 0; other < size; other++) {
        assert.equal(verifyInclusion(proof, other, size, leaves[index]!, root), other === index);
      }
    }
    for (let first = 0; first <= size; first++) {
      const proof = consistencyProof(first, leaves);
      const firstRoot = treeRoot(leaves.slice(0, first));
      const right = verifyConsistency(proof, first, size, firstRoot, root);
      assert.equal(right, first > 0, `${first} of ${size}`);
      if (first > 0 && first < size) {
        assert.ok(!verifyConsistency(proof, first, size, root, firstRoot), `${first} of ${size}, swapped`);
        assert.ok(!verifyConsistency(proof.slice(1), first, size, firstRoot, root));
      }
    }
  }
});

Deno.test("proofs outside of the tree are refused", () => {
  assert.throws(() => inclusionProof(40, LEAVES), { code: "MERKLE_RANGE" });
  assert.throws(() => inclusionProof(-1, LEAVES), { code: "MERKLE_RANGE" });
  assert.throws(() => consistencyProof(41, LEAVES), { code: "MERKLE_RANGE" });
});
