/** Enrolment, driven by openssl and curl over real TLS. */

import assert from "node:assert/strict";
import { DAY_MS, makeAuthority } from "shared/protocol/x509/authority.ts";
import { toHex } from "shared/base/bytes.ts";
import type { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { encodeHostCertificate } from "shared/protocol/recovery_key/host_certificate.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { deviceProofMessage, encodeDeviceProof, sha256 } from "../protocol/device_proof.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { startTestEnrolment, type TestEnrolment } from "tests/environment/enrolment.ts";

const STATION = "urn:recovery-key:station:line-1";
const SAN = (uri: string) => ["-subj", "/", "-addext", `subjectAltName=URI:${uri}`];
const PLAIN = ["-subj", "/CN=line-1"];
const code = (seen: { body: string }) => (JSON.parse(seen.body) as { code: string }).code;
const reason = (test: TestEnrolment) =>
  test.lines.findLast((line) => line.event === "enrolment-request")?.reason;

for (const kind of ["pglite and software HSM", "PostgreSQL and SoftHSM"] as const) {
  Deno.test(`a station enrols, renews and is revoked, with ${kind}`, async () => {
    await using test = await startTestEnrolment(kind);
    await test.bootstrapFor("boot", "urn:recovery-key:bootstrap:station:line-1");

    const authority = await test.send("boot", "cacerts");
    assert.equal(authority.status, 200);
    assert.match(authority.headers, /content-type: application\/pkcs7-mime; smime-type=certs-only/);
    assert.ok(!authority.body.includes("\r"), "base64 -d stumbles over it");
    assert.match(await test.accept("cacerts", authority.body), /CA:TRUE/);
    const attributes = await test.send("boot", "csrattrs");
    assert.equal(attributes.status, 200);
    await Deno.writeFile(`${test.folder}/attributes`, Uint8Array.fromBase64(attributes.body));
    const parsed = await test.openssl("asn1parse", "-inform", "DER", "-in", "attributes");
    assert.match(parsed.output, /prime256v1[\s\S]*ecdsa-with-SHA256/);

    const body = await test.request("station", SAN(STATION));
    const first = await test.post("boot", "simpleenroll", body);
    assert.equal(first.status, 200, first.body);
    const text = await test.accept("station", first.body);
    assert.match(text, /URI:urn:recovery-key:station:line-1/);
    assert.match(
      text,
      /CA:FALSE[\s\S]*TLS Web Client Authentication|TLS Web Client Authentication[\s\S]*CA:FALSE/,
    );
    const verified = await test.openssl(
      "verify",
      "-CAfile",
      "issued.crt",
      "-purpose",
      "sslclient",
      "station.crt",
    );
    assert.equal(verified.code, 0, verified.output);
    const again = await test.post("boot", "simpleenroll", body);
    assert.equal(again.body, first.body, "a lost answer is had once more by the same request");
    const other = await test.post("boot", "simpleenroll", await test.request("other", SAN(STATION)));
    assert.equal(other.status, 409);
    assert.equal(reason(test), "bootstrap-used");

    if (test.databaseOutage !== undefined) {
      await test.databaseOutage.begin();
      const refused = await test.post("boot", "simpleenroll", body);
      assert.equal(refused.status, 503, "what cannot be recorded is not sent");
      assert.equal(code(refused), "EST_UNAVAILABLE");
      assert.match(refused.headers, /retry-after: 5/);
      assert.equal(reason(test), "store-unavailable");
      await test.databaseOutage.end();
      assert.equal((await test.post("boot", "simpleenroll", body)).body, first.body);
    }

    // Renewal: the same subject and names, another key.
    const renewal = await test.request("station2", [
      "-subj",
      "/CN=line-1",
      "-addext",
      `subjectAltName=URI:${STATION}`,
    ]);
    const renewed = await test.post("station", "simplereenroll", renewal);
    assert.equal(renewed.status, 200, renewed.body);
    await test.accept("station2", renewed.body);
    const changed = await test.request("station3", [
      "-subj",
      "/CN=line-2",
      "-addext",
      `subjectAltName=URI:${STATION}`,
    ]);
    assert.equal((await test.post("station2", "simplereenroll", changed)).status, 400);
    assert.equal(reason(test), "names-changed");
    assert.equal((await test.post("boot", "simplereenroll", renewal)).status, 403);
    assert.equal(reason(test), "certificate-not-issued-here");
    assert.equal(
      (await test.post("station2", "simpleenroll", changed)).status,
      403,
      "an issued one is no bootstrap",
    );

    const { main } = await import("./enrol_main.ts");
    const serial = /^serial=(\w+)/m.exec(
      (await test.openssl("x509", "-in", "station2.crt", "-noout", "-serial")).output,
    )![1]!;
    assert.ok(serial.length >= 32, "16 random bytes at least");
    assert.equal(
      await main(["revoke", "--config", test.configPath, "--serial", serial, "--reason", "test"]),
      0,
    );
    assert.equal(
      await main(["revoke", "--config", test.configPath, "--serial", serial]),
      2,
      "nothing is left to revoke",
    );
    await test.process.refresh();
    assert.equal((await test.send("station2", "cacerts")).status, 0, "it does not even connect");
    assert.equal((await test.send("station", "cacerts")).status, 200, "its predecessor was not named");
    await Deno.writeFile(`${test.folder}/issued.crl`, await (await fetch(test.listUrl)).bytes());
    const list = await test.openssl(
      "crl",
      "-inform",
      "DER",
      "-in",
      "issued.crl",
      "-noout",
      "-text",
      "-CAfile",
      "issued.crt",
    );
    assert.match(list.output, /verify OK/);
    assert.ok(list.output.includes(serial.toUpperCase()));
    assert.match(list.output, /X509v3 CRL Number:\s+2/);
    const database = openDatabase({ url: test.databaseUrl, applicationName: "test" });
    try {
      await assert.rejects(
        database.sql`delete from enrolment_certificates`,
        "what was issued stays recorded",
      );
    } finally {
      await database.close();
    }
  });
}

Deno.test("enrolment refuses each bad request for its own reason, and says little", async () => {
  await using test = await startTestEnrolment(
    "pglite and software HSM",
    (config) => config.rateLimit = { quota: 1_000 },
  );
  await test.bootstrapFor("boot", "urn:recovery-key:bootstrap:station:line-1");
  const good = await test.request("a", PLAIN);
  const der = Uint8Array.fromBase64(good.replace(/\s/g, ""));
  const forged = der.slice();
  forged[forged.length - 5]! ^= 1;
  const rsa = await test.request("rsa", PLAIN, ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
  const k1 = await test.request("k1", PLAIN, ["ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"]);
  const with_ = (...extra: string[]) => test.request("a", [...extra], []);
  const cases: [body: string, status: number, code: string, reason: string][] = [
    ["%%%", 400, "EST_REQUEST", "request-malformed"],
    ["", 400, "EST_REQUEST", "request-malformed"],
    ["aGVsbG8=", 400, "EST_REQUEST", "request-malformed"],
    [der.slice(0, 90).toBase64(), 400, "EST_REQUEST", "request-malformed"],
    [forged.toBase64(), 400, "EST_REQUEST", "request-proof"],
    [rsa, 400, "EST_REQUEST", "request-key"],
    [k1, 400, "EST_REQUEST", "request-key"],
    ["A".repeat(12_000), 413, "EST_TOO_LARGE", "request-too-large"],
    ["A".repeat(200_000), 413, "EST_TOO_LARGE", "request-too-large"],
    [await with_("-subj", "/CN=line-1/O=More"), 400, "EST_NAMES", "names-not-granted"],
    [await with_("-subj", "/CN=admin"), 400, "EST_NAMES", "names-not-granted"],
    [await with_(...SAN("urn:recovery-key:station:line-2")), 400, "EST_NAMES", "names-not-granted"],
    [await with_(...SAN(`${STATION},DNS:evil.example`)), 400, "EST_NAMES", "names-not-granted"],
    [
      await with_("-subj", "/", "-addext", "basicConstraints=critical,CA:TRUE"),
      400,
      "EST_REQUEST",
      "request-extension",
    ],
    [
      await with_("-subj", "/", "-addext", "nameConstraints=permitted;DNS:x"),
      400,
      "EST_REQUEST",
      "request-extension",
    ],
  ];
  for (const [body, status, expected, why] of cases) {
    const seen = await test.post("boot", "simpleenroll", body);
    assert.equal(seen.status, status, `${why}: ${seen.body}`);
    assert.equal(code(seen), expected, why);
    assert.equal(reason(test), why);
    assert.ok(!seen.body.includes(why), "the reason is the operator's");
  }
  const plainText = ["--header", "Content-Type: text/plain", "--data-binary", "@request.b64"];
  assert.equal(code(await test.send("boot", "simpleenroll", plainText)), "EST_MEDIA");
  assert.equal((await test.send("boot", "simpleenroll")).status, 405);
  assert.equal((await test.send("boot", "serverkeygen")).status, 404);
  assert.equal((await test.send("boot", "cacerts?x=1")).status, 404);

  await test.bootstrapFor("stranger", "urn:recovery-key:bootstrap:other:line-1");
  assert.equal((await test.post("stranger", "simpleenroll", good)).status, 403);
  await test.bootstrapFor("expired", "urn:recovery-key:bootstrap:station:line-1", {
    notBefore: Date.now() - 2 * DAY_MS,
    notAfter: Date.now() - DAY_MS,
  });
  assert.equal((await test.post("expired", "simpleenroll", good)).status, 0);
  await test.bootstrapFor(
    "rogue",
    "urn:recovery-key:bootstrap:station:line-1",
    {},
    await makeAuthority("test bootstrap", { now: Date.now() }),
  );
  assert.equal((await test.post("rogue", "simpleenroll", good)).status, 0);
  assert.equal((await test.send(null, "cacerts")).status, 0, "a certificate is required for all of it");

  assert.equal(
    (await test.post("boot", "simpleenroll", good)).status,
    200,
    "after all that the honest one is served",
  );
  await test.bootstrapFor("second", "urn:recovery-key:bootstrap:station:line-1");
  assert.equal(code(await test.post("second", "simpleenroll", good)), "EST_USED");
  assert.equal(reason(test), "request-replayed");
  const sameKey = await with_(...SAN(STATION));
  assert.equal(code(await test.post("second", "simpleenroll", sameKey)), "EST_USED");
  assert.equal(reason(test), "key-used");
});

Deno.test("a wallet enrols by its device certificate, each challenge once", async () => {
  const issuer = generatePrivateKey(SYSTEM_RANDOM);
  const device = generatePrivateKey(SYSTEM_RANDOM);
  const serial = Uint8Array.of(1, 2, 3, 4, 5, 6, 7);
  const certificate = (signer: Secret) =>
    encodeHostCertificate({
      serial,
      publicKey: publicKeyOf(device),
      signature: ecdsaSign(signer, hostStaticMessage(serial, publicKeyOf(device))),
    });
  await using test = await startTestEnrolment("pglite and software HSM", (config) =>
    config.wallets = {
      authorities: ["bootstrap"],
      bootstrap: "urn:recovery-key:bootstrap:wallets",
      identity: "urn:recovery-key:wallet:*",
      deviceIssuer: toHex(publicKeyOf(issuer)),
    });
  await test.bootstrapFor("channel", "urn:recovery-key:bootstrap:wallets");
  await test.bootstrapFor("neighbour", "urn:recovery-key:bootstrap:wallets");
  const identity = "urn:recovery-key:wallet:01020304050607";
  const body = await test.request("wallet", SAN(identity));
  const digest = sha256(Uint8Array.fromBase64(body.replace(/\s/g, "")));
  const challenge = async (as: string) => {
    const seen = await test.send(as, "wallet/challenge", ["--request", "POST"]);
    assert.equal(seen.status, 200, seen.body);
    const { challenge } = JSON.parse(seen.body) as { challenge: string };
    return Uint8Array.fromBase64(challenge, { alphabet: "base64url" });
  };
  const proof = (
    challenge: Uint8Array,
    more: { key?: Secret; certificate?: Uint8Array; digest?: Uint8Array } = {},
  ) => [
    "--header",
    `Device-Proof: ${
      encodeDeviceProof({
        challenge,
        certificate: more.certificate ?? certificate(issuer),
        signature: ecdsaSign(more.key ?? device, deviceProofMessage(challenge, more.digest ?? digest)),
      })
    }`,
  ];
  const enrol = (as: string, header: string[]) => test.post(as, "wallet/simpleenroll", body, header);

  assert.equal((await enrol("channel", [])).status, 403);
  assert.equal(reason(test), "device-proof-missing");
  const wrong: [string, string[]][] = [
    ["device-proof-wrong", proof(await challenge("channel"), { key: issuer })],
    ["device-proof-wrong", proof(await challenge("channel"), { certificate: certificate(device) })],
    ["device-proof-wrong", proof(await challenge("channel"), { digest: new Uint8Array(32) })],
    ["challenge-unknown", proof(new Uint8Array(32))],
    ["challenge-unknown", proof(await challenge("neighbour"))],
  ];
  for (const [why, header] of wrong) {
    assert.ok((await enrol("channel", header)).status >= 400);
    assert.equal(reason(test), why);
  }
  const once = proof(await challenge("channel"));
  const seen = await enrol("channel", once);
  assert.equal(seen.status, 200, seen.body);
  assert.match(await test.accept("wallet", seen.body), /URI:urn:recovery-key:wallet:01020304050607/);
  assert.equal((await enrol("channel", once)).status, 409, "the challenge is used up");
  const again = await enrol("channel", proof(await challenge("channel")));
  assert.equal(again.body, seen.body, "the same request again, newly proven, gets the same certificate");
  assert.equal((await test.send("wallet", "cacerts")).status, 200);
  assert.equal(
    (await test.send("wallet", "wallet/challenge", ["--request", "POST"])).status,
    403,
    "it renews instead",
  );
});
