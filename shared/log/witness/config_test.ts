import assert from "node:assert/strict";
import { parse } from "yaml";
import { codeOf } from "shared/base/errors.ts";
import { parseWitnessConfig } from "./config.ts";
import { WitnessPeersConfig } from "./peers_config.ts";

const PAGE = Deno.readTextFileSync(new URL("../../../docs/operations/witness.md", import.meta.url));
const [EXAMPLE = "", ...PARTS] = [...PAGE.matchAll(/```yaml\n([\s\S]*?)```/g)].map((block) => block[1]!);

Deno.test("the page's configurations are ones that the program takes", () => {
  const config = parseWitnessConfig("/etc/w/witness.yaml", EXAMPLE);
  assert.equal(config.state, "/etc/w/state");
  assert.deepEqual(config.key, { kind: "file", file: "/etc/w/witness.key" });
  assert.deepEqual(config.rate, { perSecond: 50, burst: 200 });
  const base = parse(EXAMPLE) as Record<string, unknown>;
  for (const part of PARTS) {
    const value = parse(part) as Record<string, unknown>;
    if ("witnesses" in value) WitnessPeersConfig.parse(value.witnesses);
    else parseWitnessConfig("/etc/w/witness.yaml", JSON.stringify({ ...base, ...value }));
  }
  assert.equal(PARTS.length, 4);
});

Deno.test("a configuration that would be unsafe or is not one is refused with all its faults", () => {
  const base = parse(EXAMPLE) as Record<string, unknown>;
  for (
    const [change, words] of [
      [{ listen: "0.0.0.0:8497" }, /listen: without tls/],
      [{ admin: "0.0.0.0:8498" }, /admin: only a loopback/],
      [{ name: "two words" }, /name: a space/],
      [{ more: 1 }, /more/],
      [{ logs: [] }, /logs/],
      [{ logs: [...base.logs as unknown[], ...base.logs as unknown[]] }, /an origin twice/],
      [{ logs: [{ origin: "a", keys: ["k"], mirror: { url: "http://log.example" } }] }, /mirror/],
    ] as const
  ) {
    assert.throws(
      () => parseWitnessConfig("/w.yaml", JSON.stringify({ ...base, ...change })),
      (error) => codeOf(error) === "WITNESS_CONFIG" && words.test((error as Error).message),
    );
  }
  assert.throws(() => parseWitnessConfig("/w.yaml", "a: [1"), (error) => codeOf(error) === "WITNESS_CONFIG");
});
