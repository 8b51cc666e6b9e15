/** An independent GlobalPlatform client in Python (gp_client.py: pyscard and OpenSSL) works the virtual card over a private pcscd. */

import assert from "node:assert/strict";
import { VirtualCard } from "device/card/virtual_card.ts";
import { attachToVpcd } from "device/card/vpcd.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { startPcscd } from "tests/environment/pcscd.ts";

const PYTHON = "/usr/bin/python3";
const CLIENT = decodeURIComponent(new URL("./gp_client.py", import.meta.url).pathname);
const PACKAGE = "A0000000624C4544474552303100";
const APPLET = "A0000000624C45444745523031";

Deno.test("a Python client lists, loads, installs, deletes, changes keys, locks and unlocks the card over PC/SC", async () => {
  const modules = await new Deno.Command(PYTHON, { args: ["-c", "import smartcard, cryptography"] }).output();
  assert.ok(modules.success, "apt-get install python3-pyscard python3-cryptography");
  const directory = await Deno.makeTempDir({ prefix: "rk-" });
  const stop = new AbortController();
  let done: Promise<void> | undefined;
  try {
    await using pcscd = await startPcscd({ directory, readers: 1 });
    const { name, port } = pcscd.readers[0]!;
    const attached = Promise.withResolvers<void>();
    done = attachToVpcd(await VirtualCard.open({}), {
      host: "127.0.0.1",
      port,
      signal: stop.signal,
      // The driver powers the card once it has seen it.
      onEvent: (event) => event.event === "power" && attached.resolve(),
    }).done;
    await attached.promise;
    const block = `${directory}/load_file`;
    await Deno.writeFile(block, readCap(writeTestCap({ payloadBytes: 900 })).loadFileDataBlock);
    const { success, stdout, stderr } = await new Deno.Command(PYTHON, {
      args: [CLIENT, name, "walk", block],
      env: pcscd.env,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assert.ok(success, decoder.decode(stderr));
    const { before, installed, after, ...words } = JSON.parse(decoder.decode(stdout));
    const ok = 0x9000;
    assert.deepEqual(words, {
      open: ok,
      installForLoad: ok,
      load: ok,
      install: ok,
      delete: ok,
      putKey: ok,
      openWithNew: ok,
      putKeyBack: ok,
      openWithOld: ok,
      states: [ok, ok, ok],
      openLocked: ok,
      unlock: ok,
    });
    assert.deepEqual(installed, [...before, PACKAGE, APPLET].sort());
    assert.deepEqual(after, before);
  } finally {
    stop.abort();
    await done;
    await Deno.remove(directory, { recursive: true });
  }
});
