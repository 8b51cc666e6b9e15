/** The command line as its users meet it: a card that is not ours, over pcscd, with a profile written by hand. */

import assert from "node:assert/strict";
import { DENO, REPOSITORY } from "cli/home.ts";
import { startPcscd } from "../environment/pcscd.ts";

interface Run {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
  /** The last line of the output, as JSON. */
  readonly last: Record<string, unknown>;
}

/** Keys of the recorded card; a foreign card's keys are whatever its owner says. */
const KEYS = { enc: "11".repeat(32), mac: "22".repeat(32), dek: "33".repeat(32) };

class Shell {
  constructor(readonly folder: string, readonly env: Record<string, string>) {}

  command(...args: string[]): Deno.Command {
    return new Deno.Command(`${REPOSITORY}/rk`, {
      args,
      cwd: this.folder,
      env: { RK_HOME: `${this.folder}/home`, RK_DENO: DENO, NO_COLOR: "1", ...this.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }

  async rk(...args: string[]): Promise<Run> {
    const { code, stdout, stderr } = await this.command(...args).output();
    const decoder = new TextDecoder();
    const output = decoder.decode(stdout);
    const line = output.trimEnd().split("\n").at(-1) ?? "";
    let last: Record<string, unknown> = {};
    try {
      last = JSON.parse(line);
    } catch {
      // Not every command prints JSON.
    }
    return { code, output, errors: decoder.decode(stderr), last };
  }
}

Deno.test("a foreign card goes through `rk station run` and `rk wallet genuine-check` over pcscd", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "rk-" });
  const pcscd = await startPcscd({ directory: folder, readers: 1 });
  const { name: reader, port } = pcscd.readers[0]!;
  const shell = new Shell(folder, pcscd.env);
  const write = (file: string, value: unknown) =>
    Deno.writeTextFile(`${folder}/${file}`, JSON.stringify(value));
  await write("options.json", {
    isdKeys: { version: "30", ...KEYS },
    preloaded: { package: {}, instance: { domain: "isd" } },
  });
  const card = shell.command(
    ...["card", "--vpcd", `127.0.0.1:${port}`, "--state", "card.state", "--options", "options.json"],
  ).spawn();
  try {
    const template = await shell.rk("profile", "template", "test-card");
    const profile = JSON.parse(template.output);
    profile.isdKeys = { version: 48, lengthBytes: 32, source: "given", given: KEYS };

    await t.step("rk batch create starts the local spine for itself, and says so", async () => {
      await write("profile.json", profile);
      const created = await shell.rk(
        ...[
          "batch",
          "create",
          "--profile",
          "profile.json",
          "--quantity",
          "2",
          "--out",
          "batch.json",
          "--json",
        ],
      );
      assert.equal(created.code, 0, created.errors);
      assert.match(created.errors, /Not for production/);
      assert.equal(created.last.quantity, 2);
      assert.equal((await Deno.stat(`${folder}/batch.json`)).mode! & 0o777, 0o600);
    });

    await t.step("rk station diagnose says what the card is and what comes next", async () => {
      const diagnosed = await shell.rk(
        ...["station", "diagnose", "--reader", reader, "--profile", "profile.json", "--json"],
      );
      assert.equal(diagnosed.code, 0, diagnosed.errors);
    });

    await t.step(
      "keys of another card: refused before EXTERNAL AUTHENTICATE, and not tried again",
      async () => {
        await write("wrong.json", {
          ...profile,
          isdKeys: { ...profile.isdKeys, given: { ...KEYS, enc: "44".repeat(32) } },
        });
        await shell.rk(
          ...[
            "batch",
            "create",
            "--profile",
            "wrong.json",
            "--quantity",
            "1",
            "--out",
            "wrong-batch.json",
            "--json",
          ],
        );
        const first = await shell.rk(
          ...["station", "run", "--batch", "wrong-batch.json", "--reader", reader, "--once", "--json"],
        );
        assert.equal(first.code, 5, first.errors);
        assert.equal(first.last.attested, 0);
        const [refused] = first.last.cards as { outcome: string; reason: string; next: string }[];
        assert.notEqual(refused!.outcome, "attested");
        assert.ok(refused!.next.length > 10, "it says what to do");
      },
    );

    await t.step("rk station run attests it", async () => {
      const ran = await shell.rk(
        ...[
          "station",
          "run",
          "--batch",
          "batch.json",
          "--reader",
          reader,
          "--once",
          "--retry-authentication",
          "--json",
        ],
      );
      assert.equal(ran.code, 0, `${ran.errors}\n${ran.output}`);
      assert.equal(ran.last.attested, 1);
      assert.equal(ran.last.failed, 0);
    });

    await t.step("rk wallet genuine-check says genuine", async () => {
      const checked = await shell.rk("wallet", "genuine-check", "--reader", reader, "--json");
      assert.equal(checked.code, 0, checked.errors);
      assert.equal(checked.last.genuine, true);
      assert.match(checked.last.serial as string, /^[0-9A-F]{8}$/);
    });

    await t.step("a second presentation is not a second card", async () => {
      const again = await shell.rk(
        ...["station", "run", "--batch", "batch.json", "--reader", reader, "--once", "--json"],
      );
      assert.equal(again.last.attested === 1 && again.code === 0 || again.code === 5, true, again.output);
    });

    await t.step("what is wrong on a command line has its exit code, and says what to do", async () => {
      const cases: [string[], number, RegExp][] = [
        [["station", "run", "--batch", "nowhere.json"], 2, /Cannot read batch file/],
        [
          ["station", "run", "--batch", "batch.json", "--reader", "No Such Reader", "--once"],
          2,
          /Cannot use reader/,
        ],
        [
          ["batch", "create", "--profile", "nowhere.json", "--quantity", "1", "--out", "x"],
          3,
          /Cannot read profile/,
        ],
        [["batch", "create", "--profile", "batch.json", "--quantity", "1", "--out", "x"], 3, /profile/i],
        [
          ["batch", "create", "--profile", "profile.json", "--quantity", "none", "--out", "x"],
          2,
          /whole number/,
        ],
        [["gateway", "--config", "nowhere.yaml"], 3, /Cannot read configuration/],
        [["nonsense"], 2, /unknown command/],
      ];
      for (const [args, code, words] of cases) {
        const run = await shell.rk(...args);
        assert.equal(run.code, code, `rk ${args.join(" ")}: ${run.errors}`);
        assert.match(run.errors, words);
      }
    });
  } finally {
    card.kill("SIGTERM");
    await card.output();
    await pcscd.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
