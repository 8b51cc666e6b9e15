/** What changes a card: load, install, delete, keys, lock; dry runs; what is told after a failure. */

import assert from "node:assert/strict";
import { FAULT_KINDS } from "device/card/fault_plan.ts";
import { type Bench, bench, CAPS } from "./harness.ts";

const CAP = `${CAPS}coims_applet.cap`;
const LIBRARY = `${CAPS}keycard_math.cap`;
const NEW_KEY = "C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF";

async function installed(b: Bench): Promise<{ packageAid: string; instance: string }> {
  const { code, json, err } = await b.json("install", CAP);
  assert.equal(code, 0, err);
  return { packageAid: json.package.packageAid, instance: json.instance };
}

Deno.test("load shows the package first, refuses it twice, and --replace loads it anew", async () => {
  await using b = await bench();
  const first = await b.json("load", LIBRARY);
  assert.equal(first.code, 0, first.err);
  assert.match(
    first.err,
    /^package {3}im\.status\.keycard\.math, [0-9A-F]+, version \d+\.\d+\nmodules .*\ncontent .*SHA-256 [0-9A-F]{64}/,
  );
  const again = await b.json("load", LIBRARY);
  assert.deepEqual([again.code, again.json.error.code], [5, "CARDTOOL_LOADED"]);
  assert.deepEqual(again.json.left, { state: ["nothing on the card was changed"], cleanUp: [] });
  const replaced = await b.json("load", LIBRARY, "--replace");
  assert.equal(replaced.code, 0, replaced.err);
  assert.deepEqual(replaced.json.deleted, [replaced.json.packageAid]);
});

Deno.test("install, list, lock, unlock, delete: an application's life", async () => {
  await using b = await bench();
  const { packageAid, instance } = await installed(b);
  const locked = await b.json("lock", instance);
  assert.deepEqual([locked.json.before, locked.json.after], ["SELECTABLE", "LOCKED (SELECTABLE)"]);
  assert.equal((await b.json("lock", instance)).json.error.code, "CARDTOOL_STATE");
  assert.ok(
    (await b.json("diagnose")).json.findings.some((text) => text.includes(`unlock ${instance}`)),
  );
  assert.equal((await b.json("unlock", instance)).json.after, "SELECTABLE");
  const refused = await b.json("delete", packageAid);
  assert.deepEqual([refused.code, refused.json.error.code], [5, "CARDTOOL_STATE"]);
  assert.match(refused.json.error.message, /--related/);
  assert.equal((await b.json("delete", packageAid, "--related")).code, 0);
  assert.equal((await b.json("delete", instance)).json.error.code, "CARDTOOL_NOT_THERE");
  const { json } = await b.json("list");
  assert.deepEqual([json.applications, json.packages], [[], []]);
});

Deno.test("install of a module of a package that is on the card", async () => {
  await using b = await bench({ preloaded: { package: {} } });
  const { code, json, err } = await b.json(
    "install",
    ...["--package", "A0000000624C4544474552303100", "--module", "A0000000624C45444745523031"],
  );
  assert.equal(code, 0, err);
  assert.equal(json.instance, "A0000000624C45444745523031");
});

Deno.test("the card is locked and unlocked, from SECURED only", async () => {
  await using blank = await bench();
  const early = await blank.json("lock", "--card");
  assert.deepEqual([early.code, early.json.error.code], [5, "CARDTOOL_STATE"]);
  await using b = await bench({ lifeCycle: "SECURED" });
  assert.equal((await b.json("lock", "--card")).json.after, "CARD_LOCKED");
  assert.equal((await b.json("list")).json.issuerDomain.lifeCycle, "CARD_LOCKED");
  const back = await b.json("unlock", "--card");
  assert.equal(back.json.after, "SECURED", back.err);
  assert.equal((await b.json("lock")).code, 2);
});

Deno.test("keys are added and replaced, their check values compared; the new ones open the card", async () => {
  await using b = await bench();
  const fresh = b.file("new.json", JSON.stringify({ version: "31", key: NEW_KEY }));
  const added = await b.json("keys", "put", "--new-keys", fresh);
  assert.equal(added.code, 0, added.err);
  assert.equal(added.json.version, 0x31);
  assert.equal((await b.run("list", "--keys", fresh)).code, 0);
  const longer = b.file("longer.json", JSON.stringify({ version: "32", key: NEW_KEY.repeat(2) }));
  const replaced = await b.json(
    "keys",
    "put",
    "--new-keys",
    longer,
    "--replace-version",
    "30",
    "--key-version",
    "30",
  );
  assert.equal(replaced.code, 0, replaced.err);
  assert.equal((await b.run("list", "--keys", longer)).code, 0);
  const versions = (await b.run("keys", "--json")).json.keys.map((key) => key.version);
  assert.deepEqual([...new Set(versions)].sort(), [0x31, 0x32]);
});

Deno.test("a dry run of every command sends nothing that changes, and shows no secret", async (t) => {
  await using b = await bench({ lifeCycle: "SECURED", preloaded: { package: {}, instance: {} } });
  const fresh = b.file("new.json", JSON.stringify({ version: "31", key: NEW_KEY }));
  const commands = b.file("commands", "80E28000098137064041424344454F\n80F28002024F00\n");
  const APPLET = "A0000000624C45444745523031";
  const before = b.memory();
  for (
    const args of [
      ["info"],
      ["list"],
      ["diagnose"],
      ["keys", "list"],
      ["keys", "put", "--new-keys", fresh],
      ["keys", "delete", "31"],
      ["lock", APPLET],
      ["lock", "--card"],
      ["unlock", APPLET],
      ["load", CAP],
      ["load", CAP, "--replace"],
      ["install", CAP],
      ["delete", APPLET],
      ["apdu", "80E40000074F05A000000151"],
      ["apdu", "--file", commands, "--secure"],
    ]
  ) {
    await t.step(args.map((word) => word.replace(/^.*\//, "")).join(" "), async () => {
      const { code, json, err } = await b.json(...args, "--dry-run");
      assert.equal(code, 0, err);
      assert.equal(json.dryRun, true);
      for (const row of json.commands) {
        if (row.sent) assert.match(row.command, /^(SELECT|GET DATA)$/);
        assert.ok(!row.apdu.includes(NEW_KEY) && !row.apdu.includes("4041424344454F"));
      }
      assert.equal(b.memory(), before);
    });
  }
  const { json } = await b.json("load", CAP, "--dry-run");
  assert.ok(json.commands.some((row) => row.apdu.startsWith("80E60200")));
  assert.ok(json.commands.some((row) => row.apdu.startsWith("80E880")));
});

Deno.test("a card pulled at any APDU of an install: the state is told, the clean-up command works, then it installs", async (t) => {
  let points = 0;
  await using whole = await bench();
  const { json: { apdus } } = await whole.json("install", CAP);
  for (const kind of FAULT_KINDS) {
    for (let index = 0; index < apdus; index += kind === "after-execution" ? 1 : 5) {
      points++;
      await t.step(`${kind} ${index}`, async () => {
        await using b = await bench();
        b.plan([{ kind, index }]);
        const torn = await b.json("install", CAP);
        if (torn.code === 0) return;
        assert.equal(torn.code, 5, torn.err);
        assert.equal(torn.json.error.code, "CARD_REMOVED");
        assert.ok(torn.json.left);
        if (torn.json.left.cleanUp.length > 0) {
          assert.match(torn.json.left!.cleanUp[0]!, /^rk card list --reader 'Reader 1' --test-keys$/);
        }
        // Pulled inside the handshake: whether the keys were tried is not known, and a person has to say so.
        const retry = /did not finish/.test((await b.json("list")).err) ? ["--retry-authentication"] : [];
        const { json } = await b.json("list", ...retry);
        assert.equal(json.complete, true);
        const left = json.packages.map((row) => row.aid);
        for (const aid of left) assert.equal((await b.json("delete", aid, "--related")).code, 0);
        const again = await b.json("install", CAP);
        assert.equal(again.code, 0, again.err);
      });
    }
  }
  assert.ok(points > apdus);
});

Deno.test("a refused install names what this command loaded, and the command that takes it away", async () => {
  await using b = await bench();
  // The instance's AID is that of the package: the load succeeds, the installation is refused.
  const { code, json } = await b.json("install", CAP, "--aid", "A00000015141434C");
  assert.equal(code, 5);
  assert.equal(json.error.code, "CARDTOOL_REFUSED");
  assert.match(json.left!.state.join(), /loaded by this command/);
  const [command] = json.left!.cleanUp;
  assert.match(command!, /^rk card delete [0-9A-F]+ --related --reader 'Reader 1' --test-keys$/);
  const words = command!.split(" ").slice(2, 5);
  assert.equal((await b.json(...words)).code, 0);
  assert.deepEqual((await b.json("list")).json.packages, []);
});

Deno.test("what was on the card before is never named for clean-up: its AID is refused before anything is loaded", async () => {
  await using b = await bench();
  const taken = await b.json("install", CAP, "--aid", "A000000151000000");
  assert.deepEqual([taken.code, taken.json.error.code], [5, "CARDTOOL_INSTALLED"]);
  assert.deepEqual(taken.json.left!.cleanUp, []);
  assert.deepEqual((await b.json("list")).json.packages, []);
  const { instance } = await installed(b);
  assert.equal((await b.json("install", CAP, "--aid", instance)).json.error.code, "CARDTOOL_INSTALLED");
  assert.equal((await b.json("install", CAP, "--replace")).code, 0);
  const long = await b.json("install", CAP, "--replace", "--parameters", "00".repeat(250));
  assert.equal(long.json.error.code, "GP_FIELD_LENGTH");
  assert.equal((await b.json("list")).json.applications.length, 1, "nothing was deleted for it");
  const same = b.file("same.json", JSON.stringify({ version: "30", key: NEW_KEY }));
  assert.equal((await b.json("keys", "put", "--new-keys", same)).json.error.code, "CARDTOOL_STATE");
});

Deno.test("refused keys leave the old ones in force, and the tool says so", async () => {
  await using b = await bench();
  const same = b.file("same.json", JSON.stringify({ version: "2E", key: NEW_KEY }));
  const { code, json } = await b.json("keys", "put", "--new-keys", same, "--replace-version", "2F");
  assert.equal(code, 5);
  assert.match(json.left!.state[0]!, /key versions on the card: 30/);
});

Deno.test("a DAP goes in front of the load file, and needs to be one", async () => {
  await using b = await bench();
  const dap = b.file(
    "dap.json",
    JSON.stringify({ securityDomainAid: "A000000151000000", signature: "A5".repeat(70) }),
  );
  const { json } = await b.json("load", LIBRARY, "--dap", dap, "--dry-run");
  const load = json.commands.find((row) => row.apdu.startsWith("80E8"));
  assert.match(load!.apdu, /^80E80000..E2524F08A000000151000000C346(A5){70}C4/);
  const raw = b.file("dap.bin", new Uint8Array(70).fill(0xa5));
  assert.equal((await b.json("load", LIBRARY, "--dap", raw, "--dry-run")).json.error.code, "CARDTOOL_DAP");
  const named = await b.json("load", LIBRARY, "--dap", raw, "--dap-domain", "A000000151000000", "--dry-run");
  assert.equal(
    named.json.commands.find((row) => row.apdu.startsWith("80E8"))!.apdu,
    load!.apdu,
  );
});
