/** The tool as people start it: `rk card ...` over pcscd, with the virtual card of `rk card --vpcd`. */

import assert from "node:assert/strict";
import { DENO, REPOSITORY } from "cli/home.ts";
import { startPcscd } from "tests/environment/pcscd.ts";
import type { Report } from "./harness.ts";

const CAP = `${REPOSITORY}/tests/vectors/data/caps/coims_applet.cap`;
const TEST_KEYS = JSON.stringify({ version: "30", key: "404142434445464748494A4B4C4D4E4F" });
const RK = [DENO, "run", "--quiet", "-A", "--no-check", `${REPOSITORY}/cli/main.ts`];

async function seen(path: string, text: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if ((await Deno.readTextFile(path).catch(() => "")).includes(text)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${text} did not appear in ${path}`);
}

Deno.test("rk card over pcscd: keys from a file and from a descriptor, dry run, install, list, replay, delete, guard", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "rk-" });
  await Deno.mkdir(`${folder}/p`);
  const pcscd = await startPcscd({ directory: `${folder}/p`, readers: 1 });
  const { name: reader, port } = pcscd.readers[0]!;
  const env = { ...pcscd.env, RK_HOME: `${folder}/home` };
  const card = new Deno.Command("sh", {
    args: [
      ...["-c", 'exec "$@" >"$0"', `${folder}/card.log`],
      ...[...RK, "card", "--vpcd", `127.0.0.1:${port}`, "--state", `${folder}/virtual.card`],
    ],
    env,
    stdin: "null",
  }).spawn();
  /** `shell` gets the command as its arguments, so that it can open a descriptor. */
  const rk = async (
    args: string[],
    shell = 'exec "$@"',
  ): Promise<{ code: number; json: Report; err: string }> => {
    const command = ["-c", shell, "sh", ...RK, "card", ...args, "--reader", reader, "--json"];
    const { code, stdout, stderr } = await new Deno.Command("sh", { args: command, env, stdin: "null" })
      .output();
    const out = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
    return { code, json: JSON.parse(out) as Report, err: new TextDecoder().decode(stderr) };
  };
  try {
    await seen(`${folder}/card.log`, '"attached"');
    for (let attempt = 0; attempt < 20; attempt++) {
      if ((await rk(["info"])).code === 0) break;
    }
    const keys = `${folder}/keys.json`;
    await Deno.writeTextFile(keys, TEST_KEYS, { mode: 0o600 });
    const trace = `${folder}/trace.jsonl`;
    await t.step("a dry run, then an install", async () => {
      const dry = await rk(["install", CAP, "--keys", keys, "--dry-run"]);
      assert.equal(dry.json.dryRun, true, dry.err);
      const { code, json, err } = await rk(["install", CAP, "--keys", keys, "--trace", trace]);
      assert.equal(code, 0, err);
      assert.match(json.package.packageAid, /^[0-9A-F]+$/);
    });
    await t.step("keys from a descriptor", async () => {
      const { code, json, err } = await rk(["list", "--keys-fd", "3"], `exec "$@" 3<'${keys}'`);
      assert.equal(code, 0, err);
      assert.equal(json.applications.length, 1);
    });
    await t.step("keys from standard input, and keys that others can read", async () => {
      const { code, err } = await rk(["list", "--keys", "-"], `exec "$@" <'${keys}'`);
      assert.equal(code, 0, err);
      const open = `${folder}/open.json`;
      await Deno.writeTextFile(open, TEST_KEYS, { mode: 0o644 });
      assert.equal((await rk(["list", "--keys", open])).json.error.code, "SECRET_FILE_OPEN");
    });
    await t.step("the trace replays", async () => {
      const { json } = await rk(["replay", trace, "--keys", keys, "--dry-run"]);
      assert.equal(json.dryRun, true);
    });
    await t.step("delete", async () => {
      const { json } = await rk(["list", "--test-keys"]);
      const { code, err } = await rk(["delete", json.packages[0]!.aid, "--related", "--test-keys"]);
      assert.equal(code, 0, err);
    });
    await t.step("the guard's record is kept between commands", async () => {
      const wrong = `${folder}/wrong.json`;
      await Deno.writeTextFile(wrong, JSON.stringify({ key: "00".repeat(16) }), { mode: 0o600 });
      assert.equal((await rk(["list", "--keys", wrong])).json.error.code, "SCP03_CARD_CRYPTOGRAM");
      const refused = await rk(["list", "--test-keys"]);
      assert.deepEqual([refused.code, refused.json.error.code], [5, "CARDTOOL_GUARD"]);
      assert.equal((await rk(["list", "--test-keys", "--retry-authentication"])).code, 0);
    });
    await t.step("a reader that is not there", async () => {
      const { code, json } = await rk(["info"], `exec "$@" --reader nowhere`);
      assert.deepEqual([code, json.error.code], [2, "READER_UNKNOWN"]);
    });
  } finally {
    card.kill("SIGTERM");
    await card.status;
    await pcscd.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
