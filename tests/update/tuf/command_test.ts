import { deepEqual, equal } from "node:assert/strict";
import { REPOSITORY } from "cli/home.ts";
import { tufClientSpec } from "cli/commands/tuf_client.ts";
import { SimulatedRepository } from "./repository.ts";

/** Runs `rk tuf-client` as the conformance suite does, outside of the repository's folder. */
async function rk(folder: string, ...args: string[]): Promise<{ code: number; errors: string }> {
  const { code, stderr } = await new Deno.Command(`${REPOSITORY}/rk`, {
    args: ["tuf-client", ...args],
    cwd: folder,
    stdout: "null",
    stderr: "piped",
  }).output();
  return { code, errors: new TextDecoder().decode(stderr) };
}

Deno.test("rk tuf-client: init, refresh and download with options before the command; 1 when refused", async () => {
  await using repository = new SimulatedRepository();
  repository.addTarget("targets", "file", "content");
  repository.publish("targets", "snapshot", "timestamp");
  const folder = await Deno.makeTempDir({ prefix: "tuf command " });
  try {
    for (const name of ["metadata", "targets"]) await Deno.mkdir(`${folder}/${name}`);
    await Deno.writeFile(`${folder}/root 1.json`, repository.published.root![0]!);
    const init = await rk(folder, "--metadata-dir", "metadata", "init", "root 1.json");
    equal(init.code, 0, init.errors);
    const options = ["--metadata-url", repository.metadataUrl, "--metadata-dir", `${folder}/metadata`];
    const refresh = await rk(folder, ...options, "refresh");
    equal(refresh.code, 0, refresh.errors);
    const target = ["--target-dir", `${folder}/targets`, "--target-base-url", repository.targetsUrl];
    const download = await rk(folder, ...options, "--target-name", "file", ...target, "download");
    equal(download.code, 0, download.errors);
    equal(await Deno.readTextFile(`${folder}/targets/file`), "content");
    equal((await rk(folder, ...options, "--target-name", "none", ...target, "download")).code, 1);
    repository.signers.timestamp!.clear();
    repository.publish("timestamp");
    const refused = await rk(folder, ...options, "refresh");
    equal(refused.code, 1);
    equal(/RELEASE_SIGNATURES/.test(refused.errors), true, refused.errors);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the client's process may use the folders and addresses that are named, and nothing else", () => {
  const spec = tufClientSpec("download", undefined, {
    metadataDir: "/m",
    metadataUrl: "https://releases.example/metadata/",
    targetName: "file",
    targetBaseUrl: "http://127.0.0.1:8080/targets",
    targetDir: "/t",
  });
  deepEqual(spec.substitution, {
    ".rk/update/metadata": "/m",
    ".rk/update/targets": ["/t"],
    ".rk/update/root.json": [],
    "releases.invalid:443": ["releases.example:443", "127.0.0.1:8080"],
  });
});
