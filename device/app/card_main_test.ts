import assert from "node:assert/strict";
import { fromHex, readUint, toHex } from "shared/base/bytes.ts";
import { AWAY_MS } from "../card/vpcd.ts";
import { listenAsVpcd } from "../card/testing/vpcd_stub.ts";

const MAIN = new URL("./card_main.ts", import.meta.url).pathname;
const INITIALIZE_UPDATE = fromHex("8050000008010203040506070800");
const SELECT_ISD = fromHex("00A4040008A000000151000000");
const counterOf = (answer: Uint8Array | null) => readUint(answer!.subarray(-5, -2));

/** Starts the process as `rk card` does, with exactly the permissions that it needs. */
function startCard(port: number, folder: string, extra: string[] = [], stdin?: string) {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      `--allow-net=127.0.0.1:${port}`,
      `--allow-read=${folder}`,
      `--allow-write=${folder}`,
      MAIN,
      "--vpcd",
      `127.0.0.1:${port}`,
      "--state",
      `${folder}/card.json`,
      ...extra,
    ],
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = new Response(child.stdout).text();
  return {
    child,
    async finish() {
      const { code } = await child.status;
      const text = await output;
      const events = text.trim().split("\n").filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      return { code, text, events };
    },
  };
}

Deno.test("card_main keeps its state over kill -9 between APDUs", async () => {
  const folder = await Deno.makeTempDir();
  const reader = listenAsVpcd();
  try {
    for (let round = 0; round < 3; round++) {
      const process = startCard(reader.port, folder);
      const card = await reader.card();
      assert.equal(counterOf(await card.transmit(INITIALIZE_UPDATE)), 2 * round + 1);
      assert.equal(counterOf(await card.transmit(INITIALIZE_UPDATE)), 2 * round + 2);
      // The answer is here: whatever it tells must survive from this moment on.
      process.child.kill("SIGKILL");
      await process.finish();
      card.close();
    }
  } finally {
    reader.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("card_main comes back to a reader that went away, and ends on SIGTERM with 0", async () => {
  const folder = await Deno.makeTempDir();
  const reader = listenAsVpcd();
  try {
    const key = "C0FFEE".repeat(10) + "C0FF";
    const options = JSON.stringify({ isdKeys: { version: "31", enc: key, mac: key, dek: key } });
    await Deno.writeTextFile(`${folder}/options.json`, options, { mode: 0o600 });
    const process = startCard(reader.port, folder, ["--options", `${folder}/options.json`]);
    const first = await reader.card();
    assert.equal(toHex((await first.atr())!.subarray(0, 1)), "3B");
    assert.equal((await first.transmit(INITIALIZE_UPDATE))![10], 0x31);
    first.close();
    const second = await reader.card();
    assert.equal(counterOf(await second.transmit(INITIALIZE_UPDATE)), 2);
    process.child.kill("SIGTERM");
    const { code, events, text } = await process.finish();
    assert.equal(code, 0);
    assert.equal(events[0]!.event, "card");
    assert.equal(events.at(-1)!.event, "stopped");
    assert.equal(events.filter((one) => one.event === "attached").length, 2);
    assert.ok(!events.some((one) => one.code === "VCARD_TEST_KEYS"));
    assert.ok(!text.includes("C0FFEE"), "key bytes in the output");
    second.close();
  } finally {
    reader.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("card_main pulls the card as the fault says and stays away", async () => {
  const folder = await Deno.makeTempDir();
  const reader = listenAsVpcd();
  try {
    const process = startCard(reader.port, folder, ["--fault", "after-execution:1"]);
    const card = await reader.card();
    assert.equal(counterOf(await card.transmit(INITIALIZE_UPDATE)), 1);
    const pulled = performance.now();
    assert.equal(await card.transmit(INITIALIZE_UPDATE), null);
    const again = await reader.card();
    assert.ok(performance.now() - pulled >= 1200, "the card must stay away for pcscd to see it");
    assert.ok(AWAY_MS >= 1200);
    assert.equal(counterOf(await again.transmit(INITIALIZE_UPDATE)), 3);
    process.child.kill("SIGTERM");
    const { events } = await process.finish();
    assert.deepEqual(events.find((one) => one.event === "fault"), {
      event: "fault",
      kind: "after-execution",
      index: 1,
    });
    assert.ok(
      events.some((one) => one.code === "VCARD_TEST_KEYS"),
      "the default keys are called what they are",
    );
  } finally {
    reader.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("card_main refuses bad arguments with exit code 2 or 3 and says why", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/bad.json`, '{"isdKeys": C0FFEE');
    const badOptions = await startCard(1, folder, ["--options", `${folder}/bad.json`]).finish();
    assert.equal(badOptions.code, 3);
    assert.equal(badOptions.events[0]!.code, "VCARD_OPTIONS");
    assert.ok(!badOptions.text.includes("C0FFEE"));
    const badFault = await startCard(1, folder, ["--fault", "now"]).finish();
    assert.equal(badFault.code, 2);
    assert.equal(badFault.events[0]!.code, "VCARD_FAULT_PLAN");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("card_feeder_main inserts, counts and removes by JSON lines", async () => {
  const folder = await Deno.makeTempDir();
  const reader = listenAsVpcd();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      `--allow-net=127.0.0.1:${reader.port}`,
      `--allow-read=${folder}`,
      `--allow-write=${folder}`,
      new URL("./card_feeder_main.ts", import.meta.url).pathname,
      "--slot",
      `127.0.0.1:${reader.port}`,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  try {
    const input = child.stdin.getWriter();
    const order = (line: unknown) =>
      input.write(new TextEncoder().encode((typeof line === "string" ? line : JSON.stringify(line)) + "\n"));
    const events = eventsOf(child.stdout);
    const next = async (name: string) => {
      for (;;) {
        const { value, done } = await events.next();
        assert.ok(!done, `the feeder ended before ${name}`);
        if (value.event === name) return value;
      }
    };
    await next("ready");
    await order({ insert: { slot: 0, state: `${folder}/a.json`, apduDelayMs: 5 } });
    assert.equal((await next("inserted")).isNew, true);
    const card = await reader.card();
    await card.transmit(SELECT_ISD);
    await card.transmit(INITIALIZE_UPDATE);
    await order({ stats: { slot: 0 } });
    const stats = await next("apdus");
    assert.equal(stats.apdus, 2);
    assert.ok(Number(stats.cardMs) >= 8, `${stats.cardMs}`);
    await order({ insert: { slot: 0 } });
    assert.equal((await next("error")).code, "VCARD_SLOT");
    await order({ remove: { slot: 0 } });
    assert.equal((await next("removed")).apdus, 2);
    assert.equal(await card.gone(), true);
    for (
      const bad of ["no json", { insert: { slot: 0, options: { x: 1 } } }, { remove: { slot: 7 } }, {
        stop: 1,
      }]
    ) {
      await order(bad);
      await next("error");
    }
    await order({ insert: { slot: 0, state: `${folder}/a.json` } });
    assert.equal((await next("inserted")).isNew, false);
    await reader.card();
    await input.close();
    await next("removed");
    assert.equal((await child.status).code, 0);
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // Ended by itself.
    }
    reader.close();
    await Deno.remove(folder, { recursive: true });
  }
});

async function* eventsOf(output: ReadableStream<Uint8Array>): AsyncGenerator<Record<string, unknown>> {
  let pending = "";
  for await (
    const text of output.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  ) {
    pending += text;
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}
