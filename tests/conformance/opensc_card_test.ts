/** An independent client, OpenSC's opensc-tool, on the virtual card over a private pcscd. */

import assert from "node:assert/strict";
import { VirtualCard } from "device/card/virtual_card.ts";
import { attachToVpcd } from "device/card/vpcd.ts";
import { startPcscd } from "tests/environment/pcscd.ts";

const OPENSC_TOOL = "/usr/bin/opensc-tool";
/** Time in which pcscd sees the card. */
const PRESENT_MS = 20_000;

Deno.test("opensc-tool reads ATR, selects, asks for data and is refused over PC/SC as on a genuine card", async () => {
  assert.ok(await Deno.stat(OPENSC_TOOL).then(() => true, () => false), "apt-get install opensc");
  const directory = await Deno.makeTempDir({ prefix: "rk-" });
  const stop = new AbortController();
  let done: Promise<void> | undefined;
  try {
    await using pcscd = await startPcscd({ directory, readers: 1 });
    const { name, port } = pcscd.readers[0]!;
    const card = await VirtualCard.open({
      lifeCycle: "SECURED",
      preloaded: { package: {}, instance: {}, ssd: {} },
    });
    done = attachToVpcd(card, { host: "127.0.0.1", port, signal: stop.signal }).done;
    const tool = async (...args: string[]) => {
      const { stdout, stderr } = await new Deno.Command(OPENSC_TOOL, {
        args: ["--reader", name, "--card-driver", "default", ...args],
        env: pcscd.env,
        stdin: "null",
      }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    const until = performance.now() + PRESENT_MS;
    let said = await tool("--atr");
    while (!said.includes("3b:d5:18") && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      said = await tool("--atr");
    }
    assert.match(said, /3b:d5:18:ff:81:91:fe:1f:c3:80:73:c8:21:10:0a/i);

    const rows = [
      ["00A4040000", "0x90, SW2=0x00"],
      ["80CA9F7F00", "0x90, SW2=0x00"],
      ["80CA00E000", "0x90, SW2=0x00"],
      ["80CA123400", "0x6A, SW2=0x88"],
      ["80F28002024F0000", "0x69, SW2=0x82"],
      ["0070000001", "0x68, SW2=0x81"],
      ["8050000008010203040506070800", "0x90, SW2=0x00"],
      ["848233001000000000000000000000000000000000", "0x63, SW2=0x00"],
      ["00A404000AD000000000000000000000", "0x6A, SW2=0x82"],
      ["00A404000DA0000000624C45444745523031", "0x90, SW2=0x00"],
      ["08F20000", "0x90, SW2=0x00"],
    ] as const;
    const sent = await tool(...rows.flatMap(([apdu]) => ["--send-apdu", apdu]));
    const answers = [...sent.matchAll(/Received \(SW1=(0x[0-9A-F]{2}, SW2=0x[0-9A-F]{2})\)/gi)].map((match) =>
      match[1]
    );
    assert.deepEqual(answers, rows.map(([, expected]) => expected), sent);
  } finally {
    stop.abort();
    await done;
    await Deno.remove(directory, { recursive: true });
  }
});
