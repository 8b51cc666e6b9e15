import assert from "node:assert/strict";
import { STANDARD_READER } from "cli/commands/card.ts";
import { runSpec } from "cli/commands/station.ts";
import { genuineCheckSpec } from "cli/commands/wallet.ts";
import { demoProfile } from "cli/demo/profile.ts";
import { DENO, REPOSITORY } from "cli/home.ts";
import { type ChildSpec, commandLine, environment } from "cli/process/child.ts";
import { createBatch } from "cli/spine/batch.ts";
import { freePort } from "cli/spine/ports.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
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
    const spine = await startSpine({ folder, preload: PROBE, recover: true });
    try {
      await spine.startRecover();
      for (const name of spine.children.keys()) {
        await t.step(name, async () => {
          const log = await Deno.readTextFile(`${folder}/logs/${name}.log`);
          assert.deepEqual(probed(log), ALL_REFUSED);
        });
      }
      const { descriptor } = spine;
      const batchFile = `${folder}/batch.json`;
      const profile = await demoProfile(folder, spine.token.hsm, SYSTEM_RANDOM);
      const batch = await createBatch(descriptor.batchManagerFile, profile, 1);
      await Deno.writeTextFile(batchFile, encodeBatchFile(batch));
      const virtualReaders = `127.0.0.1:${freePort()}`;
      const vpcd = `127.0.0.1:${freePort()}`;
      const others: Record<string, Omit<ChildSpec, "logFile">> = {
        station: runSpec(
          { batch: batchFile, json: true, virtualReaders },
          descriptor.stationFile,
          batchFile,
          descriptor,
        ),
        "station over PC/SC": runSpec(
          { batch: batchFile, json: true },
          descriptor.stationFile,
          batchFile,
          descriptor,
        ),
        wallet: genuineCheckSpec({
          reader: "Reader",
          trust: `${folder}/station/wallet-trust.json`,
          virtualReaders: `127.0.0.1:${freePort()}`,
          json: true,
        }),
        card: {
          name: "card",
          module: "device/app/card_main.ts",
          permissions: "card",
          substitution: { [STANDARD_READER]: vpcd, ".rk/spine/cards": `${folder}/cards` },
          args: ["--vpcd", vpcd, "--state", `${folder}/cards/probe.card`],
        },
      };
      for (const [name, spec] of Object.entries(others)) {
        await t.step(name, async () => assert.deepEqual(await probedProcess(spec), ALL_REFUSED));
      }
    } finally {
      await spine.stop();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Starts a process with the probe before it, reads what came of the probe, sees that its own work begins, and ends it. */
async function probedProcess(spec: Omit<ChildSpec, "logFile">): Promise<Record<string, string> | undefined> {
  const child = new Deno.Command(DENO, {
    args: commandLine({ ...spec, preload: PROBE }),
    cwd: REPOSITORY,
    env: environment(spec),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.stdout.getReader();
  const errors = child.stderr.getReader();
  const decoder = new TextDecoder();
  let log = "";
  while (!probed(log)) {
    const { done, value } = await errors.read();
    if (done) break;
    log += decoder.decode(value, { stream: true });
  }
  // It prints a line of its own: the set lets it begin, or it says in its own words what is missing.
  const { value } = await output.read();
  assert.ok(value && value.length > 0, log);
  child.kill("SIGKILL");
  await Promise.all([output.cancel(), errors.cancel(), child.status]);
  return probed(log);
}
