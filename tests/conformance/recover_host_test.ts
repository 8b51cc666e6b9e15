/** An independent host (recover_host.py) drives `rk wallet serve --apdu-port`: enrolment, backup, restore on another device, deletion. */

import assert from "node:assert/strict";
import { apduSpec } from "cli/commands/wallet.ts";
import { DENO, REPOSITORY } from "cli/home.ts";
import { commandLine, environment } from "cli/process/child.ts";

const PYTHON = "/usr/bin/python3";
const HOST = decodeURIComponent(new URL("./recover_host.py", import.meta.url).pathname);

interface Ready {
  readonly port: number;
  readonly issuerPublicKey: string;
  readonly seed: boolean;
}

/** A served device. */
class ServedDevice implements AsyncDisposable {
  readonly events: string[] = [];
  private constructor(
    readonly child: Deno.ChildProcess,
    readonly ready: Ready,
    readonly reading: Promise<void>,
  ) {}

  static async start(
    state: string,
    options: { words?: string; empty?: boolean } = {},
  ): Promise<ServedDevice> {
    const child = new Deno.Command(DENO, {
      args: commandLine(apduSpec({ state, json: true, ...options }, 0)),
      cwd: REPOSITORY,
      env: environment({}),
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const ready = Promise.withResolvers<Ready>();
    const reading = (async () => {
      let rest = "";
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          const event = JSON.parse(line);
          if (event.ready) ready.resolve(event);
        }
      }
      ready.reject(new Error("the device did not start"));
    })();
    return new ServedDevice(child, await ready.promise, reading);
  }

  async host(verb: string, hostState: string): Promise<Record<string, unknown>> {
    const { issuerPublicKey, port } = this.ready;
    const { success, stdout, stderr } = await new Deno.Command(PYTHON, {
      args: [HOST, issuerPublicKey, String(port), verb],
      env: { RECOVER_HOST_STATE: hostState },
      stdin: "null",
    }).output();
    assert.ok(success, `${verb}: ${new TextDecoder().decode(stderr)}`);
    return JSON.parse(new TextDecoder().decode(stdout));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGTERM");
    await this.child.status;
    await this.reading;
  }
}

const entropyOf = async (path: string) => JSON.parse(await Deno.readTextFile(path)).entropy as string | null;

for (const words of ["24", "12"]) {
  Deno.test(`an independent host enrols, backs up, restores on another device and deletes a seed of ${words} words`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "rk-" });
    try {
      const [first, second, host] = [`${folder}/first.json`, `${folder}/second.json`, `${folder}/host.json`];
      {
        await using device = await ServedDevice.start(first, { words });
        await device.host("enrol", host);
        const backup = await device.host("backup", host);
        assert.deepEqual(backup.index, [1, 2, 3]);
        assert.match(backup.code as string, /^\d{4}$/);
        assert.equal(backup.words, Number(words) === 24 ? 0x18 : 0x0c);
      }
      {
        await using device = await ServedDevice.start(second, { empty: true });
        assert.equal(device.ready.seed, false);
        await device.host("enrol", host);
        const restored = await device.host("restore", host);
        assert.deepEqual(restored.confirmed, ["Confirm restore", "Confirm restore"]);
        assert.equal(await entropyOf(second), await entropyOf(first));
        assert.equal((await device.host("delete", host)).deleted, 3);
        await device.host("remove", host);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
