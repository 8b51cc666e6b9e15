/** kill -9 of a witness: nothing that it answered is forgotten, and it never cosigns a second history. */

import assert from "node:assert/strict";
import { witnessSpec } from "cli/commands/log_witness.ts";
import { DENO, REPOSITORY } from "cli/home.ts";
import { type Child, startChild } from "cli/process/child.ts";
import { runCollected } from "cli/process/foreground.ts";
import { CosignClient } from "shared/log/witness/cosign_client.ts";
import { httpClient } from "shared/log/witness/http_client.ts";
import { openWitnessState } from "shared/log/witness/sqlite_store.ts";
import { TestLog } from "shared/log/witness/testing/test_log.ts";

const PROGRAM = decodeURIComponent(new URL("./crash_program.ts", import.meta.url).pathname);
const ORIGIN = "log.example/a";
const LOG = new TestLog(ORIGIN, 40);
const FORK = new TestLog(ORIGIN, 40, "other", 1, 2);

async function submit(
  folder: string,
  body: Uint8Array,
  point: string,
): Promise<{ status: number; body: string } | undefined> {
  await Deno.writeFile(`${folder}/body`, body);
  const { stdout, signal } = await new Deno.Command(DENO, {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      `--config=${REPOSITORY}/deno.json`,
      PROGRAM,
      folder,
      LOG.key.vkey,
      `${folder}/body`,
      point,
    ],
    stderr: "inherit",
  }).output();
  assert.equal(signal, point === "none" ? null : "SIGKILL");
  const text = new TextDecoder().decode(stdout);
  return text === "" ? undefined : JSON.parse(text);
}

Deno.test("killed before the commit it has seen nothing; killed after it, it stands by what it never told", async () => {
  const folder = await Deno.makeTempDir();
  try {
    assert.equal(await submit(folder, await LOG.request(0, 5), "before-commit"), undefined);
    // Nothing was committed and nothing cosigned: another tree of that size may still be the first.
    assert.equal((await submit(folder, await FORK.request(4, 5), "none"))?.body, "0\n");
    let size = 0;
    for (const point of ["after-commit", "after-sign"]) {
      const next = size + 5;
      assert.equal(await submit(folder, await LOG.request(size, next), point), undefined);
      assert.deepEqual(await submit(folder, await FORK.request(size, next), "none"), {
        status: 409,
        body: `${next}\n`,
      });
      size = next;
    }
    assert.equal((await submit(folder, await LOG.request(size, size), "none"))?.status, 200);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the process, killed again and again under work: every cosignature that arrived is in its state", async () => {
  const folder = await Deno.makeTempDir();
  const config = `${folder}/witness.yaml`;
  await Deno.writeTextFile(
    config,
    [
      "name: witness.example/w1",
      "listen: 127.0.0.1:0",
      "admin: 127.0.0.1:0",
      "state: state",
      "key: { kind: file, file: witness.key }",
      `logs: [{ origin: ${ORIGIN}, keys: ["${LOG.key.vkey}"] }]`,
    ].join("\n"),
  );
  const http = httpClient();
  const acknowledged = new Map<number, string>();
  let kills = 0;
  try {
    const init = await runCollected(await witnessSpec({ config, init: true }));
    assert.equal(init.code, 0, init.errors);
    let size = 1;
    for (let round = 0; round < 3; round++) {
      const child: Child = await startChild({ ...await witnessSpec({ config }), logFile: `${folder}/log` });
      const { listen, vkey } = child.ready as { listen: string; vkey: string };
      const client = new CosignClient(
        { url: `http://${listen}`, vkey },
        http,
        30_000,
        () => Date.now() / 1000,
      );
      let killed = false;
      for (let request = 0; !killed && size < 40; request++, size++) {
        // The last of a round is in work when the process dies.
        const ending = request === 4 + round * 3 ? child.kill() : undefined;
        try {
          await client.cosign(await LOG.toCosign(size));
          acknowledged.set(size, LOG.root(size).toHex());
        } catch (error) {
          assert.ok(ending !== undefined, `only the kill may end a request: ${error}`);
        }
        if (ending !== undefined) {
          await ending;
          killed = true;
          kills++;
        }
      }
      const store = openWitnessState({
        file: `${folder}/state/witness.sqlite`,
        highWaterFile: `${folder}/state/high-water`,
      });
      try {
        for (const [each, root] of acknowledged) assert.equal(store.at(ORIGIN, each)?.root.toHex(), root);
      } finally {
        store.close();
      }
    }
    console.log(`witness: killed ${kills} times, ${acknowledged.size} cosignatures acknowledged, none lost`);
    assert.ok(kills === 3 && acknowledged.size >= 12);
  } finally {
    http.close();
    await Deno.remove(folder, { recursive: true });
  }
});
