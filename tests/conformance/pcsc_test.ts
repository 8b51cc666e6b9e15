import assert from "node:assert/strict";
import { libraryCandidates } from "shared/transport/pcsc/library.ts";
import { startPcscd } from "tests/environment/pcscd.ts";
import { StubCard } from "./stub_card.ts";

const program = (name: string) => new URL(name, import.meta.url).pathname;

async function inTemporaryDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "rk-" });
  try {
    await run(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("openPcsc() conforms over a private pcscd", () =>
  inTemporaryDirectory(async (directory) => {
    // A process of its own, since libpcsclite takes the socket's name from the environment once.
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--allow-all", "--no-check", program("pcsc_program.ts")],
      env: {
        PCSCLITE_CSOCK_NAME: `${directory}/ipc/pcscd.comm`,
        RK_TEST_DIRECTORY: directory,
        NO_COLOR: "1",
      },
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.ok(success, said);
    assert.match(said, /ok \| [1-9]\d* passed \| 0 failed/);
  }));

Deno.test("openPcsc() needs ffi scoped to its library, and nothing else", () =>
  inTemporaryDirectory(async (directory) => {
    await using pcscd = await startPcscd({ directory, readers: 1 });
    const { name, port } = pcscd.readers[0]!;
    await using _card = await StubCard.insert(port, 5);
    const outcome = async (permissions: string[]) => {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", ...permissions, program("pcsc_permissions_program.ts"), name],
        env: pcscd.env,
        stdin: "null",
        stderr: "inherit",
      }).output();
      return JSON.parse(new TextDecoder().decode(stdout));
    };
    let library: string | undefined;
    for (const candidate of libraryCandidates()) {
      if (await Deno.stat(candidate).then(() => true, () => false)) library ??= candidate;
    }
    assert.ok(library, "apt-get install libpcsclite1");
    assert.deepEqual(await outcome([`--allow-ffi=${library}`]), { answer: "059000" });
    assert.deepEqual(await outcome([]), { code: "PCSC_LIBRARY" });
    assert.deepEqual(await outcome(["--allow-ffi=/usr/lib/libother.so.1"]), { code: "PCSC_LIBRARY" });
  }));

Deno.test("startPcscd() leaves nothing running and starts again with the same readers", () =>
  inTemporaryDirectory(async (directory) => {
    const pcscd = await startPcscd({ directory, readers: 3 });
    assert.deepEqual(pcscd.readers.map(({ name }) => name), [
      "RK Reader 1 00 00",
      "RK Reader 1 00 01",
      "RK Reader 2 00 00",
    ]);
    await pcscd.restart();
    await pcscd.stop();
    await pcscd.stop();
    for (const { port } of pcscd.readers) {
      await assert.rejects(StubCard.insert(port), Deno.errors.ConnectionRefused);
    }
    await assert.rejects(startPcscd({ directory, readers: 0 }), { code: "TEST_PCSCD_START" });
    await assert.rejects(startPcscd({ directory, readers: 15 }), { code: "TEST_PCSCD_START" });
  }));
