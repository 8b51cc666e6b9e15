/** The worked example of docs/log.md, computed. */

import { fromUtf8 } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { formatCheckpoint } from "shared/log/checkpoint.ts";
import { encodeLeaf } from "shared/log/leaf.ts";
import { inclusionProof, leafHash, nodeHash, treeRoot } from "shared/log/merkle.ts";
import { signNote } from "shared/log/note.ts";
import { hmacPseudonyms, Pseudonyms } from "shared/log/pseudonym.ts";
import { checkpointSigner, witnessSigner } from "shared/log/testing/signers.ts";
import { bundlesFrom, tilesFrom } from "shared/log/testing/tiles.ts";
import { formatTlogProof } from "shared/log/tlog_proof.ts";

const ORIGIN = "log.example/attestation-a";
/** 2026-11-21T14:29:10Z in seconds since 1970. */
const COSIGNED_AT = Date.UTC(2026, 10, 21, 14, 29, 10) / 1000;

/** The example's texts by name, and its files by path. */
export async function workedExample() {
  const pseudonyms = new Pseudonyms(ORIGIN, hmacPseudonyms(new Secret(new Uint8Array(32).fill(7))));
  const actor = await pseudonyms.of("sender", "line-1");
  const subject = await pseudonyms.of("card", "00C0FFEE");
  const process = await pseudonyms.of("process", "attestation-a");
  const software = "0.4.0";
  const entries = [
    encodeLeaf({
      time: "2026-11-21T14:29:07.000Z",
      event: "attestation.opened",
      actor: process,
      outcome: "done",
      software,
    }),
    encodeLeaf({
      time: "2026-11-21T14:29:09.120Z",
      event: "attestation.card-attested",
      actor,
      subject,
      outcome: "intended",
      software,
    }),
    encodeLeaf({
      time: "2026-11-21T14:29:09.163Z",
      event: "attestation.card-attested",
      actor,
      subject,
      outcome: "done",
      software,
    }),
  ];
  const leaves = entries.map(leafHash);
  const root = treeRoot(leaves);
  const log = checkpointSigner(ORIGIN, 1);
  const witness = witnessSigner("witness.example/provider-2", 2, () => COSIGNED_AT);
  const text = formatCheckpoint({ origin: ORIGIN, size: entries.length, root, extensions: [] });
  const checkpoint = await signNote(text, [log.signer, witness.signer]);
  const proof = formatTlogProof({
    extra: entries[1]!,
    index: 1,
    hashes: inclusionProof(1, leaves),
    checkpoint,
  });
  return {
    texts: {
      entries: entries.map(fromUtf8).join("\n"),
      tree: [
        ...leaves.map((leaf, i) => `leaf ${i}     ${leaf.toHex()}`),
        `node 0-1   ${nodeHash(leaves[0]!, leaves[1]!).toHex()}`,
        `root       ${root.toHex()}`,
      ].join("\n"),
      keys: `${log.vkey}\n${witness.vkey}`,
      checkpoint: fromUtf8(checkpoint).trimEnd(),
      proof: fromUtf8(proof).trimEnd(),
    },
    files: new Map([...tilesFrom(leaves), ...bundlesFrom(entries), ["checkpoint", checkpoint]]),
    log,
    witness,
    origin: ORIGIN,
    proof,
  };
}
