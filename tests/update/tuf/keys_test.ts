import { deepEqual, equal, notEqual } from "node:assert/strict";
import { newSigner, renamed, SCHEMES, type Signer } from "./keys.ts";
import { initialized } from "./runner.ts";

for (const scheme of SCHEMES) {
  Deno.test(`keys of scheme ${scheme} count, and their wrong signatures do not`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    const signer = repository.addKey("root", newSigner(scheme));
    repository.root.roles.root.threshold = 2;
    repository.publish("root");
    equal(await client.refresh(), 0, client.told);
    equal(client.version("root"), 2);
    repository.publish("root");
    repository.edit("root", ({ signatures }) => {
      const signature = signatures.find(({ keyid }: { keyid: string }) => keyid === signer.id);
      // As long and as plausible as before.
      signature.sig = signer.sign(new TextEncoder().encode("something else"));
    });
    equal(await client.refresh(), 1);
    equal(client.version("root"), 2);
  });
}

Deno.test("a key whose type and scheme do not belong together signs nothing", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  const signer = newSigner("ecdsa-sha2-nistp256");
  repository.addKey("root", { ...signer, json: { ...signer.json, scheme: "ed25519" } });
  repository.root.roles.root.threshold = 2;
  repository.publish("root");
  equal(await client.refresh(), 1);
  equal(client.version("root"), 1);
});

Deno.test("fewer signatures than the threshold: refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.root.roles.snapshot.threshold = 3;
  for (let key = 0; key < 2; key++) repository.addKey("snapshot");
  repository.publish("root", "targets", "snapshot", "timestamp");
  equal(await client.refresh(), 0, client.told);
  repository.signers.snapshot!.delete([...repository.signers.snapshot!.keys()].at(-1)!);
  repository.publish("targets", "snapshot", "timestamp");
  equal(await client.refresh(), 1);
  equal(client.version("snapshot"), 2);
});

Deno.test("fewer keys than the threshold: refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  for (let key = 0; key < 4; key++) repository.addKey("snapshot");
  repository.root.roles.snapshot.threshold = 6;
  repository.publish("root", "snapshot", "timestamp");
  equal(await client.refresh(), 1);
  deepEqual(client.trustedRoles, ["root 2", "timestamp 2"]);
});

Deno.test("one key under many identifiers counts once", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  const signer = newSigner();
  for (let copy = 0; copy < 5; copy++) repository.addKey("snapshot", renamed(signer, `copy-${copy}`));
  repository.root.roles.snapshot.threshold = 3;
  repository.publish("root", "snapshot", "timestamp");
  equal(await client.refresh(), 1);
  equal(client.version("snapshot"), undefined);
});

Deno.test("one identifier listed many times, one signature repeated: refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  const signer = repository.addKey("snapshot");
  for (let copy = 0; copy < 8; copy++) repository.root.roles.snapshot.keyids.push(signer.id);
  repository.root.roles.snapshot.threshold = 6;
  repository.publish("root", "snapshot", "timestamp");
  repository.edit("snapshot", ({ signatures }) => {
    const own = signatures.find(({ keyid }: { keyid: string }) => keyid === signer.id);
    for (let copy = 0; copy < 8; copy++) signatures.push(own);
  });
  equal(await client.refresh(), 1);
  equal(client.version("snapshot"), undefined);
});

Deno.test("two signatures of one identifier are refused, although one is enough", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.edit("snapshot", ({ signatures }) => signatures.push(signatures[0]));
  equal(await client.refresh(), 1);
  equal(client.version("snapshot"), undefined);
});

Deno.test("wrong and empty signatures beside enough right ones do no harm", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  const [first] = [...repository.signers.timestamp!.values()] as [Signer];
  repository.addKey("timestamp");
  for (const sig of [first.sign(new Uint8Array(3)), "", "not hex"]) {
    repository.publish("root", "timestamp");
    repository.edit("timestamp", ({ signatures }) => {
      signatures.find(({ keyid }: { keyid: string }) => keyid === first.id).sig = sig;
    });
    equal(await client.refresh(), 0, client.told);
  }
});

/** Root versions: which of ten keys it has, how many must sign, who signs; and whether the last is taken. */
const ROTATIONS: Record<
  string,
  readonly (readonly [keys: number[], threshold: number, signers: number[], refused?: true])[]
> = {
  "1 of 1 rotated": [[[1], 1, [1]], [[2], 1, [2, 1]], [[2], 1, [2]]],
  "1 of 1 rotated, signatures that are not asked for": [[[1], 1, [3, 1, 4]], [[2], 1, [3, 2, 1, 4]], [
    [2],
    1,
    [3, 2, 4],
  ]],
  "3 of 5, other signers each time": [
    [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
    [[0, 1, 2, 3, 4], 3, [0, 4, 1]],
    [[0, 1, 2, 3, 4], 3, [0, 1, 3]],
  ],
  "3 of 5, one rotated": [[[0, 1, 2, 3, 4], 3, [0, 2, 4]], [[0, 1, 3, 4, 5], 3, [0, 4, 1]]],
  "3 of 5, one rotated with a step between": [
    [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
    [[0, 1, 3, 4, 5], 3, [0, 2, 4, 5]],
    [[0, 1, 3, 4, 5], 3, [0, 4, 5]],
  ],
  "3 of 5, all rotated": [
    [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
    [[5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]],
    [[5, 6, 7, 8, 9], 3, [5, 6, 7]],
  ],
  "threshold raised": [[[1, 2, 3], 1, [1]], [[1, 2, 3], 2, [1, 2]]],
  "threshold lowered": [[[1, 2, 3], 2, [1, 2]], [[1, 2, 3], 1, [1, 2]], [[1, 2, 3], 1, [1]]],
  "a key added and needed": [[[1], 1, [1]], [[1, 2], 2, [1, 2]]],
  "not signed by the old key": [[[1], 1, [1]], [[2], 1, [2, 3, 4], true]],
  "not signed by the new key": [[[1], 1, [1]], [[2], 1, [1, 3, 4], true]],
  "too few new keys": [[[0, 1, 2, 3, 4], 3, [0, 2, 4]], [[0, 1, 3, 4, 5], 3, [0, 2, 4], true]],
  "too few old keys": [[[0, 1, 2, 3, 4], 3, [0, 2, 4]], [[0, 1, 3, 4, 5], 3, [0, 4, 5], true]],
  "raised threshold not reached": [[[1, 2, 3], 1, [1]], [[1, 2, 3], 2, [2], true]],
  "old threshold not reached": [[[1, 2, 3], 2, [1, 2]], [[1, 2, 3], 1, [1], true]],
};
const TEN = Array.from({ length: 10 }, () => newSigner());

for (const [name, versions] of Object.entries(ROTATIONS)) {
  Deno.test(`root: ${name}`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    delete repository.published.root;
    repository.root.version = 1;
    for (const [keys, threshold, signers] of versions) {
      repository.root.roles.root = { keyids: [], threshold };
      for (const key of keys) repository.addKey("root", TEN[key]);
      repository.signers.root!.clear();
      for (const key of signers) repository.sign("root", TEN[key]!);
      repository.publish("root");
    }
    equal(await client.init(), 0);
    const refused = versions.at(-1)![3] ?? false;
    equal(await client.refresh(), refused ? 1 : 0, client.told);
    deepEqual(client.trusted("root"), new Uint8Array(repository.published.root!.at(refused ? -2 : -1)!));
  });
}

/** Keys of a role below root, threshold, who signs; and whether it is taken. */
const BELOW: Record<string, readonly [keys: number[], threshold: number, signers: number[], taken: boolean]> =
  {
    "1 of 1 rotated": [[2], 1, [2], true],
    "signatures that are not asked for": [[1], 1, [3, 1, 4], true],
    "not signed by the new key": [[2], 1, [1, 3, 4], false],
    "one wrong of three": [[0, 1, 3, 4, 5], 3, [0, 2, 4], false],
    "two of three": [[0, 1, 3, 4, 5], 3, [0, 4], false],
    "3 of 5, first": [[0, 1, 2, 3, 4], 3, [0, 2, 4], true],
    "3 of 5, second": [[0, 1, 2, 3, 4], 3, [2, 3, 4], true],
  };

for (const [name, [keys, threshold, signers, taken]] of Object.entries(BELOW)) {
  for (const role of ["timestamp", "snapshot", "targets"]) {
    Deno.test(`${role}: ${name}`, async () => {
      const { client, repository } = await initialized();
      await using _ = client;
      repository.root.roles[role] = { keyids: [], threshold };
      for (const key of keys) repository.addKey(role, TEN[key]);
      repository.signers[role]!.clear();
      for (const key of signers) repository.sign(role, TEN[key]!);
      repository.publish(
        "root",
        ...["targets", "snapshot", "timestamp"].slice(["targets", "snapshot", "timestamp"].indexOf(role)),
      );
      equal(await client.refresh(), taken ? 0 : 1, client.told);
      if (taken) deepEqual(client.trusted(role), new Uint8Array(repository.published[role]!.at(-1)!));
      else notEqual(client.version(role), 2);
    });
  }
}

Deno.test("256 root rotations in one refresh, and the next refresh goes on from there", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  for (let rotation = 0; rotation < 256 + 3; rotation++) {
    const old = repository.signers.root!;
    repository.signers.root = new Map();
    const [last] = [...old.values()].slice(-1) as [Signer];
    repository.root.roles.root.keyids = [];
    // The old key signs the new root once more.
    repository.addKey("root");
    const own = [...repository.signers.root.values()];
    repository.sign("root", last);
    repository.publish("root");
    repository.signers.root = new Map(own.map((signer) => [signer.id, signer]));
    delete repository.root.keys[last.id];
  }
  await client.refresh();
  equal(client.version("root"), 257);
  equal(await client.refresh(), 0, client.told);
  equal(client.version("root"), 260);
});
