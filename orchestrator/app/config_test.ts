import assert from "node:assert/strict";
import { parse, stringify } from "yaml";
import { parseOrchestratorConfig } from "./config.ts";

const EXAMPLE = Deno.readTextFileSync(new URL("../example.yaml", import.meta.url));

Deno.test("parseOrchestratorConfig() takes the example, and paths from its folder", () => {
  const config = parseOrchestratorConfig("/etc/orchestrator/config.yaml", EXAMPLE);
  assert.equal(config.tls.gateways.authority, "/etc/pki/internal.crt");
  assert.equal(config.providers[2]!.tls.key, "/etc/orchestrator/provider-3-client.key");
});

Deno.test("parseOrchestratorConfig() names every fault of a file", () => {
  const changed = (change: (value: Record<string, unknown>) => void) => {
    const value = parse(EXAMPLE);
    change(value);
    return () => parseOrchestratorConfig("c.yaml", stringify(value));
  };
  const cases: [() => unknown, RegExp][] = [
    [changed((value) => delete value.listen), /c\.yaml:1:1: listen: missing/],
    [changed((value) => value.extra = 1), /extra/],
    [changed((value) => (value.providers as unknown[]).pop()), /c\.yaml:\d+:\d+: providers/],
    [
      changed((value) => {
        const list = value.providers as { publicKey: string }[];
        list[1]!.publicKey = list[0]!.publicKey;
      }),
      /two providers have the same key/,
    ],
    [changed((value) => value.providerRoot = "04"), /providerRoot/],
    [() => parseOrchestratorConfig("c.yaml", "a: ["), /c\.yaml:1:/],
  ];
  for (const [work, message] of cases) assert.throws(work, { code: "ORCHESTRATOR_CONFIG", message });
});
