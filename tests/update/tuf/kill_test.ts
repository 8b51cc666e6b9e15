import { deepEqual, equal, ok } from "node:assert/strict";
import { openTufClient } from "device/update/tuf/client.ts";
import { httpSource } from "device/update/tuf/http_source.ts";
import { initialized } from "./runner.ts";
import { TOP } from "./repository.ts";

const PROGRAM = new URL("killed_client.ts", import.meta.url).pathname;
const ALL = ["targets", "snapshot", "timestamp"];

Deno.test("what is trusted survives SIGKILL at every step of every write", async () => {
  const { client, repository } = await initialized();
  await using _ = client;
  equal(await client.refresh(), 0);
  const before = new Map(TOP.map((role) => [role, client.trusted(role)!]));
  repository.rotate("timestamp");
  repository.publish("root", ...ALL);
  const after = new Map(TOP.map((role) => [role, new Uint8Array(repository.published[role]!.at(-1)!)]));

  /** Lays the old metadata out and lets a client die in the middle of taking the new. @returns steps, where it did not die. */
  const dieAt = async (step: number): Promise<number | undefined> => {
    const folder = `${client.folder}/at-${step}`;
    Deno.mkdirSync(folder);
    for (const [role, bytes] of before) Deno.writeFileSync(`${folder}/${role}.json`, bytes);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--allow-all",
        PROGRAM,
        folder,
        repository.metadataUrl,
        String(step),
      ],
    }).output();
    if (code === 0) return Number(new TextDecoder().decode(stdout));
    equal(code, 137, new TextDecoder().decode(stderr));
    for (const role of TOP) {
      const bytes = Deno.readFileSync(`${folder}/${role}.json`);
      // Old or new, never a part: a part would be taken for nothing, and nothing protects from nothing.
      ok([before, after].some((each) => same(each.get(role)!, bytes)), `${role} at step ${step}`);
    }
    // Where one file is new, so are those before it in the workflow.
    const isNew = TOP.map((role) => same(after.get(role)!, Deno.readFileSync(`${folder}/${role}.json`)));
    deepEqual(isNew, [...isNew].sort((a, b) => Number(b) - Number(a)), `step ${step}`);

    {
      using retry = openTufClient({
        metadataDir: folder,
        metadataBaseUrl: repository.metadataUrl,
        source: httpSource(),
      });
      await retry.refresh();
    }
    for (const role of TOP) deepEqual(Deno.readFileSync(`${folder}/${role}.json`), after.get(role), role);
    deepEqual(
      [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => /\.new$/.test(name)),
      [],
    );
    return undefined;
  };

  const steps = await dieAt(10_000);
  // Five files (the root twice: to be trusted, and to be shown), six steps each.
  equal(steps, 30);
  for (let step = 0; step < steps!; step += 2) {
    deepEqual(await Promise.all([dieAt(step), dieAt(step + 1)]), [undefined, undefined]);
  }
});

function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
