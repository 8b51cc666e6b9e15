import assert from "node:assert/strict";
import { Secret } from "shared/base/secret.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openStateSeal, stateSeal } from "./state_seal.ts";

Deno.test("stateSeal() opens what it sealed, under the same key and for the same thing only", () => {
  const seal = stateSeal(new Secret(SYSTEM_RANDOM(32)), SYSTEM_RANDOM);
  for (const content of ["", "{}", `{"text":"${"é".repeat(3000)}"}`]) {
    const sealed = seal.seal(content, "session a 1");
    assert.equal(seal.open(sealed, "session a 1").trimEnd(), content);
    assert.throws(() => seal.open(sealed, "session a 2"), { code: "SESSION_SEALED" });
    for (const at of [0, 11, 12, sealed.length - 1]) {
      const changed = sealed.slice();
      changed[at]! ^= 1;
      assert.throws(() => seal.open(changed, "session a 1"), { code: "SESSION_SEALED" });
    }
  }
  assert.throws(() => seal.open(new Uint8Array(3), ""), { code: "SESSION_SEALED" });
  const other = stateSeal(new Secret(SYSTEM_RANDOM(32)), SYSTEM_RANDOM);
  assert.throws(() => other.open(seal.seal("{}", "a"), "a"), { code: "SESSION_SEALED" });
  assert.throws(() => stateSeal(new Secret(new Uint8Array(16)), SYSTEM_RANDOM), { code: "SESSION_SEALED" });
});

Deno.test("stateSeal() hides how long a content is, to 4,096 bytes", () => {
  const seal = stateSeal(new Secret(SYSTEM_RANDOM(32)), SYSTEM_RANDOM);
  const lengths = [0, 1, 4095, 4096].map((length) => seal.seal("x".repeat(length), "a").length - 28);
  assert.deepEqual(lengths, [4096, 4096, 4096, 8192]);
});

Deno.test("openStateSeal() takes its key from the token: the same for the same master key", async () => {
  const asked: string[] = [];
  const token = {
    cmac: (label: string, input: Uint8Array) => {
      asked.push(label);
      return Promise.resolve(new Uint8Array(16).fill(input[0]!));
    },
  };
  const [one, two] = [
    await openStateSeal(token, "state", SYSTEM_RANDOM),
    await openStateSeal(token, "state", SYSTEM_RANDOM),
  ];
  assert.equal(two.open(one.seal("{}", "a"), "a").trimEnd(), "{}");
  assert.deepEqual(asked, ["state", "state", "state", "state"]);
});
