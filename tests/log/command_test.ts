/** `rk log` as people and scripts run it: its own process under a permission set that can write nothing. */

import assert from "node:assert/strict";
import { logSpec } from "cli/commands/log.ts";
import { DENO, REPOSITORY } from "cli/home.ts";
import { commandLine, environment } from "cli/process/child.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { Secret } from "shared/base/secret.ts";
import { encodeLeaf } from "shared/log/leaf.ts";
import { hmacPseudonyms, Pseudonyms } from "shared/log/pseudonym.ts";
import {
  type LogFiles,
  logFiles,
  TEST_LOG,
  TEST_ORIGIN,
  TEST_WITNESSES,
  testEntries,
  testLeaf,
  writeLog,
} from "shared/log/testing/log_folder.ts";

const decoder = new TextDecoder();
const KEY = ["--vkey", TEST_LOG.vkey];
const WITNESSED = [...KEY, ...TEST_WITNESSES.flatMap(({ vkey }) => ["--witness", vkey]), "--quorum", "2"];

/** Runs `rk log ...`: exit code, lines of standard output, errors. */
async function rk(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(DENO, {
    args: ["run", "--quiet", "--no-check", "-A", `${REPOSITORY}/cli/main.ts`, "log", ...args],
    stdin: "null",
  }).output();
  const lines = decoder.decode(stdout).trimEnd().split("\n");
  return { code, lines, errors: decoder.decode(stderr), last: () => JSON.parse(lines.at(-1)!) };
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "rk-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("rk log shows, verifies, proves and exports a log in a folder", async (t) => {
  await withFolder(async (folder) => {
    const log = `${folder}/log`;
    const key = new Uint8Array(32).fill(0x41);
    const subject = await new Pseudonyms(TEST_ORIGIN, hmacPseudonyms(new Secret(key.slice()))).of(
      "card",
      "00C0FFEE",
    );
    const entries = testEntries(300);
    entries[270] = encodeLeaf(testLeaf(270, { subject }));
    await writeLog(log, await logFiles(entries));
    const trust = ["--trust", `${log}/trust.json`];
    await Deno.writeFile(`${folder}/pseudonym.key`, key, { mode: 0o600 });

    await t.step("show: the newest that fit, oldest first", async () => {
      const shown = await rk("show", log, ...trust, "--event", "gateway", "--last", "3", "--json");
      assert.equal(shown.code, 0, shown.errors);
      const indexes = shown.lines.slice(0, -1).map((line) => JSON.parse(line).index);
      assert.deepEqual(indexes, [279, 289, 299]);
      assert.deepEqual([shown.last().verified, shown.last().size, shown.last().shown], [true, 300, 3]);
    });
    await t.step("show: an identifier is found with the pseudonym key alone", async () => {
      const find = ["--subject", "card:00C0FFEE"];
      const shown = await rk("show", log, ...KEY, ...find, "--pseudonym-key", `${folder}/pseudonym.key`);
      assert.match(shown.lines[0]!, /^ +270 /);
      assert.equal(shown.lines.length, 2);
      const without = await rk("show", log, ...KEY, ...find, "--json");
      assert.deepEqual([without.code, without.last().error.code], [2, "LOG_PSEUDONYM_KEY"]);
    });
    await t.step("verify: as people read it, and as programs do", async () => {
      const found = await rk("verify", log, ...WITNESSED);
      assert.equal(found.code, 0, found.errors);
      assert.match(found.lines.at(-1)!, /^verified: /);
      const checked = (await rk("verify", log, ...trust, "--seen", `${log}/checkpoint`, "--json")).last();
      assert.deepEqual([checked.ok, checked.size, checked.entries, checked.findings], [true, 300, 300, []]);
    });
    await t.step("prove: a file that is verified with the key alone", async () => {
      const file = `${folder}/entry.tlog-proof`;
      assert.equal((await rk("prove", log, "270", ...KEY, "--output", file)).code, 0);
      await Deno.rename(log, `${folder}/gone`);
      const proved = (await rk("verify", "--proof", file, ...KEY, "--json")).last();
      assert.deepEqual([proved.ok, proved.index, proved.leaf.subject], [true, 270, subject]);
      const changed = (await Deno.readTextFile(file)).replace("index 270", "index 271");
      await Deno.writeTextFile(file, changed);
      const refused = await rk("verify", "--proof", file, ...KEY, "--json");
      assert.deepEqual([refused.code, refused.last().error.code], [4, "LOG_PROOF_INVALID"]);
      await Deno.rename(`${folder}/gone`, log);
    });
    await t.step("export: every entry, one object a line", async () => {
      const exported = await rk("export", log, ...KEY, "--json");
      assert.equal(exported.lines.length, 301);
      assert.equal(exported.last().exported, 300);
    });
    await t.step(
      "show and export: what is no entry of ours is shown as that, with an exit code",
      async () => {
        const foreign = `${folder}/foreign`;
        await writeLog(
          foreign,
          await logFiles([...testEntries(2), new TextEncoder().encode("\x1b[31m<script>")]),
        );
        const shown = await rk("show", foreign, ...KEY, "--event", "gateway", "--json");
        assert.deepEqual([shown.code, shown.last().faults, shown.last().verified], [4, 1, false]);
        assert.deepEqual(JSON.parse(shown.lines[0]!), { index: 2, fault: "LEAF_NOT_CANONICAL" });
        const words = await rk("export", foreign, ...KEY);
        assert.equal(words.code, 4);
        assert.ok(!words.lines.join("").includes("script") && !words.errors.includes("\x1b"));
      },
    );
    await t.step("a log that does not verify, and a log without a key, have their codes", async () => {
      const tile = `${log}/tile/entries/000`;
      const bytes = await Deno.readFile(tile);
      bytes[5]! ^= 1;
      await Deno.writeFile(tile, bytes);
      const found = await rk("verify", log, ...KEY, "--json");
      assert.deepEqual([found.code, found.last().findings[0].code], [4, "LOG_ENTRY_HASH"]);
      const keyless = await rk("verify", log, "--json");
      assert.deepEqual([keyless.code, keyless.last().error.code], [2, "LOG_KEY_MISSING"]);
    });
  });
});

Deno.test("rk log reads a log from its https address", async () => {
  await withFolder(async (folder) => {
    const files = await logFiles(testEntries(20));
    const now = Date.now();
    const authority = await makeAuthority("log test", { now });
    const server = await issue(authority, {
      commonName: "log.test",
      dnsNames: ["localhost"],
      usages: ["server"],
      now,
    });
    await Deno.writeTextFile(`${folder}/authority.pem`, authority.certificatePem);
    const serving = Deno.serve({
      hostname: "localhost",
      port: 0,
      onListen: () => {},
      cert: server.certificatePem,
      key: server.privateKeyPem,
    }, (request) => {
      const bytes = files.get(new URL(request.url).pathname.replace("/a/", ""));
      return new Response(bytes?.slice() ?? null, { status: bytes === undefined ? 404 : 200 });
    });
    try {
      const address = `https://localhost:${serving.addr.port}/a`;
      const found = await rk("verify", address, ...WITNESSED, "--ca", `${folder}/authority.pem`, "--json");
      assert.equal(found.code, 0, found.errors);
      assert.deepEqual([found.last().ok, found.last().entries], [true, 20]);
      const stranger = await rk("verify", address, ...WITNESSED, "--json");
      assert.deepEqual([stranger.code, stranger.last().error.code], [6, "LOG_SOURCE_UNAVAILABLE"]);
      const plain = await rk("verify", "http://log.example/a", ...KEY, "--json");
      assert.deepEqual([plain.code, plain.last().error.code], [2, "LOG_SOURCE_ADDRESS"]);
    } finally {
      await serving.shutdown();
    }
  });
});

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

Deno.test("rk log follow shows what comes, and ends when the log goes back", async () => {
  await withFolder(async (folder) => {
    const log = `${folder}/log`;
    const put = (files: LogFiles) => writeLog(log, files);
    await put(await logFiles(testEntries(5)));
    const spec = logSpec({
      verb: "follow",
      log,
      json: true,
      filter: {},
      intervalMs: 100,
      trust: { log: [TEST_LOG.vkey], witnesses: [], quorum: 0 },
    });
    const child = new Deno.Command(DENO, {
      args: commandLine(spec),
      cwd: REPOSITORY,
      env: environment(spec),
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const lines = linesOf(child.stdout)[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value!);
    assert.deepEqual([(await next()).ready], [true]);
    await put(await logFiles(testEntries(7)));
    assert.deepEqual([(await next()).index, (await next()).index], [5, 6]);
    await put(await logFiles(testEntries(3)));
    assert.equal((await next()).error.code, "LOG_ROLLBACK");
    assert.equal((await lines.next()).done, true);
    assert.equal((await child.status).code, 4);
  });
});

Deno.test("the process of rk log can read what was named, and nothing else", () => {
  const request = {
    verb: "verify",
    log: "/srv/log",
    trustFile: "/srv/trust.json",
    json: false,
    seen: ["/srv/seen"],
  } as const;
  const flags = commandLine(logSpec({ ...request, seen: [...request.seen] })).filter((word) =>
    word.startsWith("--allow")
  );
  assert.deepEqual(flags, ["--allow-read=/srv/log,/srv/trust.json,/srv/seen"]);
  const address = commandLine(logSpec({ verb: "prove", log: "https://log.example/a", json: false, index: 0 }))
    .filter((word) => word.startsWith("--allow"));
  assert.deepEqual(address, ["--allow-net=log.example:443"]);
});
