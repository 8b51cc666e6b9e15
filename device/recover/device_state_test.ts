import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { holdDevice, ROOTS_MAX } from "./device_state.ts";

const ENTROPY = "13".repeat(16);

async function inFolder(
  work: (options: (entropy?: string) => Parameters<typeof holdDevice>[0], path: string) => unknown,
) {
  const folder = await Deno.makeTempDir({ prefix: "rk-" });
  const path = `${folder}/device.json`;
  try {
    await work((entropy) => ({
      path,
      makerPath: `${folder}/maker.json`,
      entropy: entropy === undefined ? undefined : new Secret(Uint8Array.fromHex(entropy)),
      random: SYSTEM_RANDOM,
    }), path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("holdDevice() makes a private file, keeps its seed and roots, and is held once", () =>
  inFolder((options, path) => {
    const root = { name: "R", publicKey: publicKeyOf(generatePrivateKey(SYSTEM_RANDOM)) };
    const first = holdDevice(options(ENTROPY));
    assert.ok(first.isNew);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.throws(() => holdDevice(options()), { code: "DEVICE_BUSY" });
    first.memory.enrol(root);
    first.memory.enrol({ ...root, name: "Renamed" });
    assert.throws(() => first.memory.restore(new Secret(new Uint8Array(16))), { code: "DEVICE_STATE" });
    first.close();
    const second = holdDevice(options());
    assert.ok(!second.isNew);
    assert.equal(toHex(second.memory.entropy()!.reveal()), ENTROPY);
    assert.deepEqual(second.memory.roots().map(({ name }) => name), ["Renamed"]);
    assert.equal(second.memory.remove({ ...root, name: "Other" }), false);
    assert.equal(second.memory.remove({ ...root, name: "Renamed" }), true);
    for (let i = 0; i < ROOTS_MAX; i++) {
      second.memory.enrol({ name: `${i}`, publicKey: publicKeyOf(generatePrivateKey(SYSTEM_RANDOM)) });
    }
    const one = { name: "more", publicKey: publicKeyOf(generatePrivateKey(SYSTEM_RANDOM)) };
    assert.throws(() => second.memory.enrol(one), { code: "DEVICE_STATE" });
    second.close();
  }));

Deno.test("an empty device takes one seed, which is there after a restart", () =>
  inFolder((options) => {
    const empty = holdDevice(options());
    assert.equal(empty.memory.entropy(), undefined);
    empty.memory.restore(new Secret(Uint8Array.fromHex(ENTROPY)));
    empty.close();
    const again = holdDevice(options());
    assert.equal(toHex(again.memory.entropy()!.reveal()), ENTROPY);
    again.close();
  }));

Deno.test("a file that others may read, a damaged and an endless one are refused without a word of what is in them", () =>
  inFolder((options, path) => {
    holdDevice(options(ENTROPY)).close();
    const text = Deno.readTextFileSync(path);
    const damages: (() => void)[] = [
      () => Deno.chmodSync(path, 0o640),
      () => Deno.writeTextFileSync(path, text.slice(0, -20), { mode: 0o600 }),
      () => Deno.writeTextFileSync(path, text.replace(ENTROPY, `${ENTROPY}00`), { mode: 0o600 }),
      () => Deno.writeTextFileSync(path, text + " ".repeat(70_000), { mode: 0o600 }),
    ];
    for (const damage of damages) {
      Deno.chmodSync(path, 0o600);
      damage();
      assert.throws(() => holdDevice(options()), (error: unknown) => {
        assert.equal((error as { code?: string }).code, "DEVICE_STATE");
        assert.ok(!String(error).includes(ENTROPY));
        return true;
      });
    }
  }));
