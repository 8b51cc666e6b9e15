import assert from "node:assert/strict";
import { CodedError } from "../../base/errors.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "../../crypto/secp256k1.ts";
import { SYSTEM_RANDOM } from "../../transport/random.ts";
import {
  finishRevocationList,
  mayUseList,
  readRevocationList,
  type RevocationList,
  revocationListMessage,
} from "./revocation_list.ts";

const key = generatePrivateKey(SYSTEM_RANDOM);
const issuer = publicKeyOf(key);
const LIST: RevocationList = {
  number: 7,
  thisUpdate: 1000,
  nextUpdate: 2000,
  revoked: [{ certificateSha256: "AB".repeat(32), serial: "0000002A", reason: "scrapped" }],
};

function signed(list: RevocationList, signer = key): string {
  const message = revocationListMessage(list, publicKeyOf(signer));
  return finishRevocationList(message, ecdsaSign(signer, message));
}

function codeOf(text: string, by = issuer): string {
  try {
    readRevocationList(text, by);
  } catch (error) {
    assert.ok(error instanceof CodedError);
    return error.code;
  }
  return "accepted";
}

Deno.test("readRevocationList() reads what the issuer signed", () => {
  assert.deepEqual(readRevocationList(signed(LIST), issuer), LIST);
  assert.deepEqual(readRevocationList(signed({ ...LIST, revoked: [] }) + "\n", issuer).revoked, []);
});

Deno.test("readRevocationList() refuses another signer, a changed part, another algorithm and no JWS", () => {
  const other = generatePrivateKey(SYSTEM_RANDOM);
  assert.equal(codeOf(signed(LIST, other)), "REVOCATION_LIST_SIGNATURE");
  const [header, payload, signature] = signed(LIST).split(".");
  const [otherHeader, otherPayload] = signed({ ...LIST, number: 8 }).split(".");
  assert.equal(codeOf(`${otherHeader}.${otherPayload}.${signature}`), "REVOCATION_LIST_SIGNATURE");
  assert.equal(codeOf(`${header}.${payload}.${"A".repeat(86)}`), "REVOCATION_LIST_SIGNATURE");
  assert.equal(codeOf(`${header}.${payload}.`), "REVOCATION_LIST_SIGNATURE");
  const none = new TextEncoder().encode('{"alg":"none"}').toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });
  assert.equal(codeOf(`${none}.${payload}.`), "REVOCATION_LIST_MALFORMED");
  for (const text of ["", "a.b", "....", "%.%.%", `${header}.${payload}`]) {
    assert.equal(codeOf(text), "REVOCATION_LIST_MALFORMED", text);
  }
});

Deno.test("revocationListMessage() begins as no certificate and no signed message of the protocol does", () => {
  assert.equal(new TextDecoder().decode(revocationListMessage(LIST, issuer).subarray(0, 3)), "eyJ");
});

Deno.test("mayUseList() every time x number: fresh, not of the future, never older than one that was used", () => {
  const outcome = (now: number, newest: number) => {
    const decision = mayUseList(LIST, now, newest);
    return decision.kind === "accept" ? "accept" : decision.code.slice("REVOCATION_LIST_".length);
  };
  const times = [699, 700, 1000, 1999, 2000];
  assert.deepEqual(times.map((now) => outcome(now, 0)), ["FUTURE", "accept", "accept", "accept", "STALE"]);
  assert.deepEqual(times.map((now) => outcome(now, 7)), ["FUTURE", "accept", "accept", "accept", "STALE"]);
  assert.deepEqual(times.map((now) => outcome(now, 8)), Array(5).fill("ROLLED_BACK"));
});
