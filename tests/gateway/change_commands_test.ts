/** `rk gateway check | diff | reload | upgrade | rollback | history | status`, from outside. */

import assert from "node:assert/strict";
import { ask, startUpstream, writeGatewayFiles } from "tests/environment/gateway.ts";
import { runCommand, startCommandGateway } from "./command.ts";

const last = (stdout: string) => JSON.parse(stdout.trimEnd().split("\n").at(-1)!);

Deno.test("rk gateway takes configurations whole, keeps them, and goes back", async () => {
  const upstream = await startUpstream();
  const gateway = await startCommandGateway([{ url: upstream.url }]);
  const edit = async (from: string, to: string) => {
    const text = await Deno.readTextFile(gateway.config);
    assert.ok(text.includes(from), from);
    await Deno.writeTextFile(gateway.config, text.replace(from, to));
  };
  const status = async (path: string) => (await ask(gateway.port, { path })).status;
  try {
    const began = last((await gateway.run("status", "--json")).stdout);
    assert.equal(began.listen, `127.0.0.1:${gateway.port}`);
    assert.equal(began.generation.how, "start");

    // A route: the same process takes it.
    await edit("/things/{thing}", "/renamed/{thing}");
    const reload = await gateway.run("reload", "--json");
    assert.equal(reload.code, 0, reload.stderr);
    assert.deepEqual(last(reload.stdout), { generation: 2, way: "reload", pid: began.pid });
    assert.deepEqual([await status("/renamed/1"), await status("/things/1")], [200, 404]);

    // A bound: another process takes its place, without anybody asking for it.
    await edit("log:", "limits:\n  maxTargetLength: 100\nlog:");
    const replaced = await gateway.run("reload", "--json");
    assert.equal(last(replaced.stdout).way, "upgrade", replaced.stderr);
    assert.notEqual(last(replaced.stdout).pid, began.pid);
    assert.equal(await status(`/renamed/${"a".repeat(100)}`), 414);

    // Nothing of a bad file is taken, whatever is wrong with it.
    const good = await Deno.readTextFile(gateway.config);
    for (
      const [from, to, code] of [
        ["maxTargetLength: 100", "maxTargetLength: none", "GATEWAY_CONFIG"],
        ["clients.crl", "nothing.crl", "GATEWAY_FILE"],
        ["canary-revoked.", "canary-valid.", "GATEWAY_CANARY"],
        [`port: ${gateway.port}`, `port: ${gateway.port + 1}`, "GATEWAY_RELOAD_FIXED"],
      ] as const
    ) {
      await Deno.writeTextFile(gateway.config, good.replaceAll(from, to).replace("/renamed/", "/wrong/"));
      for (const verb of ["reload", "upgrade"]) {
        const refused = await gateway.run(verb, "--json");
        assert.equal(refused.code, 3, `${verb} ${code}: ${refused.stderr}`);
        assert.equal(last(refused.stdout).error.code, code, `${verb}: ${refused.stderr}`);
      }
      assert.deepEqual([await status("/renamed/1"), await status("/wrong/1")], [200, 404]);
    }
    await Deno.writeTextFile(gateway.config, good);

    // Back by one, then by one more, then to a number.
    const back = await gateway.run("rollback", "--json");
    assert.equal(last(back.stdout).restored, 2, back.stderr);
    assert.equal(await status(`/renamed/${"a".repeat(100)}`), 200);
    const further = await gateway.run("rollback", "--json");
    assert.deepEqual([last(further.stdout).restored, last(further.stdout).generation], [1, 5]);
    assert.equal(await status("/things/1"), 200);
    assert.match(await Deno.readTextFile(gateway.config), /\/things\/\{thing\}/);
    assert.equal(last((await gateway.run("rollback", "--json")).stdout).error.code, "GATEWAY_GENERATION");
    assert.equal((await gateway.run("rollback", "--to", "3", "--json")).code, 0);
    assert.equal(await Deno.readTextFile(gateway.config), good);

    const history = last((await gateway.run("history", "--json")).stdout).generations;
    assert.deepEqual(
      history.map((each: { how: string; restores?: number }) => [each.how, each.restores ?? 0]),
      [["start", 0], ["reload", 0], ["reload", 0], ["rollback", 2], ["rollback", 1], ["rollback", 3]],
    );
    assert.ok(history.every((each: { by: string; at: string }) => each.by !== "" && Date.parse(each.at) > 0));

    // SIGHUP and the program itself.
    await edit("/renamed/{thing}", "/signalled/{thing}");
    gateway.signal("SIGHUP");
    while (await status("/signalled/1") !== 200);
    const upgraded = last((await gateway.run("upgrade", "--json")).stdout);
    assert.equal(upgraded.way, "upgrade");
    assert.equal(await status("/signalled/1"), 200);

    const second = await runCommand("--config", gateway.config, "--state", `${gateway.folder}/state`);
    assert.equal(second.code, 3, "the address is taken, and the first one is not disturbed");
    assert.match(second.stderr, /Cannot listen on/);
    assert.equal(await status("/signalled/1"), 200);
  } finally {
    await gateway.close();
    await upstream.close();
  }
});

Deno.test("rk gateway ends its process when the parent is killed, so that the address is free again", async () => {
  const gateway = await startCommandGateway([{ url: "http://127.0.0.1:9" }]);
  try {
    gateway.signal("SIGKILL");
    while ((await ask(gateway.port)).code !== "ECONNREFUSED");
    assert.equal(await gateway.stop(), 137);
    await gateway.start();
    assert.equal((await ask(gateway.port)).status, 503);
  } finally {
    await gateway.close();
  }
});

Deno.test("rk gateway check and diff tell what is wrong and what changes", async () => {
  const { folder, path } = await writeGatewayFiles();
  const other = `${folder}/next.yaml`;
  try {
    const text = await Deno.readTextFile(path);
    const good = await runCommand("check", path, "--json");
    assert.deepEqual([good.code, last(good.stdout).ok], [0, true], good.stderr);
    await Deno.writeTextFile(other, text.replace("canary-revoked.crt", "canary-valid.crt"));
    const bad = await runCommand("check", other, "--json");
    assert.deepEqual([bad.code, last(bad.stdout).ok], [3, false]);
    assert.match(bad.stderr, /GATEWAY_CANARY/);
    await Deno.writeTextFile(
      other,
      text.replace("      - PUT\n", "").replace("rateLimits: {}", "denyNetworks: [10.0.0.0/8]"),
    );
    const diff = await runCommand("diff", path, other, "--json");
    assert.deepEqual(last(diff.stdout), {
      changes: [
        { kind: "changed", subject: "denyNetworks", detail: '+"10.0.0.0/8"' },
        { kind: "changed", subject: "route things", detail: 'methods -"PUT"' },
      ],
      way: "reload",
    }, diff.stderr);
    assert.match((await runCommand("diff", path, path)).stdout, /no difference/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
