import { deepEqual, equal } from "node:assert/strict";
import { initialized } from "./runner.ts";
import type { SimulatedRepository } from "./repository.ts";

const ALL = ["targets", "snapshot", "timestamp"];

/** Publishes a role at a version of the test's choice. */
function publishAt(repository: SimulatedRepository, role: string, version: number): void {
  repository.signed[role]!.version = version - 1;
  repository.publish(role);
}

/** Puts the newest document of a role where its version says. */
function place(repository: SimulatedRepository, role: string, version: number): void {
  const versions = repository.published[role]!;
  versions[version - 1] = versions.at(-1)!;
}

Deno.test("timestamp rollback: refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.publish("timestamp");
  equal(await client.refresh(), 0);
  publishAt(repository, "timestamp", 1);
  equal(await client.refresh(), 1);
  equal(client.version("timestamp"), 2);
  deepEqual(repository.asked.at(-1), ["timestamp", undefined]);
});

for (const withHashes of [false, true]) {
  Deno.test(`snapshot rollback${withHashes ? ", with hashes" : ""}: refused before the snapshot is asked for`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.withHashes = withHashes;
    repository.publish("snapshot", "timestamp");
    equal(await client.refresh(), 0);
    publishAt(repository, "snapshot", 1);
    repository.publish("timestamp");
    equal(await client.refresh(), 1);
    deepEqual([client.version("timestamp"), client.version("snapshot")], [2, 2]);
    deepEqual(repository.asked.at(-1), ["timestamp", undefined]);
  });

  Deno.test(`targets rollback${withHashes ? ", with hashes" : ""}: refused by what the trusted snapshot says`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.withHashes = withHashes;
    repository.publish("targets", ...ALL);
    equal(await client.refresh(), 0, client.told);
    equal(client.version("targets"), 3);
    publishAt(repository, "targets", 1);
    repository.publish("snapshot", "timestamp");
    equal(await client.refresh(), 1);
    deepEqual([client.version("snapshot"), client.version("targets")], [2, 3]);
  });
}

Deno.test("an older snapshot under the same timestamp is not even asked for", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.publish("snapshot", "timestamp");
  equal(await client.refresh(), 0);
  publishAt(repository, "snapshot", 1);
  equal(await client.refresh(), 0);
  equal(client.version("snapshot"), 2);
  deepEqual(repository.asked.at(-1), ["timestamp", undefined]);
});

Deno.test("a role that leaves the snapshot: refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.delegate("targets", "product");
  repository.publish("product", ...ALL);
  equal(await client.refresh(), 0, client.told);
  delete repository.signed.snapshot!.meta["product.json"];
  repository.publish("snapshot", "timestamp");
  equal(await client.refresh(), 1);
  equal(client.version("snapshot"), 2);
});

Deno.test("mix and match: a snapshot of one day with the targets of another is refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  equal(await client.refresh(), 0);
  repository.publish(...ALL);
  // What is served as version 2 is the first day's.
  repository.published.targets![1] = repository.published.targets![0]!;
  equal(await client.refresh(), 1);
  deepEqual(client.trustedRoles, ["root 1", "snapshot 2", "targets 1", "timestamp 2"]);
});

Deno.test("fast forward of the timestamp is recovered by a new timestamp key", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  publishAt(repository, "timestamp", 99_999);
  equal(await client.refresh(), 0);
  equal(client.version("timestamp"), 99_999);
  repository.rotate("timestamp");
  repository.publish("root");
  publishAt(repository, "timestamp", 1);
  equal(await client.refresh(), 0, client.told);
  equal(client.version("timestamp"), 1);
});

Deno.test("fast forward of the snapshot is recovered by new snapshot and timestamp keys", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  publishAt(repository, "snapshot", 99_999);
  place(repository, "snapshot", 99_999);
  repository.publish("timestamp");
  equal(await client.refresh(), 0, client.told);
  equal(client.version("snapshot"), 99_999);
  repository.rotate("snapshot");
  repository.rotate("timestamp");
  repository.publish("root");
  delete repository.published.snapshot;
  repository.signed.snapshot!.version = 1;
  repository.publish("snapshot", "timestamp");
  equal(await client.refresh(), 0, client.told);
  equal(client.version("snapshot"), 1);
});

Deno.test("fast forward of targets is recovered by a new snapshot key", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  publishAt(repository, "targets", 99_999);
  place(repository, "targets", 99_999);
  repository.publish("snapshot", "timestamp");
  equal(await client.refresh(), 0, client.told);
  equal(client.version("targets"), 99_999);
  repository.rotate("snapshot");
  repository.publish("root");
  delete repository.published.targets;
  repository.signed.targets!.version = 1;
  repository.publish(...ALL);
  equal(await client.refresh(), 0, client.told);
  equal(client.version("targets"), 1);
});
