import assert from "node:assert/strict";
import { parse, stringify } from "yaml";
import { DEFAULT_LINE_LIMITS } from "../domain/judgement/line.ts";
import { readStationConfig } from "./station_config.ts";

const EXAMPLE = await Deno.readTextFile(new URL("./station_example.yaml", import.meta.url));

async function read(change: (value: Record<string, unknown>) => void = () => {}) {
  const folder = await Deno.makeTempDir({ prefix: "station-config-" });
  try {
    const value = parse(EXAMPLE);
    change(value);
    await Deno.writeTextFile(`${folder}/station.yaml`, stringify(value));
    return await readStationConfig(`${folder}/station.yaml`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("readStationConfig() takes the example, whose limits are the defaults", async () => {
  const whole = await read();
  assert.deepEqual(whole.limits, DEFAULT_LINE_LIMITS);
  const bare = await read((value) => {
    delete value["limits"];
    delete value["waitForServiceSeconds"];
  });
  assert.deepEqual(bare.limits, DEFAULT_LINE_LIMITS);
  assert.equal(bare.waitForServiceSeconds, whole.waitForServiceSeconds);
});

Deno.test("readStationConfig() a limit alone leaves the others; one that means nothing is named", async () => {
  const { limits } = await read((value) => value["limits"] = { reader: { scrappedInRow: null } });
  assert.deepEqual(limits, {
    ...DEFAULT_LINE_LIMITS,
    reader: { ...DEFAULT_LINE_LIMITS.reader, scrappedInRow: null },
  });
  await assert.rejects(read((value) => value["limits"] = { station: { yieldPercent: 101 } }), {
    code: "STATION_CONFIG",
    message: /limits\.station\.yieldPercent/,
  });
});
