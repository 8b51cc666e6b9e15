import assert from "node:assert/strict";
import { inspect } from "node:util";
import { createLogger } from "./log.ts";
import { Secret } from "./secret.ts";

const MARK = Uint8Array.of(0xc0, 0xff, 0xee, 0x11);
const FORMS = ["C0FFEE11", "c0ffee11", "192,255,238,17", '"0":192', "192"];

Deno.test("Secret never prints, whichever way it is turned into text", () => {
  const secret = new Secret(MARK.slice());
  const printed = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    Deno.inspect(secret),
    inspect({ secret }, { depth: 5 }),
  ];
  for (const text of printed) {
    assert.match(text, /\[redacted\]/);
    for (const form of FORMS) assert.ok(!text.includes(form), text);
  }
});

Deno.test("Secret.wipe() and the end of a `using` block clear the bytes in place", () => {
  const wiped = MARK.slice();
  new Secret(wiped).wipe();
  assert.deepEqual(wiped, new Uint8Array(4));
  const left = MARK.slice();
  {
    using _secret = new Secret(left);
  }
  assert.deepEqual(left, new Uint8Array(4));
});

Deno.test("Secret.equals() compares length and content", () => {
  assert.ok(new Secret(MARK).equals(new Secret(MARK.slice())));
  assert.ok(!new Secret(MARK).equals(new Secret(MARK.slice(1))));
  assert.ok(!new Secret(MARK).equals(new Secret(Uint8Array.of(0xc0, 0xff, 0xee, 0x10))));
});

Deno.test("createLogger() prints no byte string, no Secret, and no field that is named as a secret", () => {
  const lines: string[] = [];
  const logger = createLogger("test", { write: (line) => lines.push(line), bound: { station: "a" } });
  logger.info("event", {
    bytes: MARK,
    nested: { key: new Secret(MARK.slice()), walletPin: "C0FFEE11", list: [MARK] },
    pin: "C0FFEE11",
    count: 3n,
    error: new Error("why"),
  });
  logger.debug("below the level");
  assert.equal(lines.length, 1);
  for (const form of FORMS) assert.ok(!lines[0]!.includes(form), lines[0]);
  const { event, station, pin, bytes, count, error } = JSON.parse(lines[0]!);
  assert.deepEqual([event, station, pin, bytes, count], ["event", "a", "[redacted]", "[4 bytes]", "3"]);
  assert.deepEqual(error, { name: "Error", message: "why" });
});
