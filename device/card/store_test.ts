import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { completeCardOptions } from "./options.ts";
import { decodeCardState, encodeCardState, newCardState } from "./state.ts";
import { fileStore } from "./store.ts";
import { VirtualCard } from "./virtual_card.ts";

const random = (length: number) => new Uint8Array(length).fill(7);
const state = () =>
  newCardState(
    completeCardOptions({ preloaded: { package: {}, ssd: {}, instance: { domain: "ssd" } } }),
    random,
  );

Deno.test("encodeCardState() round-trips", () => {
  assert.deepEqual(decodeCardState(encodeCardState(state())), state());
});

Deno.test("decodeCardState() reads what was written before domains had other keys and data", () => {
  const old = encodeCardState(state()).replaceAll(',"otherKeys":[],"data":[]', "").replaceAll(
    '"imports":[],',
    "",
  );
  assert.ok(!old.includes("otherKeys") && !old.includes("imports"));
  assert.deepEqual(decodeCardState(old), state());
});

Deno.test("decodeCardState() refuses what is no card and repeats no content", () => {
  const text = encodeCardState(state());
  const broken = [
    "",
    "{}",
    text.slice(0, -20),
    text.replace('"formatVersion":1', '"formatVersion":2'),
    text.replace('"enc":"4041', '"enc":"404'),
    text.replace('"lifeCycle":0', '"lifeCycle":9'),
  ];
  for (const one of broken) {
    assert.throws(() => decodeCardState(one), (error: Error & { code: string }) => {
      assert.equal(error.code, "VCARD_STATE_UNREADABLE");
      assert.ok(!error.message.includes("4243"));
      return true;
    });
  }
});

Deno.test("fileStore() keeps mode 0600, replaces whole, and lets one process in", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/card.json`;
    const store = fileStore(path);
    assert.equal(store.load(), undefined);
    store.save(state());
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    assert.throws(() => fileStore(path), { code: "VCARD_STATE_LOCKED" });
    // A temporary file left by a crash, with wide permissions, is harmless.
    await Deno.writeTextFile(`${path}.new`, "torn", { mode: 0o600 });
    assert.deepEqual(store.load(), state());
    store.save({ ...state(), i: 0x60 });
    assert.equal(store.load()!.i, 0x60);
    store.close();
    fileStore(path).close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("VirtualCard writes nothing for an APDU that changes nothing", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const stateFile = `${folder}/card.json`;
    const card = await VirtualCard.open({ stateFile });
    card.powerOn();
    await Deno.utime(stateFile, 0, 0);
    for (
      const command of [
        "00A4040000",
        "80CA9F7F00",
        "80CA00E000",
        "80F28002024F0000",
        "8050550008010203040506070800",
      ]
    ) {
      await card.process(fromHex(command));
    }
    assert.equal((await Deno.stat(stateFile)).mtime!.getTime(), 0);
    assert.equal(toHex((await card.process(fromHex("8050000008010203040506070800"))).slice(-2)), "9000");
    assert.notEqual((await Deno.stat(stateFile)).mtime!.getTime(), 0);
    card.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("VirtualCard falls silent when its memory fails", async () => {
  const folder = await Deno.makeTempDir();
  const stateFile = `${folder}/card.json`;
  const card = await VirtualCard.open({ stateFile });
  card.powerOn();
  await Deno.remove(folder, { recursive: true });
  await assert.rejects(card.process(fromHex("8050000008010203040506070800")));
  assert.equal(card.powered, false);
  card.close();
});
