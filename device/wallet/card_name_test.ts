import assert from "node:assert/strict";
import { toUtf8 } from "shared/base/bytes.ts";
import { encodeCardName, showCardName } from "./card_name.ts";

Deno.test("encodeCardName() takes printable text of up to 32 bytes", () => {
  for (const name of ["", "Kitchen safe", "Schlüssel 🗝", "x".repeat(32)]) {
    assert.equal(showCardName(encodeCardName(name)), name);
  }
  for (const name of ["x".repeat(33), "ü".repeat(17), "a\nb", "\u001b[2J", " x", "a\u202eb", "\u2028"]) {
    assert.throws(() => encodeCardName(name), { code: "WALLET_CARD_NAME" });
  }
});

Deno.test("showCardName() never gives a terminal what a card made up", () => {
  assert.equal(showCardName(toUtf8("\u001b[2J")), "hex:1B5B324A");
  assert.equal(showCardName(Uint8Array.of(0xff)), "hex:FF");
});
