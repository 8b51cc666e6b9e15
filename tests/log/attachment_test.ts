/** Attachments: kept beside the log, forgotten without breaking it. */

import assert from "node:assert/strict";
import { toUtf8 } from "shared/base/bytes.ts";
import { sealAttachment } from "shared/log/attachment.ts";
import { encodeLeaf, type Leaf } from "shared/log/leaf.ts";
import { inclusionProof, leafHash, treeRoot, verifyInclusion } from "shared/log/merkle.ts";
import { AttachmentDirectory } from "shared/transport/log_attachments/directory.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";

async function withStore(use: (store: AttachmentDirectory) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(new AttachmentDirectory(`${folder}/contents`, `${folder}/keys`));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function entryOf(commitment: Uint8Array): Uint8Array {
  const leaf: Leaf = {
    time: "2026-11-21T14:29:09.123Z",
    event: "gateway.serving",
    actor: "process:AAECAwQFBgcICQoLDA0ODw",
    outcome: "done",
    software: "0.4.0",
    attachment: commitment.toBase64(),
  };
  return encodeLeaf(leaf);
}

Deno.test("a forgotten attachment cannot be read, and the tree verifies as before", async () => {
  await withStore(async (store) => {
    const content = toUtf8("what somebody may ask us to forget");
    const attachment = sealAttachment(content, SYSTEM_RANDOM);
    const leaves = [entryOf(attachment.commitment), toUtf8("second"), toUtf8("third")].map(leafHash);
    const root = treeRoot(leaves);
    await store.put(attachment);
    assert.deepEqual(await store.read(attachment.commitment), content);
    const kept = await Deno.readFile(`${store.contents}/${attachment.commitment.toHex()}`);
    assert.ok(!new TextDecoder("latin1").decode(kept).includes("somebody"));

    assert.equal(await store.forget(attachment.commitment), true);
    await assert.rejects(store.read(attachment.commitment), { code: "ATTACHMENT_MISSING" });
    // Somebody kept a copy of the encrypted content: without the key it stays shut.
    await Deno.writeFile(`${store.contents}/${attachment.commitment.toHex()}`, kept);
    await assert.rejects(store.read(attachment.commitment), { code: "ATTACHMENT_FORGOTTEN" });
    assert.ok(verifyInclusion(inclusionProof(0, leaves), 0, 3, leaves[0]!, root));
    assert.equal(await store.forget(attachment.commitment), false);
  });
});

Deno.test("the same content has another commitment each time: guessing content finds no entry", () => {
  const content = toUtf8("0000");
  const [one, two] = [sealAttachment(content, SYSTEM_RANDOM), sealAttachment(content, SYSTEM_RANDOM)];
  assert.notDeepEqual(one.commitment, two.commitment);
  assert.notDeepEqual(one.sealed, two.sealed);
});

Deno.test("a changed content, key or commitment is refused", async () => {
  await withStore(async (store) => {
    const attachment = sealAttachment(toUtf8("content"), SYSTEM_RANDOM);
    const name = attachment.commitment.toHex();
    await store.put(attachment);
    for (const path of [`${store.contents}/${name}`, `${store.keys}/${name}`]) {
      const bytes = await Deno.readFile(path);
      const changed = bytes.slice();
      changed[changed.length - 1]! ^= 1;
      await Deno.writeFile(path, changed);
      await assert.rejects(store.read(attachment.commitment), { code: "ATTACHMENT_UNREADABLE" });
      await Deno.writeFile(path, changed.subarray(0, 5));
      await assert.rejects(store.read(attachment.commitment), { code: "ATTACHMENT_UNREADABLE" });
      await Deno.writeFile(path, bytes);
    }
    const other = attachment.commitment.slice();
    other[0]! ^= 1;
    for (const folder of [store.contents, store.keys]) {
      await Deno.copyFile(`${folder}/${name}`, `${folder}/${other.toHex()}`);
    }
    await assert.rejects(store.read(other), { code: "ATTACHMENT_UNREADABLE" });
  });
  assert.throws(() => sealAttachment(new Uint8Array(1_048_577), SYSTEM_RANDOM), {
    code: "ATTACHMENT_TOO_LARGE",
  });
});
