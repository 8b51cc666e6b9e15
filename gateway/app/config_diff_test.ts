import assert from "node:assert/strict";
import { parse } from "yaml";
import { type ConfigDiff, diffConfigs } from "./config_diff.ts";
import { GatewayConfig } from "./config.ts";

const TEXT = await Deno.readTextFile(new URL("../example.yaml", import.meta.url));
// deno-lint-ignore no-explicit-any -- edits any part of a configuration
const edited = (edit: (config: any) => void = () => {}): GatewayConfig => {
  const value = parse(TEXT);
  edit(value);
  return GatewayConfig.parse(value);
};
// deno-lint-ignore no-explicit-any -- edits any part of a configuration
const diff = (edit: (config: any) => void): ConfigDiff => diffConfigs(edited(), edited(edit));
const told = ({ changes }: ConfigDiff) => changes.map(({ kind, subject, detail }) => [kind, subject, detail]);

Deno.test("diffConfigs() sees no change in a default that is written out", () => {
  assert.deepEqual(diff((config) => config.limits.maxHeaders = 64), { changes: [], way: "none" });
});

Deno.test("diffConfigs() tells routes by name, lists by what came and went, and the order", () => {
  const [first, second] = edited().routes.map(({ name }) => name);
  const moved = diff((config) => config.routes.reverse());
  assert.deepEqual(moved.changes.map(({ subject }) => subject), ["order of routes"]);
  assert.equal(moved.way, "reload");
  assert.deepEqual(told(diff((config) => config.routes.shift())), [["removed", `route ${first}`, ""]]);
  assert.deepEqual(
    told(diff((config) => config.routes[1].deadlineMs = 1)),
    [["changed", `route ${second}`, `deadlineMs ${edited().routes[1]!.deadlineMs} -> 1`]],
  );
  assert.deepEqual(
    told(diff((config) => config.denyNetworks = [...config.denyNetworks.slice(1), "192.0.2.0/24"])),
    [["changed", "denyNetworks", '+"192.0.2.0/24" -"203.0.113.0/24"']],
  );
});

Deno.test("diffConfigs() says how a change is taken", () => {
  assert.equal(diff((config) => config.limits.maxHeaders = 10).way, "upgrade");
  assert.equal(diff((config) => config.listen.port = 1).way, "restart");
  assert.equal(diff((config) => config.listen.certificate = "other.crt").way, "reload", "it is read anew");
  const name = Object.keys(edited().upstreams)[0]!;
  const pool = diff((config) => config.upstreams[name].maxConnectionsPerInstance = 3);
  assert.deepEqual(told(pool), [["changed", `upstream ${name}`, "maxConnectionsPerInstance 64 -> 3"]]);
  assert.equal(pool.way, "upgrade");
});
