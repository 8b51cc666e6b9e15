import { deepEqual, equal, match } from "node:assert/strict";
import { initialized } from "./runner.ts";

const TOP = ["targets", "snapshot", "timestamp"];

for (const path of ["target_file.txt", "path/to/a/target_file.txt", "with space/and?query#fragment%41"]) {
  Deno.test(`${path} is fetched once; when it changes it replaces the old one`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.addTarget("targets", path, "target file contents");
    repository.publish(...TOP);
    equal(await client.refresh(), 0);
    deepEqual(client.downloaded, []);
    equal(await client.download(path), 0, client.told);
    equal(await client.download(path), 0, client.told);
    deepEqual(client.downloaded, ["target file contents"]);
    // The second time it was here already.
    equal(repository.askedTargets.length, 1);
    repository.addTarget("targets", path, "changed");
    repository.publish(...TOP);
    equal(await client.download(path), 0, client.told);
    deepEqual(client.downloaded, ["changed"]);
  });
}

for (const algorithms of [["sha256"], ["sha512"], ["sha256", "sha512"]]) {
  Deno.test(`targets with ${algorithms.join(" and ")}`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.addTarget("targets", "file", "content", algorithms);
    repository.publish(...TOP);
    equal(await client.download("file"), 0, client.told);
    const [, prefix] = repository.askedTargets[0]!;
    equal(Object.values(repository.artifacts.get("file")!.hashes).includes(prefix), true);
    // One of two right is not enough.
    if (algorithms.length < 2) return;
    repository.signed.targets!.targets.file.hashes.sha512 = "00".repeat(64);
    repository.publish(...TOP);
    equal(await client.download("file"), 1);
  });
}

Deno.test("without consistent snapshots, names have no versions and no hashes", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.root.consistent_snapshot = false;
  repository.addTarget("targets", "dir/file", "content");
  repository.publish("root", ...TOP);
  equal(await client.download("dir/file"), 0, client.told);
  deepEqual(repository.asked.slice(-3), [["timestamp", undefined], ["snapshot", undefined], [
    "targets",
    undefined,
  ]]);
  deepEqual(repository.askedTargets, [["dir/file", "", 0]]);
});

for (
  const [name, content] of [
    ["longer", "malicious data - should not download"],
    ["as long", "m".repeat("target file contents".length)],
    ["shorter", "malicious"],
  ] as const
) {
  Deno.test(`a target that was exchanged (${name}) is thrown away; what is here stays`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.addTarget("targets", "one", "target file contents");
    repository.addTarget("targets", "other", "target file contents");
    repository.publish(...TOP);
    equal(await client.download("one"), 0);
    for (const path of ["one", "other"]) {
      repository.artifacts.get(path)!.data = new TextEncoder().encode(content);
    }
    await client.download("one");
    deepEqual(client.downloaded, ["target file contents"]);
    equal(await client.download("other"), 1);
    deepEqual(client.downloaded, ["target file contents"]);
    // The right file comes: nothing of the wrong one is in its way.
    repository.artifacts.get("other")!.data = new TextEncoder().encode("target file contents");
    equal(await client.download("other"), 0, client.told);
  });
}

Deno.test("a download that is cut goes on where it was cut", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  const text = "0123456789".repeat(20_000);
  repository.addTarget("targets", "file", text);
  repository.publish(...TOP);
  repository.intercept = (path, request) => {
    if (!path.startsWith("/targets/") || request.headers.has("range")) return undefined;
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        // Closed before the length that was told: the connection is cut.
        if (sent === 130_000) return controller.close();
        controller.enqueue(new TextEncoder().encode(text.slice(sent, sent + 65_000)));
        sent += 65_000;
      },
    });
    return new Response(body, { headers: { "content-length": String(text.length) } });
  };
  equal(await client.download("file"), 1);
  match(client.told, /TUF_UNREACHABLE/);
  deepEqual(client.downloaded, []);
  equal(await client.download("file"), 0, client.told);
  deepEqual(client.downloaded, [text]);
  const [, , from] = repository.askedTargets.at(-1)!;
  equal(from > 0 && from <= 130_000, true, `went on at ${from}`);
});

Deno.test("a server without ranges sends everything again; a part that is wrong is begun anew", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.addTarget("targets", "file", "0123456789");
  repository.publish(...TOP);
  const { sha256 } = repository.artifacts.get("file")!.hashes;
  Deno.writeTextFileSync(`${client.targetsDir}/.partial-${sha256}`, "01234");
  repository.intercept = (path) => path.startsWith("/targets/") ? new Response("0123456789") : undefined;
  equal(await client.download("file"), 0, client.told);
  repository.intercept = () => undefined;
  Deno.removeSync(`${client.targetsDir}/file`);
  Deno.writeTextFileSync(`${client.targetsDir}/.partial-${sha256}`, "wrong");
  equal(await client.download("file"), 1);
  match(client.told, /TUF_TARGET_ALTERED/);
  equal(await client.download("file"), 0, client.told);
  deepEqual(client.downloaded, ["0123456789"]);
});

Deno.test("a path that leads out of the targets is refused, though it was signed", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.addTarget("targets", "../metadata/root.json", "{}");
  repository.publish(...TOP);
  equal(await client.download("../metadata/root.json"), 1);
  match(client.told, /TUF_REFUSED/);
  equal(client.version("root"), 1);
});

Deno.test("two clients on one folder: the second is told so", async () => {
  const { client } = await initialized();
  await using _ = client;
  using held = Deno.openSync(`${client.metadataDir}/.trust.lock`, { write: true, create: true });
  held.lockSync(true);
  equal(await client.refresh(), 1);
  match(client.told, /TUF_BUSY/);
});

Deno.test("without init there is nothing to begin with", async () => {
  const { client } = await initialized();
  await using _ = client;
  Deno.removeSync(`${client.metadataDir}/root.json`);
  equal(await client.refresh(), 1);
  match(client.told, /TUF_NO_ROOT/);
});
