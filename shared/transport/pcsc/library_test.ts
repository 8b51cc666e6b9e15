import assert from "node:assert/strict";
import { PcscLibrary } from "./library.ts";
import { openPcsc } from "./service.ts";

Deno.test("PcscLibrary.open() names each place it looked at", async () => {
  await assert.rejects(openPcsc({ library: "/nowhere/libpcsclite.so.1" }), {
    code: "PCSC_LIBRARY",
    message: /\/nowhere\/libpcsclite\.so\.1/,
  });
});

Deno.test({
  name: "PcscLibrary.open() is an error and not a prompt without permission",
  permissions: { ffi: false },
  fn() {
    assert.throws(() => PcscLibrary.open(), { code: "PCSC_LIBRARY", message: /not allowed: --allow-ffi=/ });
  },
});

Deno.test("PcscLibrary.close() waits for calls in flight and refuses new ones", async () => {
  const library = PcscLibrary.open(); // missing: apt-get install libpcsclite1
  const context = new BigInt64Array(1);
  const call = library.call((symbols) => symbols.SCardListReaders(0n, null, null, context), [context]);
  const closed = library.close();
  await assert.rejects(library.call((symbols) => symbols.SCardCancel(0n)), { code: "PCSC_UNAVAILABLE" });
  assert.equal(await call, 0x80100003); // no context has number 0
  await closed;
  library.release(0n); // too late to do anything, and does nothing
});
