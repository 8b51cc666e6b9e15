import { createHash } from "node:crypto";
import { deepEqual, equal, match } from "node:assert/strict";
import { newSigner } from "./keys.ts";
import { inDays, type SimulatedRepository } from "./repository.ts";
import { type ClientRunner, initialized } from "./runner.ts";

type Edge = readonly [from: string, to: string, rules?: Record<string, unknown>];
const ONLY_PY = { paths: ["*.py"] };
const ENDING = { paths: ["*"], terminating: true };

/** Graphs of delegations, and the roles that a search for `missingpath` asks for, in order. */
const GRAPHS: Record<string, readonly [edges: Edge[], visited: string]> = {
  "one": [[["targets", "A"]], "A"],
  "two beside one another": [[["targets", "A"], ["targets", "B"]], "A B"],
  "two levels": [[["targets", "A"], ["targets", "B"], ["B", "C"]], "A B C"],
  "depth first, two levels": [[["targets", "A"], ["targets", "B"], ["A", "C"], ["A", "D"]], "A C D B"],
  "depth first, three levels": [[["targets", "A"], ["targets", "B"], ["A", "C"], ["C", "D"]], "A C D B"],
  "terminating, two levels": [[["targets", "A"], ["targets", "B"], ["A", "C", ENDING], ["A", "D"]], "A C"],
  "terminating, three levels": [
    [["targets", "A"], ["targets", "B"], ["A", "C", ENDING], ["C", "D"]],
    "A C D",
  ],
  "branch of other paths, two levels": [[["targets", "A", ONLY_PY], ["targets", "B"], ["A", "C"]], "B"],
  "branch of other paths, three levels": [
    [["targets", "A"], ["targets", "B"], ["A", "C", ONLY_PY], ["C", "D"]],
    "A B",
  ],
  "a cycle": [[["targets", "A"], ["targets", "B"], ["B", "C"], ["C", "D"], ["D", "B"]], "A B C D"],
  "two that delegate to a third": [[["targets", "A"], ["targets", "B"], ["B", "C"], ["A", "C"]], "A C B"],
  "two that delegate other paths to a third": [
    [["targets", "A"], ["targets", "B"], ["B", "C"], ["A", "C", ONLY_PY]],
    "A B C",
  ],
};

/** Delegates, publishes everything at version 1 below targets. */
function build(repository: SimulatedRepository, edges: readonly Edge[]): void {
  for (const [from, to, rules] of edges) {
    const known = repository.signers[to];
    repository.delegate(from, to, rules);
    // A role that is delegated to twice is signed by both keys.
    if (known !== undefined) { for (const signer of known.values()) repository.sign(to, signer); }
  }
  const names = [...new Set(edges.map(([, to]) => to))];
  repository.publish(...names, "targets", "snapshot", "timestamp");
}

const visitedBelow = (repository: SimulatedRepository) =>
  repository.asked.slice(4).map(([role, version]) => `${role}${version === 1 ? "" : `@${version}`}`).join(
    " ",
  );

for (const [name, [edges, visited]] of Object.entries(GRAPHS)) {
  Deno.test(`delegations are searched in order: ${name}`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    build(repository, edges);
    equal(await client.download("missingpath"), 1);
    match(client.told, /TUF_TARGET_MISSING/);
    equal(visitedBelow(repository), visited);
  });
}

for (
  const [path, visited, found] of [
    ["targetfile", "", true],
    ["README.md", "A", true],
    ["releases/x/x_v1", "B C", true],
    ["releases/y/y_v1.zip", "B D", true],
    ["releases/z/z_v1.zip", "B", false],
  ] as const
) {
  Deno.test(`${path} is ${found ? "found where it was delegated to" : "not taken from a role that not all of the chain delegates it to"}`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.delegate("targets", "A", { paths: ["*.doc", "*.md"] });
    repository.delegate("targets", "B", { paths: ["releases/*/*"] });
    repository.delegate("B", "C", { paths: ["releases/x/*"] });
    repository.delegate("B", "D", { paths: ["releases/y/*.zip"] });
    repository.addTarget("targets", "targetfile", "targetfile content");
    repository.addTarget("A", "README.md", "README by A");
    repository.addTarget("C", "releases/x/x_v1", "x release by C");
    repository.addTarget("D", "releases/y/y_v1.zip", "y release by D");
    repository.addTarget("D", "releases/z/z_v1.zip", "z release by D");
    repository.publish("A", "B", "C", "D", "targets", "snapshot", "timestamp");
    equal(await client.download(path), found ? 0 : 1, client.told);
    equal(client.downloaded.length, found ? 1 : 0);
    equal(visitedBelow(repository), visited);
  });
}

Deno.test("roles by hash of the path: the one of the prefix is searched", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  const digit = createHash("sha256").update("file").digest("hex")[0]!;
  const others = [..."0123456789abcdef"].filter((each) => each !== digit);
  repository.delegate("targets", "others", { paths: undefined, path_hash_prefixes: others });
  repository.delegate("targets", "ours", { paths: undefined, path_hash_prefixes: [digit] });
  repository.addTarget("ours", "file", "content");
  for (const role of repository.signed.targets!.delegations.roles) delete role.paths;
  repository.publish("others", "ours", "targets", "snapshot", "timestamp");
  equal(await client.download("file"), 0, client.told);
  equal(visitedBelow(repository), "ours");
});

for (const [bits, path, bin] of [[1, "boo", "bin-0"], [2, "foo", "bin-0"], [8, "bar", "bin-fc"]] as const) {
  Deno.test(`succinct roles: ${path} of 2^${bits} bins`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    const value = createHash("sha256").update(path).digest().readUInt32BE(0) >>> (32 - bits);
    const expected = `bin-${value.toString(16).padStart(Math.ceil(bits / 4), "0")}`;
    if (bits === 8) equal(expected, bin);
    const signer = newSigner();
    repository.signed.targets!.delegations = {
      keys: { [signer.id]: signer.json },
      succinct_roles: { keyids: [signer.id], threshold: 1, bit_length: bits, name_prefix: "bin" },
    };
    repository.signed[expected] = { ...structuredClone(repository.signed.targets!), version: 1, targets: {} };
    delete repository.signed[expected]!.delegations;
    repository.sign(expected, signer);
    repository.addTarget(expected, path, "content");
    repository.publish(expected, "targets", "snapshot", "timestamp");
    equal(await client.download(path), 0, client.told);
    equal(visitedBelow(repository), expected);
  });
}

for (const role of ["?", "#", "/delegatedrole", "../delegatedrole", ".", "a b", "é"]) {
  Deno.test(`a role named ${role} is asked for by a quoted name, and kept inside the folder`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    repository.delegate("targets", role);
    repository.publish(role, "targets", "snapshot", "timestamp");
    equal(await client.download("nonexistent target"), 1);
    deepEqual(repository.asked.at(-1), [encodeURIComponent(role), 1]);
    equal(client.trustedRoles.length, 5);
    deepEqual([...Deno.readDirSync(client.folder)].map(({ name }) => name).sort(), [
      "initial_root.json",
      "metadata",
      "targets",
    ]);
  });
}

Deno.test("a role that takes the name of one of the top is refused", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.delegate("targets", "snapshot");
  repository.publish("targets", "snapshot", "timestamp");
  equal(await client.download("file"), 1);
  equal(client.version("targets"), undefined);
});

for (const names of [["A", "A"], ["B", "1"], ["2", "1"]]) {
  Deno.test(`roles ${names.join(", ")} are refused: they would be searched in another order`, async () => {
    const { client, repository } = await initialized();
    await using _ = client;
    for (const name of names) repository.delegate("targets", name);
    repository.publish(...new Set(names), "targets", "snapshot", "timestamp");
    equal(await client.download("file"), 1);
    match(client.told, /RELEASE_METADATA/);
    equal(client.version("targets"), undefined);
  });
}

/** A product's role that is over in so many days, with two targets. */
function withProduct(repository: SimulatedRepository, days: number): void {
  repository.delegate("targets", "product", { paths: ["product/*"] }, { expires: inDays(days) });
  repository.addTarget("product", "product/first", "first");
  repository.addTarget("product", "product/second", "second");
  repository.publish("product", "targets", "snapshot", "timestamp");
}

Deno.test("a delegated role that is over when it is first seen is not used", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  withProduct(repository, -1);
  equal(await client.refresh(), 0);
  equal(await client.download("product/first"), 1);
  deepEqual(client.downloaded, []);
  deepEqual(client.trustedRoles, ["root 1", "snapshot 2", "targets 2", "timestamp 2"]);
});

Deno.test("a delegated role that became over is not used, and a newer one is", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  withProduct(repository, 7);
  equal(await client.download("product/first"), 0, client.told);
  equal(await client.download("product/second", 18), 1);
  deepEqual(client.downloaded, ["first"]);
  repository.signed.product!.expires = inDays(21);
  repository.publish("product", "snapshot", "timestamp");
  equal(await client.download("product/second", 18), 0, client.told);
  deepEqual(client.downloaded, ["first", "second"]);
});

Deno.test("a delegated role that its keys did not sign is not used", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  repository.delegate("targets", "product");
  repository.signers.product!.clear();
  repository.sign("product", newSigner());
  repository.addTarget("product", "file", "content");
  repository.publish("product", "targets", "snapshot", "timestamp");
  await refusedDownload(client, "file");
});

async function refusedDownload(client: ClientRunner, path: string): Promise<void> {
  equal(await client.download(path), 1);
  deepEqual(client.downloaded, []);
  match(client.told, /TUF_REFUSED|RELEASE_SIGNATURES/);
}
