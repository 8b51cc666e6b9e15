import assert from "node:assert/strict";
import { writeGatewayFiles } from "tests/environment/gateway.ts";
import { GatewayConfig } from "./config.ts";
import { readConfig } from "./config_file.ts";

/** What is written over the configuration of a test -> what the fault says. */
const FAULTS: readonly [(config: Record<string, unknown>, route: Record<string, unknown>) => void, RegExp][] =
  [
    [
      (_config, route) => route.rateLimit = "none",
      /routes\[0\]\.rateLimit: .*expected a name of rateLimits: slow, guesses/,
    ],
    [
      (_config, route) => route.rateLimit = ["slow", "slow"],
      /routes\[0\]\.rateLimit: expected every name once/,
    ],
    [(_config, route) => route.rateLimit = "constructor", /expected a name of rateLimits/],
    [
      (_config, route) => route.concurrency = ["none"],
      /routes\[0\]\.concurrency\[0\]: expected a name of concurrencyLimits/,
    ],
    [
      (_config, route) => route.rateLimit = "guesses",
      /routes\[0\]: backup: |routes\[0\]\.backup: .*expected where requests name/,
    ],
    [
      (_config, route) => Object.assign(route, { rateLimit: "guesses", backup: { header: "id" } }),
      /expected backupKeyFile/,
    ],
    [(_config, route) => route.backup = { pointer: "a" }, /routes\[0\]\.backup/],
    [
      (config) => config.limitStore = { url: "redis://user:word@127.0.0.1:6379" },
      /limitStore\.url: expected redis:/,
    ],
    [
      (config) => config.limitStore = { url: "rediss://127.0.0.1:6379" },
      /limitStore.*expected the authorities/,
    ],
    [
      (config) => config.clientAddress = { from: "forwarded", trustedProxies: [] },
      /clientAddress\.trustedProxies/,
    ],
    [(config) => config.bans = { never: ["10.0.0.1/8"] }, /bans\.never\[0\]: expected a network/],
    [(config) => config.handshakes = { total: { quota: 0, windowSeconds: 1 } }, /handshakes\.total\.quota/],
  ];

Deno.test("GatewayConfig names what is wrong with limits, stores, proxies and bans", async () => {
  for (const [edit, expected] of FAULTS) {
    const { folder, path } = await writeGatewayFiles({
      edit: (config) => {
        config.rateLimits = {
          slow: { quota: 1, windowSeconds: 1 },
          guesses: { quota: 1, windowSeconds: 1, by: ["backup"] },
        };
        edit(config, config.routes[0]);
      },
    });
    try {
      await assert.rejects(readConfig(path, GatewayConfig), expected, String(expected));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
});
