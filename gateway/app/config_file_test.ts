import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { GatewayConfig } from "./config.ts";
import { EnrolConfig } from "./enrol_config.ts";
import { type ConfigFault, parseConfig, readConfig } from "./config_file.ts";

const example = await Deno.readTextFile(new URL("../example.yaml", import.meta.url));

/** Faults of the example with one change, as `line:column key: message`; the line is also given by its text. */
function faults(from: string | RegExp, to: string): { at: string; line: string }[] {
  const text = example.replace(from, to);
  assert.notEqual(text, example, `the example has ${from}`);
  try {
    parseConfig("gateway.yaml", text, GatewayConfig);
  } catch (error) {
    assert.ok(error instanceof CodedError && error.code === "GATEWAY_CONFIG");
    return (error.details.faults as ConfigFault[]).map(({ line, key, message }) => ({
      at: `${key}: ${message}`,
      line: text.split("\n")[line - 1]!.trim(),
    }));
  }
  return [];
}

Deno.test("example.yaml is a configuration that is taken as it stands", () => {
  const config = parseConfig("example.yaml", example, GatewayConfig);
  assert.equal(config.routes[0]?.name, "create-batch");
  assert.equal(config.limits.maxHeaders, 64);
});

Deno.test("parseConfig() names line, key path and what is expected", () => {
  const cases: readonly (readonly [from: string | RegExp, to: string, at: RegExp, line: RegExp])[] = [
    ["port: 8443", "port: eight", /^listen\.port: .*expected number/, /^port: eight/],
    ["port: 8443", "port: 70000", /^listen\.port: .*65535/, /^port: 70000/],
    ["port: 8443", "prot: 8443", /^listen\.prot: unknown key$/, /^prot:/],
    [/^routes:$/m, "rotues:", /^rotues: unknown key$/, /^rotues:/],
    [/\n {2}key: tls\/gateway.key.*/, "", /^listen\.key: missing: expected string/, /^(address|listen)/],
    ["address: 127.0.0.1 # admin", "address: 10.0.0.1 # admin", /^admin\.address: .*loopback/, /10\.0\.0\.1/],
    [
      "rateLimit: managers",
      "rateLimit: directors",
      /^routes\[0\]\.rateLimit: expected a name of rateLimits/,
      /directors/,
    ],
    [
      "upstream: attestation",
      "upstream: nowhere",
      /^routes\[0\]\.upstream: expected a name of upstreams/,
      /nowhere/,
    ],
    [
      "urn:recovery-key:batch-manager:*",
      "urn:*:batch-manager:*",
      /^routes\[0\]\.identities\[0\]: expected a URI/,
      /urn:\*/,
    ],
    ["path: /v1/batches", "path: v1/batches", /^routes\[0\]\.path: expected a path/, /v1\/batches/],
    ["methods: [POST]", "methods: [BREW]", /^routes\[0\]\.methods\[0\]: /, /BREW/],
    ["- 203.0.113.0/24", "- 203.0.113.1/24", /^denyNetworks\[0\]: expected a network/, /203/],
    [
      /\n +revocationList: .*/,
      "",
      /^clients\.authorities\[0\]\.revocationList: expected/,
      /certificate: tls\/clients/,
    ],
    [/\n {4}tls:\n(?: {6}.*\n)+/, "\n", /^upstreams\.attestation\.tls: expected tls/, /instances/],
    ["https://10.0.0.11:9443", "ftp://10.0.0.11", /instances\[0\]\.url: expected https/, /ftp/],
    [
      "name: read-batch",
      "name: create-batch",
      /^routes\[1\]\.name: expected a name of its own/,
      /create-batch/,
    ],
  ];
  for (const [from, to, at, line] of cases) {
    const found = faults(from, to);
    assert.ok(
      found.some((fault) => at.test(fault.at) && line.test(fault.line)),
      `${from} -> ${to}: ${at} at ${line} in ${JSON.stringify(found)}`,
    );
  }
});

Deno.test("parseConfig() names every fault at once, and faults of the notation by line", () => {
  assert.equal(faults(/port: \d+/g, "port: x").length, 2);
  assert.match(faults("denyNetworks:", "listen:\n  port: 1\ndenyNetworks:")[0]!.at, /unique/);
  assert.match(faults("denyNetworks:", "denyNetworks: [")[0]!.at, /./);
  for (const text of ["", "[]", "a: &a [*a, *a]\n", "\t", "x"]) {
    assert.throws(
      () => parseConfig("f", text, GatewayConfig),
      { code: "GATEWAY_CONFIG" },
      JSON.stringify(text),
    );
  }
});

Deno.test("parseConfig() does not repeat values: a secret in the wrong place stays where it is", () => {
  assert.ok(
    !JSON.stringify(faults("port: 8443", "port: hunter2-hunter2").map(({ at }) => at)).includes("hunter2"),
  );
});

Deno.test("readConfig() says which file it cannot read", async () => {
  await assert.rejects(readConfig("/nonexistent/gateway.yaml", GatewayConfig), { code: "GATEWAY_FILE" });
});

Deno.test("enrol_example.yaml is a configuration that is taken as it stands, and a grant has to lead somewhere", async () => {
  const text = await Deno.readTextFile(new URL("../enrol_example.yaml", import.meta.url));
  const config = parseConfig("enrol_example.yaml", text, EnrolConfig);
  assert.equal(config.grants.stations?.identity, "urn:recovery-key:station:*");
  const wrong = (from: string, to: string, message: RegExp) =>
    assert.throws(() => parseConfig("x", text.replace(from, to), EnrolConfig), message);
  wrong(
    "authorities: [bootstrap]",
    "authorities: [clients]",
    /grants\.stations\.authorities\[0\]: expected a name of .*bootstrap/,
  );
  wrong(
    '"urn:recovery-key:station:*"',
    '"urn:recovery-key:station:a"',
    /grants\.stations\.identity: expected a \* exactly/,
  );
  wrong('"urn:recovery-key:wallet:*"', '"urn:recovery-key:wallet:a"', /wallets\.identity: expected one \*/);
});
