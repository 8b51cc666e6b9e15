import assert from "node:assert/strict";
import { DENO, REPOSITORY } from "cli/home.ts";
import { permissionFlags, permissionSet } from "cli/process/permissions.ts";
import { startSpine } from "cli/spine/spine.ts";
import { ALL_REFUSED, PROBE, probed } from "./probed.ts";

const SETS = Object.keys(
  (JSON.parse(Deno.readTextFileSync(`${REPOSITORY}/deno.json`)) as { permissions: Record<string, unknown> })
    .permissions,
);

Deno.test("probe.ts tells when a process may do what none should", async () => {
  const output = await new Deno.Command(DENO, { args: ["run", "--quiet", "--allow-all", PROBE] }).output();
  const outcome = probed(new TextDecoder().decode(output.stderr));
  assert.equal(outcome?.file, "allowed");
  assert.equal(outcome?.program, "allowed");
  await Deno.remove("/var/tmp/recovery-key-probe");
});

Deno.test("permission sets name hosts, folders and libraries, never everything", async (t) => {
  for (const name of SETS) {
    await t.step(name, async () => {
      const set = permissionSet(name);
      assert.equal(set.run, undefined);
      const flags = permissionFlags(set, {});
      for (const flag of flags.slice(1)) assert.match(flag, /^--allow-(net|read|write|env|ffi|sys)=.+/);
      const output = await new Deno.Command(DENO, { args: ["run", "--quiet", ...flags, PROBE] }).output();
      assert.deepEqual(probed(new TextDecoder().decode(output.stderr)), ALL_REFUSED);
    });
  }
});

Deno.test("every process of the spine serves, and is refused a connection and a file outside its set", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const spine = await startSpine({ folder, preload: PROBE });
    try {
      for (const name of spine.children.keys()) {
        await t.step(name, async () => {
          const log = await Deno.readTextFile(`${folder}/logs/${name}.log`);
          assert.deepEqual(probed(log), ALL_REFUSED);
        });
      }
    } finally {
      await spine.stop();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
