import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { parseAttestationConfig } from "./attestation_config.ts";

const EXAMPLE = Deno.readTextFileSync(new URL("./attestation_example.yaml", import.meta.url));

/** Message of the error that a text gives. */
function fault(text: string): string {
  try {
    parseAttestationConfig("/etc/attestation.yaml", text);
  } catch (error) {
    assert.ok(error instanceof CodedError && error.code === "ATTEST_CONFIG");
    return error.message;
  }
  return "accepted";
}

/** Line of the first line of the example that has this text. */
const lineOf = (text: string) => EXAMPLE.split("\n").findIndex((line) => line.includes(text)) + 1;

Deno.test("parseAttestationConfig() takes the example, with paths beside the file", () => {
  const config = parseAttestationConfig("/etc/factory/attestation.yaml", EXAMPLE);
  assert.equal(config.tls.certificate, "/etc/factory/server.crt");
  assert.equal(config.tls.gateways.authority, "/etc/pki/internal.crt");
  assert.equal(config.hsm.kind === "pkcs11" && config.hsm.library, "/usr/lib/softhsm/libsofthsm2.so");
  assert.equal(config.senders.length, 2);
  assert.equal(config.hostCertificates.enabled, false);
  assert.equal(config.tls.senders.whenStale, "refuse");
});

Deno.test("parseAttestationConfig() names file, line and field of each fault", () => {
  const cases: [string, string, string, string][] = [
    ["listen: 127.0.0.1:8451", "listen: nowhere", "listen", "listen:"],
    ["admin: 127.0.0.1:8551", "admin: 0.0.0.0:8551", "admin", "admin:"],
    ["    whenStale: refuse", "    whenStale: sometimes", "tls.gateways.whenStale", "whenStale: refuse"],
    ["  connections: 8", "  connections: 0", "database.connections", "connections: 8"],
    ["  connections: 8", "  konnections: 8", "database.konnections", "connections: 8"],
    ["    role: batch-manager", "    role: king", "senders[1].role", "role: batch-manager"],
    ["  - name: office", "  - name: line-1", "senders[1].name", "name: office"],
    ['  first: "00000001"', '  first: "FFFFFFFF"', "serials.last", "last:"],
    ['  first: "00000001"', "  first: 1", "serials.first", "first:"],
    ["  kind: pkcs11", "  kind: cloud", "hsm.kind", "kind: pkcs11"],
  ];
  for (const [from, to, path, at] of cases) {
    assert.ok(EXAMPLE.includes(from), from);
    const message = fault(EXAMPLE.replace(from, to));
    const [file, line, , key] = message.split("\n")[1]!.split(":");
    assert.deepEqual([file, line, key?.trim()], ["/etc/attestation.yaml", `${lineOf(at)}`, path], message);
  }
});

Deno.test("parseAttestationConfig() refuses YAML that is broken, doubled, empty, and a private key", () => {
  assert.match(fault("listen: [1"), /^Cannot use the configuration:\n\/etc\/attestation\.yaml:1:11: /);
  assert.match(
    fault(EXAMPLE + "\nlisten: 127.0.0.1:1\n"),
    /attestation\.yaml:\d+:\d+: Map keys must be unique/,
  );
  assert.match(fault(""), /attestation\.yaml:1:1: expected object/);
  const leaked = EXAMPLE.replace('x: "e2PC9', 'd: "secret", x: "e2PC9');
  assert.match(fault(leaked), /senders\[1\]\.signingKey\.d: /);
  assert.equal(fault(leaked).includes("secret"), false);
  const doubled = EXAMPLE.replace(
    "e2PC9NNd_Kmo9-MDJ2gYEb5vRgRhUZ5JUaU8mUZU1rs",
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
  );
  assert.match(fault(doubled), /senders\[1\]\.signingKey: another sender has this key/);
});

Deno.test("parseAttestationConfig() takes a sender's key before, which is nobody else's", () => {
  const line = '    signingKey: { kty: OKP, crv: Ed25519, x: "e2PC9';
  const previous = (x: string) =>
    EXAMPLE.replace(line, `    previousSigningKey: { kty: OKP, crv: Ed25519, x: "${x}" }\n${line}`);
  const config = parseAttestationConfig("/etc/attestation.yaml", previous("A".repeat(43)));
  assert.equal(config.senders[1]?.previousSigningKey?.x, "A".repeat(43));
  assert.match(
    fault(previous("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
    /senders\[1\]\.previousSigningKey: another sender has this key/,
  );
});
