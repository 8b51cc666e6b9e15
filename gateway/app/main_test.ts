/** The gateway as a process, with the permissions that it needs and no others. */

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { ask, startUpstream, type TestConfig, writeGatewayFiles } from "tests/environment/gateway.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const MAIN = new URL("./main.ts", import.meta.url).pathname;

/** A port that was free a moment ago: the process needs fixed ones, because its permissions name them. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

interface Files {
  readonly folder: string;
  readonly path: string;
}

/** Starts the process with exactly its permissions. */
function spawn(files: Files, net: readonly string[], args: readonly string[] = ["--config", files.path]) {
  return new Deno.Command(Deno.execPath(), {
    cwd: ROOT,
    args: [
      "run",
      "--no-prompt",
      `--allow-net=${net.join(",")}`,
      `--allow-read=${files.folder}`,
      "--allow-env=LOG_TOKENS,LOG_STREAM",
      MAIN,
      ...args,
    ],
    stdout: "piped",
    stderr: "piped",
  });
}

async function outcome(files: Files, net: readonly string[], args?: readonly string[]) {
  const { code, stdout, stderr } = await spawn(files, net, args).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("main() serves with its permission set, reloads on SIGHUP, drains on SIGTERM and exits 0", async () => {
  const upstream = await startUpstream();
  const [port, admin] = [await freePort(), await freePort()];
  const files = await writeGatewayFiles({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.listen.port = port;
      config.admin.port = admin;
    },
  });
  const net = [`127.0.0.1:${port}`, `127.0.0.1:${admin}`, `127.0.0.1:${upstream.port}`];
  const process = spawn(files, net).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const logged = new Response(process.stderr).text();
  try {
    const first = await lines.read();
    assert.deepEqual(JSON.parse(first.value ?? `"${await logged}"`), {
      ready: true,
      listen: `127.0.0.1:${port}`,
      admin: `127.0.0.1:${admin}`,
    });
    assert.equal((await ask(port)).status, 200);
    const text = await Deno.readTextFile(files.path);
    await Deno.writeTextFile(files.path, text.replace("/things/{thing}", "/renamed/{thing}"));
    process.kill("SIGHUP");
    while ((await ask(port, { path: "/renamed/1" })).status !== 200);
    process.kill("SIGTERM");
    assert.equal((await process.status).code, 0);
    const log = await logged;
    for (const event of ["canaries-proven", "serving", "request", "reloaded", "draining", "drained"]) {
      assert.match(log, new RegExp(`"event":"${event}"`));
    }
    for (const line of log.trim().split("\n")) assert.equal(JSON.parse(line).process, "gateway", line);
  } finally {
    await lines.cancel();
    await logged;
    await upstream.close();
    await Deno.remove(files.folder, { recursive: true });
  }
});

Deno.test("main() cannot read or connect outside its permission set", async () => {
  const upstream = await startUpstream();
  const [port, admin] = [await freePort(), await freePort()];
  const fixed = (config: TestConfig) => {
    config.listen.port = port;
    config.admin.port = admin;
  };
  const net = [`127.0.0.1:${port}`, `127.0.0.1:${admin}`];
  const files = await writeGatewayFiles({ upstreams: [{ url: upstream.url }], edit: fixed });
  const outside = await Deno.makeTempFile();
  const foreign = await writeGatewayFiles({ edit: (config) => (fixed(config), config.listen.key = outside) });
  try {
    const read = await outcome(foreign, net);
    assert.equal(read.code, 3);
    assert.match(read.stderr, /GATEWAY_FILE: Cannot read listener key .*: NotCapable/);
    // The upstream's address is not in the set: it is down, and never reached.
    const process = spawn(files, net).spawn();
    const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const logged = new Response(process.stderr).text();
    await lines.read();
    assert.equal((await ask(port)).status, 503);
    process.kill("SIGTERM");
    assert.equal((await process.status).code, 0);
    await lines.cancel();
    assert.match(await logged, /"state":"down","cause":"(ERR_ACCESS_DENIED|NotCapable)"/);
    assert.equal(upstream.requests, 0);
  } finally {
    await upstream.close();
    await Deno.remove(outside);
    for (const { folder } of [files, foreign]) await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("main() ends with the documented exit code and says what to do", async () => {
  const good = await writeGatewayFiles();
  const bad = await writeGatewayFiles({ edit: (config) => config.listen.prot = 1 });
  const broken = await writeGatewayFiles({
    edit: (config) => config.canaries.revoked = config.canaries.valid,
  });
  const loopback = ["127.0.0.1"];
  try {
    const check = await outcome(good, loopback, ["--config", good.path, "--check"]);
    assert.equal(check.code, 0, check.stderr);
    assert.equal(JSON.parse(check.stdout).ok, true);
    const config = await outcome(bad, loopback);
    assert.equal(config.code, 3);
    assert.match(config.stderr, /gateway\.yaml:\d+:3: listen\.prot: unknown key/);
    for (const args of [["--config", broken.path, "--check"], ["--config", broken.path]]) {
      const canary = await outcome(broken, loopback, args);
      assert.equal(canary.code, 3);
      assert.match(canary.stderr, /GATEWAY_CANARY: .*revoked/);
      assert.equal(canary.stdout, "", "never ready");
    }
    const usage = await outcome(good, loopback, ["--what"]);
    assert.equal(usage.code, 2);
    assert.match(usage.stderr, /GATEWAY_USAGE/);
    const missing = await outcome(good, loopback, ["--config", `${good.folder}/none.yaml`]);
    assert.equal(missing.code, 3);
    assert.match(missing.stderr, /GATEWAY_FILE/);
  } finally {
    for (const { folder } of [good, bad, broken]) await Deno.remove(folder, { recursive: true });
  }
});
