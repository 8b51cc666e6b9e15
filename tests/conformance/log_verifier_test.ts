/**
 * A verifier that is not ours reads our checkpoints, tiles, bundles and proofs: log_verifier/main.go on golang.org/x/mod/sumdb, the
 * libraries of the Go checksum database, as Debian packages them.
 */

import assert from "node:assert/strict";
import { LogReader } from "shared/log/reader.ts";
import {
  filesSource,
  logFiles,
  TEST_LOG,
  TEST_POLICY,
  TEST_WITNESSES,
  testEntries,
  writeLog,
} from "shared/log/testing/log_folder.ts";

const SOURCE = decodeURIComponent(new URL("./log_verifier/main.go", import.meta.url).pathname);
const INSTALL = "apt-get install golang-go golang-golang-x-mod-dev";

async function go(
  args: readonly string[],
  cache: string,
): Promise<{ success: boolean; words: string; errors: string }> {
  const command = new Deno.Command("/usr/bin/go", {
    args: [...args],
    // Debian's sources lie where Go looked before it had modules; nothing is downloaded.
    env: { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOCACHE: cache, GOPROXY: "off", GOFLAGS: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output().catch((error) => {
    throw new Error(`Cannot run Go: ${INSTALL}`, { cause: error });
  });
  const decoder = new TextDecoder();
  return { success, words: decoder.decode(stdout), errors: decoder.decode(stderr) };
}

Deno.test("the libraries of the Go checksum database read our log, and refuse what was changed", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-" });
  try {
    const program = `${folder}/verifier`;
    const built = await go(["build", "-o", program, SOURCE], `${folder}/cache`);
    assert.ok(built.success, `${built.errors}\n${INSTALL}`);
    const verify = async (size: number, prove?: number, change?: (log: string) => Promise<void>) => {
      const log = `${folder}/${size}`;
      const files = await logFiles(testEntries(size));
      await writeLog(log, files);
      const proof = `${folder}/entry.tlog-proof`;
      if (prove !== undefined) {
        const reader = await LogReader.open(filesSource(files), TEST_POLICY);
        await Deno.writeFile(proof, await reader.prove(prove));
      }
      await change?.(log);
      const args = [log, TEST_LOG.vkey, TEST_WITNESSES[1]!.vkey, ...(prove === undefined ? [] : [proof])];
      const { success, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
      const decoder = new TextDecoder();
      return success ? JSON.parse(decoder.decode(stdout)) : decoder.decode(stderr).split(":")[0];
    };
    for (const size of [1, 255, 256, 257, 700]) {
      assert.deepEqual(await verify(size, size >> 1), {
        size,
        // The log's and the known witness's; two more are unknown to it.
        signatures: 2,
        entries: size,
        consistent: Math.ceil(size / 10),
        proved: size >> 1,
      });
    }
    const flip = (path: string, at = -10) => async (log: string) => {
      const bytes = await Deno.readFile(`${log}/${path}`);
      bytes[(bytes.length + at) % bytes.length]! ^= 1;
      await Deno.writeFile(`${log}/${path}`, bytes);
    };
    // TileHashReader of x/mod 0.7 skips the first full tiles where several subtrees share an edge tile; the entries tell then.
    assert.match(await verify(700, undefined, flip("tile/0/001")), /^(tiles|entry hash)$/);
    assert.equal(await verify(700, undefined, flip("tile/1/000.p/2")), "tiles");
    assert.equal(await verify(700, undefined, flip("tile/entries/001")), "entry hash");
    assert.equal(await verify(700, undefined, flip("checkpoint", 5)), "checkpoint");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
