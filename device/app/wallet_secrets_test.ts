import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { parseSecrets, readSecrets, scriptPerson, SECRETS_MAX_BYTES, wipeSecrets } from "./wallet_secrets.ts";

const person = (text: string) => scriptPerson(parseSecrets(toUtf8(text)), () => {}, new Set(["wipe"]));
const ask = async (who: ReturnType<typeof person>, name: "walletPin" | "cardPin") =>
  fromUtf8((await who.secret(name, {})).reveal());

Deno.test("parseSecrets() takes JSON lines by name and plain lines in order, and wipes what it read", async () => {
  const named = person('{"cardPin":"24680"}\r\n\n{"walletPin":"1357"}\n');
  assert.equal(await ask(named, "walletPin"), "1357");
  assert.equal(await ask(named, "cardPin"), "24680");
  assert.equal(await ask(named, "cardPin"), "24680");
  const ordered = person("1357\r\n24680");
  assert.equal(await ask(ordered, "walletPin"), "1357");
  assert.equal(await ask(ordered, "cardPin"), "24680");
  await assert.rejects(ask(ordered, "cardPin"), { code: "WALLET_SECRET_MISSING" });
  const content = toUtf8("1357\n");
  const given = parseSecrets(content);
  assert.ok(content.every((byte) => byte === 0));
  wipeSecrets(given);
  assert.ok(
    [...given.values.values()].every((secret) =>
      (secret as { reveal(): Uint8Array }).reveal().every((byte) => byte === 0)
    ),
  );
});

Deno.test("parseSecrets() refuses other names, other types and broken JSON, without repeating them", () => {
  for (
    const text of [
      '{"pin":"1357"}',
      '{"cardPin":1357}',
      '{"cardPin":"1357"',
      '{"a":1}\n1357',
      '{"cardPin":["1357"]}',
    ]
  ) {
    assert.throws(() => parseSecrets(toUtf8(text)), (error) => {
      assert.ok(error instanceof CodedError && error.code === "WALLET_SECRET_MISSING");
      assert.doesNotMatch(error.message, /1357/);
      return true;
    });
  }
});

Deno.test("readSecrets() is bounded", async () => {
  await assert.rejects(readSecrets((buffer) => Promise.resolve(buffer.length)), {
    code: "WALLET_SECRET_MISSING",
  });
  let left = SECRETS_MAX_BYTES;
  const given = await readSecrets((buffer) => {
    const count = Math.min(left, buffer.length, 1000);
    left -= count;
    buffer.fill(0x31, 0, count);
    return Promise.resolve(count === 0 ? null : count);
  });
  assert.equal(given.kind, "ordered");
});

Deno.test("scriptPerson() says which yes, choice or secret is missing", async () => {
  const who = scriptPerson(undefined, () => {}, new Set(["wipe"]));
  assert.equal(await who.confirm("wipe", {}), true);
  await assert.rejects(who.confirm("last-try", {}), {
    code: "WALLET_CONFIRM",
    details: { confirm: "last-try" },
  });
  await assert.rejects(who.choose("What?", ["a", "b"]), { code: "WALLET_CONFIRM" });
  await assert.rejects(who.text("Name"), { code: "WALLET_CONFIRM" });
  await assert.rejects(who.secret("cardPin", {}), {
    code: "WALLET_SECRET_MISSING",
    details: { secret: "cardPin" },
  });
});
