/** What TLS scanners look for, asked with openssl: old versions, weak ciphers, another protocol, renegotiation. */

import assert from "node:assert/strict";
import { startTestGateway } from "tests/environment/gateway.ts";

const test = await startTestGateway();
const pem = `${test.folder}/client.pem`;
await Deno.writeTextFile(pem, test.pki.station.certificatePem + test.pki.station.privateKeyPem);
// One gateway serves the whole file: it outlives each test.
const later = { sanitizeOps: false, sanitizeResources: false };

/** Runs `openssl s_client` and gives what it says, errors included. */
async function openssl(input: string, ...args: string[]): Promise<string> {
  const child = new Deno.Command("openssl", {
    args: ["s_client", "-connect", `127.0.0.1:${test.port}`, "-cert", pem, "-key", pem, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { stdout, stderr } = await child.output();
  return new TextDecoder("latin1").decode(stdout) + new TextDecoder().decode(stderr);
}

const MADE = /^New, TLSv1\.[23], Cipher is [A-Z]/m;

Deno.test("gateway makes handshakes of TLS 1.2 and 1.3 with forward secrecy and AEAD", later, async () => {
  const good = [
    ["-tls1_3"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    ["-alpn", "http/1.1,h2"],
  ];
  for (const args of good) assert.match(await openssl("", ...args), MADE, args.join(" "));
});

Deno.test("gateway makes no handshake of another kind", later, async () => {
  const bad = [
    ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    ["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA"],
    ["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES128-SHA"],
    ["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
  ];
  for (const args of bad) {
    const said = await openssl("", ...args);
    assert.ok(!MADE.test(said), `${args.join(" ")}: ${said}`);
  }
  assert.match(await openssl("", "-alpn", "h2"), /no application protocol/);
});

Deno.test("gateway does not negotiate again", later, async () => {
  // The command R of s_client is read before it meets the end of its input.
  assert.match(await openssl("R\n", "-tls1_2"), /RENEGOTIATING[^]*no renegotiation/);
});

Deno.test("end: the gateway of this file", later, () => test.close());
