import assert from "node:assert/strict";
import { toUtf8 } from "../../base/bytes.ts";
import { SYSTEM_RANDOM } from "../../transport/random.ts";
import {
  contentDigest,
  freshNonce,
  type ReceivedRequest,
  SIGNATURE_AGE_SECONDS,
  type SignatureVerdict,
  signRequest,
  verifyRequest,
} from "./http_signature.ts";

const NOW = 1_800_000_000;
const BODY = toUtf8('{"batch":"b-1"}');

async function keyPair(): Promise<{ privateKey: JsonWebKey; publicKey: JsonWebKey }> {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  return {
    privateKey: await crypto.subtle.exportKey("jwk", pair.privateKey),
    publicKey: await crypto.subtle.exportKey("jwk", pair.publicKey),
  };
}

const KEYS = await keyPair();

async function signed(change: Partial<Parameters<typeof signRequest>[0]> = {}): Promise<ReceivedRequest> {
  const options = {
    method: "POST",
    path: "/v1/reservations",
    body: BODY,
    keyId: "station-a",
    privateKey: KEYS.privateKey,
    nonce: "AAAAAAAAAAAAAAAAAAAAAA",
    created: NOW,
    ...change,
  };
  return {
    method: options.method,
    path: options.path,
    body: options.body,
    headers: await signRequest(options),
  };
}

function verify(request: ReceivedRequest, now = NOW): Promise<SignatureVerdict> {
  return verifyRequest(request, {
    now,
    findKey: (keyId) => keyId === "station-a" ? KEYS.publicKey : undefined,
  });
}

function refused(verdict: SignatureVerdict): string {
  return verdict.kind === "refuse" ? verdict.reason : "accepted";
}

Deno.test("signRequest() makes the headers of RFC 9421 and verifyRequest() accepts them", async () => {
  const request = await signed();
  assert.match(
    request.headers["signature-input"] ?? "",
    /^sig=\("@method" "@path" "content-digest" "content-type"\);created=1800000000;keyid="station-a";nonce="A{22}";alg="ed25519";tag="recovery-key"$/,
  );
  assert.equal(request.headers["content-digest"], contentDigest(BODY));
  assert.deepEqual(await verify(request), {
    kind: "accept",
    keyId: "station-a",
    nonce: "AAAAAAAAAAAAAAAAAAAAAA",
    created: NOW,
    expiresAt: NOW + SIGNATURE_AGE_SECONDS + 1,
  });
});

Deno.test("verifyRequest() checks the signature base of RFC 9421, built here by hand", async () => {
  const request = await signed();
  const parameters = (request.headers["signature-input"] ?? "").slice("sig=".length);
  const base = [
    '"@method": POST',
    '"@path": /v1/reservations',
    `"content-digest": ${contentDigest(BODY)}`,
    '"content-type": application/json',
    `"@signature-params": ${parameters}`,
  ].join("\n");
  const key = await crypto.subtle.importKey("jwk", KEYS.publicKey, "Ed25519", false, ["verify"]);
  const value = (request.headers["signature"] ?? "").replace(/^sig=:|:$/g, "");
  assert.ok(
    await crypto.subtle.verify("Ed25519", key, Uint8Array.fromBase64(value), Uint8Array.from(toUtf8(base))),
  );
});

Deno.test("verifyRequest() refuses every change of a covered component", async () => {
  const request = await signed();
  assert.equal(refused(await verify({ ...request, method: "PUT" })), "signature");
  assert.equal(refused(await verify({ ...request, path: "/v1/closures" })), "signature");
  assert.equal(refused(await verify({ ...request, body: toUtf8('{"batch":"b-2"}') })), "digest");
  const otherType = { ...request.headers, "content-type": "text/plain" };
  assert.equal(refused(await verify({ ...request, headers: otherType })), "signature");
  const noType = { ...request.headers, "content-type": undefined };
  assert.equal(refused(await verify({ ...request, headers: noType })), "signature");
  const body = toUtf8('{"batch":"b-2"}');
  const bothChanged = {
    ...request,
    body,
    headers: { ...request.headers, "content-digest": contentDigest(body) },
  };
  assert.equal(refused(await verify(bothChanged)), "signature");
});

Deno.test("verifyRequest() refuses every change of a signature parameter", async () => {
  const request = await signed();
  const input = request.headers["signature-input"] ?? "";
  const cases: [string, string, string][] = [
    ["created=1800000000", "created=1800000001", "signature"],
    ["created=1800000000", "created=1799999699", "too-old"],
    ["created=1800000000", "created=1800000301", "in-future"],
    ["created=1800000000", 'created="1800000000"', "parameters"],
    ['keyid="station-a"', 'keyid="station-b"', "unknown-key"],
    [';keyid="station-a"', "", "parameters"],
    ["AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "signature"],
    ["AAAAAAAAAAAAAAAAAAAAAA", "short", "parameters"],
    [';nonce="AAAAAAAAAAAAAAAAAAAAAA"', "", "parameters"],
    ['alg="ed25519"', 'alg="hmac-sha256"', "parameters"],
    ['tag="recovery-key"', 'tag="other"', "parameters"],
    ['tag="recovery-key"', 'tag="recovery-key";expires=1900000000', "parameters"],
    [' "content-type"', "", "components"],
    ['"@path"', '"@authority"', "components"],
    ['"@path"', '"@path";req', "components"],
    ['"content-type"', '"content-type" "content-type"', "components"],
    ['("@method" "@path"', '("@path" "@method"', "signature"],
    ["sig=(", "sig=((", "malformed"],
    ["sig=", "other=", "malformed"],
    ["sig=(", 'two=("@method"), sig=(', "malformed"],
  ];
  for (const [from, to, reason] of cases) {
    assert.ok(input.includes(from), from);
    const headers = { ...request.headers, "signature-input": input.replace(from, to) };
    assert.equal(refused(await verify({ ...request, headers })), reason, `${from} -> ${to}`);
  }
});

Deno.test("verifyRequest() refuses headers that are missing, malformed or too long", async () => {
  const request = await signed();
  for (const name of ["signature", "signature-input", "content-digest"]) {
    assert.equal(
      refused(await verify({ ...request, headers: { ...request.headers, [name]: undefined } })),
      "missing",
    );
    const long = { ...request.headers, [name]: (request.headers[name] ?? "") + " ".repeat(1024) };
    assert.equal(refused(await verify({ ...request, headers: long })), "malformed");
  }
  const md5 = { ...request.headers, "content-digest": "md5=:AAAA:" };
  assert.equal(refused(await verify({ ...request, headers: md5 })), "malformed");
  const short = { ...request.headers, "signature": "sig=:AAAA:" };
  assert.equal(refused(await verify({ ...request, headers: short })), "malformed");
});

Deno.test("verifyRequest() refuses a flip in any byte of the signature, and another sender's key", async () => {
  const request = await signed();
  const value = Uint8Array.fromBase64((request.headers["signature"] ?? "").replace(/^sig=:|:$/g, ""));
  for (let i = 0; i < value.length; i++) {
    const flipped = value.slice();
    flipped[i]! ^= 1;
    const headers = { ...request.headers, signature: `sig=:${flipped.toBase64()}:` };
    assert.equal(refused(await verify({ ...request, headers })), "signature", `byte ${i}`);
  }
  const other = await keyPair();
  assert.equal(refused(await verify(await signed({ privateKey: other.privateKey }))), "signature");
});

Deno.test("verifyRequest() accepts exactly the age that SIGNATURE_AGE_SECONDS allows", async () => {
  const request = await signed();
  assert.equal(refused(await verify(request, NOW + SIGNATURE_AGE_SECONDS)), "accepted");
  assert.equal(refused(await verify(request, NOW + SIGNATURE_AGE_SECONDS + 1)), "too-old");
  assert.equal(refused(await verify(request, NOW - SIGNATURE_AGE_SECONDS)), "accepted");
  assert.equal(refused(await verify(request, NOW - SIGNATURE_AGE_SECONDS - 1)), "in-future");
});

Deno.test("freshNonce() gives nonces that verifyRequest() takes", async () => {
  const nonce = freshNonce(SYSTEM_RANDOM);
  const verdict = await verify(await signed({ nonce }));
  assert.equal(verdict.kind === "accept" && verdict.nonce, nonce);
  assert.notEqual(freshNonce(SYSTEM_RANDOM), nonce);
});
