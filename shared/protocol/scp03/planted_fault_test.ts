/**
 * Faults planted in the SCP03 code, one at a time: the tests of this folder must fail with each, and pass with none. A
 * fault is a line of the source replaced; an import map puts the changed copy in the place of the file.
 */

import assert from "node:assert/strict";

interface Fault {
  readonly name: string;
  readonly file: string;
  readonly line: string;
  readonly planted: string;
}

const FAULTS: readonly Fault[] = [
  {
    name: "S-RMAC from the constant of S-MAC",
    file: "constants.ts",
    line: "S_RMAC: 0x07,",
    planted: "S_RMAC: 0x06,",
  },
  {
    name: "length of the derived key left out",
    file: "keys.ts",
    line: "writeUint(lengthBits, 2),",
    planted: "writeUint(128, 2),",
  },
  {
    name: "second block of the KDF counted as the first",
    file: "keys.ts",
    line: "input[LABEL_ZEROS + 4] = i;",
    planted: "input[LABEL_ZEROS + 4] = 1;",
  },
  {
    name: "card challenge without the AID",
    file: "keys.ts",
    line: "concat(counter3, aid));",
    planted: "concat(counter3, aid.subarray(0, 0)));",
  },
  {
    name: "answers encrypted with the command's counter block",
    file: "secure_messaging.ts",
    line: "response: 0x80",
    planted: "response: 0x00",
  },
  {
    name: "Lc under the C-MAC without the MAC's length",
    file: "secure_messaging.ts",
    line: "data.length + macLength;",
    planted: "data.length;",
  },
  {
    name: "C-MAC not chained",
    file: "secure_messaging.ts",
    line: "  input.set(chaining);\n  input[CHAINING_LENGTH] = cla;",
    planted: "  input[CHAINING_LENGTH] = cla;",
  },
  {
    name: "card takes any C-MAC",
    file: "card_session.ts",
    line:
      "if (!equalConstantTime(chaining.subarray(0, this.#macLength), c.data.subarray(end))) return this.#fail();",
    planted: "",
  },
  {
    name: "card takes any host cryptogram",
    file: "card_session.ts",
    line: "!rightCryptogram || !rightMac",
    planted: "!rightMac",
  },
  {
    name: "card's session outlives a wrong C-MAC",
    file: "card_session.ts",
    line: "  #fail(): { readonly sw: number } {\n    this.kill();",
    planted: "  #fail(): { readonly sw: number } {",
  },
  {
    name: "host takes any card cryptogram",
    file: "host_session.ts",
    line: "!equalConstantTime(expected, parsed.cardCryptogram)",
    planted: "expected.length === 0",
  },
  {
    name: "host takes a bare 9000",
    file: "host_session.ts",
    line: "if (end < 0) throw",
    planted: "if (end < 0) return r;\n    if (end < -999) throw",
  },
  {
    name: "host's counter stands still",
    file: "host_session.ts",
    line: "this.#counter++;",
    planted: "",
  },
];

const FOLDER = new URL("./", import.meta.url);
const ROOT = new URL("../../../", FOLDER);
const TESTS = ["card_session", "host_session", "keys", "secure_channel", "initialize_update"];

/** Imports of deno.json with absolute folders, and the changed file in the place of its original. */
async function importMap(folder: string, fault: Fault): Promise<string> {
  const original = new URL(fault.file, FOLDER);
  const source = await Deno.readTextFile(original);
  assert.ok(source.includes(fault.line), `${fault.file} has no line for "${fault.name}": plant it anew`);
  const changed = source.replace(fault.line, fault.planted)
    .replaceAll(/from "(\.[^"]+)"|import "(\.[^"]+)"/g, (text, from?: string, bare?: string) => {
      const path = from ?? bare ?? "";
      return text.replace(path, new URL(path, original).href);
    });
  const copy = `${folder}/${fault.file}`;
  await Deno.writeTextFile(copy, changed);
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))) as {
    imports: Record<string, string>;
  };
  const absolute = Object.entries(imports).map(([name, target]) => [
    name,
    target.startsWith("./") ? new URL(target, ROOT).href : target,
  ]);
  const map = { imports: { ...Object.fromEntries(absolute), [original.href]: `file://${copy}` } };
  const path = `${folder}/import_map.json`;
  await Deno.writeTextFile(path, JSON.stringify(map));
  return path;
}

/** Whether the folder's tests pass with a fault. */
async function passes(fault: Fault): Promise<boolean> {
  const folder = await Deno.makeTempDir({ prefix: "rk-fault-" });
  try {
    const map = await importMap(folder, fault);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "--allow-read",
        "--no-check",
        "--fail-fast",
        `--import-map=${map}`,
        ...TESTS.map((name) => new URL(`${name}_test.ts`, FOLDER).pathname),
      ],
      cwd: ROOT.pathname,
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    // A test that could not even start would pass for one that found the fault.
    assert.match(said, /\d+ passed/, said);
    assert.doesNotMatch(said, /uncaught error|SyntaxError|Module not found/, said);
    return code === 0;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the SCP03 tests pass without a fault, through the same import map", async () => {
  assert.equal(
    await passes({ name: "none", file: "keys.ts", line: "lengthBits", planted: "lengthBits" }),
    true,
  );
});

for (const fault of FAULTS) {
  Deno.test(`the SCP03 tests find: ${fault.name}`, async () => {
    assert.equal(await passes(fault), false);
  });
}
