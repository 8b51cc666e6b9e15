import { deepEqual, equal, match } from "node:assert/strict";
import { newSigner } from "./keys.ts";
import { inDays, TOP } from "./repository.ts";
import { initialized } from "./runner.ts";

const FIRST = [["root", 2], ["timestamp", undefined], ["snapshot", 1], ["targets", 1]];

Deno.test("a first refresh asks for root, timestamp, snapshot and targets, and trusts what it got, byte for byte", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  // A serialization that no client would make.
  repository.published.timestamp![0] = new Uint8Array([...repository.published.timestamp![0]!, 0x20]);
  equal(await client.refresh(), 0, client.told);
  deepEqual(repository.asked, FIRST);
  for (const role of TOP) deepEqual([...client.trusted(role)!], [...repository.published[role]!.at(-1)!]);
});

Deno.test("a download refreshes first; a target that nobody signed fails, the metadata stays", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  equal(await client.download("nonexistent artifact"), 1);
  match(client.told, /TUF_TARGET_MISSING/);
  deepEqual(repository.asked, FIRST);
  deepEqual(client.trustedRoles, ["root 1", "snapshot 1", "targets 1", "timestamp 1"]);
});

for (
  const [name, change] of [
    ["without a version", (root: { signed: { version?: number } }) => void delete root.signed.version],
    [
      "with a foreign signature",
      (root: { signatures: { sig: string }[] }) => void (root.signatures[0]!.sig = "3045022100ee44"),
    ],
  ] as const
) {
  Deno.test(`an initial root ${name} fetches nothing`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    const root = JSON.parse(new TextDecoder().decode(repository.published.root![0]));
    change(root);
    await client.init(new TextEncoder().encode(JSON.stringify(root)));
    await Deno.writeTextFile(`${client.metadataDir}/root.json`, JSON.stringify(root));
    equal(await client.refresh(), 1);
    deepEqual(repository.asked, []);
  });
}

const CASES = {
  root: ["root 1"],
  timestamp: ["root 2"],
  snapshot: ["root 2", "timestamp 2"],
  targets: ["root 2", "snapshot 2", "timestamp 2"],
};

for (const [role, trusted] of Object.entries(CASES)) {
  Deno.test(`${role} without its signature is refused; what came before it is kept`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.signers[role]!.clear();
    repository.publish("root", "targets", "snapshot", "timestamp");
    equal(await client.refresh(), 1);
    deepEqual(client.trustedRoles, trusted);
  });
  if (role === "timestamp") continue;
  Deno.test(`${role} of another version than its address is refused`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.signed[role]!.version++;
    repository.publish("root", "targets", "snapshot", "timestamp");
    equal(await client.refresh(), 1);
    deepEqual(client.trustedRoles, trusted);
  });
}

Deno.test("a timestamp that changes under the same version is not taken, and nothing is fetched after it", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  equal(await client.refresh(), 0);
  repository.signed.timestamp!.meta["snapshot.json"].version = 100;
  repository.published.timestamp = [repository.serialize("timestamp")];
  equal(await client.refresh(), 0, client.told);
  deepEqual(repository.asked.at(-1), ["timestamp", undefined]);
  match(new TextDecoder().decode(client.trusted("timestamp")), /"version": 1/);
});

Deno.test("hashes in snapshot and timestamp are checked", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.withHashes = true;
  repository.publish("targets", "snapshot", "timestamp");
  equal(await client.refresh(), 0, client.told);
  repository.publish("targets");
  repository.signed.snapshot!.meta["targets.json"].hashes.sha256 = "46".repeat(32);
  repository.publish("snapshot", "timestamp");
  equal(await client.refresh(), 1);
  deepEqual([client.version("snapshot"), client.version("targets")], [3, 2]);
});

Deno.test("fields that the client does not know are part of what is signed", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.root["custom-field"] = "value";
  repository.root.roles.root["another-field"] = "value";
  repository.addKey("root", newSigner("ecdsa-sha2-nistp256", { "extra-field": { a: 1, b: 2 } }));
  repository.addKey("snapshot", newSigner("ecdsa-sha2-nistp256", { keyid_hash_algorithms: "md5" }));
  repository.publish("root", "snapshot", "timestamp");
  equal(await client.refresh(), 0, client.told);
  deepEqual([client.version("root"), client.version("snapshot")], [2, 2]);
});

for (
  const [role, file, trusted] of [
    ["snapshot", "timestamp", ["root 1", "snapshot 1", "targets 1", "timestamp 2"]],
    ["targets", "snapshot", ["root 1", "snapshot 2", "targets 1", "timestamp 2"]],
  ] as const
) {
  Deno.test(`${role} that is named but not there: refused, what names it is kept`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    equal(await client.refresh(), 0);
    repository.signed[file]!.meta[`${role}.json`].version++;
    repository.publish(...file === "snapshot" ? ["snapshot", "timestamp"] : ["timestamp"]);
    equal(await client.refresh(), 1);
    deepEqual(repository.asked.at(-1), [role, 2]);
    deepEqual(client.trustedRoles, trusted);
  });
}

Deno.test("a timestamp that is not there: refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  equal(await client.refresh(), 0);
  delete repository.published.timestamp;
  equal(await client.refresh(), 1);
  deepEqual(repository.asked.at(-1), ["timestamp", undefined]);
});

Deno.test("a snapshot in the place of a timestamp is refused, also when the timestamp's key signed it", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.addKey("snapshot", [...repository.signers.timestamp!.values()][0]!);
  repository.signed.snapshot!.meta = { "snapshot.json": { version: 1 } };
  repository.publish("root", "snapshot");
  repository.published.timestamp!.push(repository.published.snapshot!.pop()!);
  equal(await client.refresh(), 1);
  deepEqual(client.trustedRoles, ["root 2"]);
});

for (
  const [name, field, value] of [
    ["a date that is none, which would never be over", "expires", "next year"],
    ["a date without a day of the calendar", "expires", "2099-13-41T00:00:00Z"],
    ["a version that is no whole number", "version", 2.5],
    ["version 0", "version", 0],
  ] as const
) {
  Deno.test(`${name} is refused, signed or not`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    equal(await client.refresh(), 0);
    repository.publish("snapshot");
    repository.signed.timestamp![field] = value;
    // Canonical JSON has no fractions: this one cannot even be signed.
    repository.published.timestamp = [
      value === 2.5
        ? new TextEncoder().encode('{"signatures":[],"signed":{"version":2.5}}')
        : repository.serialize("timestamp"),
    ];
    equal(await client.refresh(), 1);
    match(client.told, /RELEASE_METADATA/);
    equal(client.version("timestamp"), 1);
  });
}

Deno.test("endless data is refused at the length of its kind", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  let sent = 0;
  repository.intercept = (path) => {
    if (!path.endsWith("/timestamp.json")) return undefined;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    return new Response(body);
  };
  equal(await client.refresh(), 1);
  match(client.told, /TUF_TOO_LONG/);
  deepEqual(client.trustedRoles, ["root 1"]);
  equal(sent < 100_000_000, true);
});

for (const status of [403, 404]) {
  Deno.test(`${status} ends the chain of roots; 500 does not`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    let answer = status;
    repository.intercept = (path) =>
      path.endsWith(".root.json") ? new Response(null, { status: answer }) : undefined;
    equal(await client.refresh(), 0, client.told);
    answer = 500;
    equal(await client.refresh(), 1);
  });
}

Deno.test("expired: root is kept and ends the refresh; timestamp, snapshot, targets are not taken", async () => {
  for (
    const [role, trusted] of [
      ["root", "root 2,snapshot 1,targets 1,timestamp 1"],
      ["timestamp", "root 1,snapshot 1,targets 1,timestamp 1"],
      ["snapshot", "root 1,snapshot 1,targets 1,timestamp 2"],
      ["targets", "root 1,snapshot 2,targets 1,timestamp 2"],
    ] as const
  ) {
    const { client, repository } = await initialized();
    await using _ = client;
    equal(await client.refresh(), 0);
    repository.signed[role]!.expires = inDays(-5);
    repository.publish(
      ...role === "root" ? ["root"] : ["targets", "snapshot", "timestamp"].slice(
        ["targets", "snapshot", "timestamp"].indexOf(role),
      ),
    );
    equal(await client.refresh(), 1, role);
    equal(client.trustedRoles.join(), trusted);
  }
});

Deno.test("what is trusted and expired protects from rollback all the same, and is replaced", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.signed.timestamp!.expires = inDays(7);
  repository.publish("timestamp");
  equal(await client.refresh(), 0);
  repository.publish("targets", "snapshot");
  repository.signed.timestamp!.expires = inDays(21);
  repository.publish("timestamp");
  equal(await client.refresh(18), 0, client.told);
  deepEqual(client.trustedRoles, ["root 1", "snapshot 2", "targets 2", "timestamp 3"]);
  // A frozen repository: the same again when it is over.
  equal(await client.refresh(22), 1);
});
