import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { HostCertificateRecord } from "../../transport/issuance_store/records.ts";
import {
  FACTORY_HOST_PREFIX,
  type HostCertificateRules,
  mayIssueHostCertificate,
} from "./host_certificate.ts";

const RULES: HostCertificateRules = { enabled: true, serialPrefix: FACTORY_HOST_PREFIX };
const REQUEST = {
  hostSerial: "46000000000001",
  publicKey: toHex(publicKeyOf(generatePrivateKey(SYSTEM_RANDOM))),
};
const ISSUED: HostCertificateRecord = { station: "line-1", publicKey: REQUEST.publicKey, signature: "30" };

function decide(
  change: { rules?: HostCertificateRules; existing?: HostCertificateRecord[]; request?: typeof REQUEST } = {},
): string {
  const decision = mayIssueHostCertificate(
    change.rules ?? RULES,
    change.existing ?? [],
    "line-1",
    change.request ?? REQUEST,
  );
  return decision.kind === "refuse" ? decision.reason : decision.kind;
}

Deno.test("mayIssueHostCertificate() certifies the factory's own serials, for the station that took them first", () => {
  assert.equal(decide(), "accept");
  assert.equal(decide({ existing: [ISSUED] }), "repeat");
  assert.equal(decide({ existing: [{ ...ISSUED, publicKey: "04" }] }), "accept");
  assert.equal(decide({ existing: [{ ...ISSUED, station: "line-2" }] }), "ATTEST_HOST_TAKEN");
});

Deno.test("mayIssueHostCertificate() refuses when switched off, a customer's serial, a key off the curve", () => {
  assert.equal(decide({ rules: { ...RULES, enabled: false } }), "ATTEST_HOST_DISABLED");
  for (const hostSerial of ["47000000000001", "00000000000046", "45FFFFFFFFFFFF"]) {
    assert.equal(decide({ request: { ...REQUEST, hostSerial } }), "ATTEST_HOST_SERIAL");
  }
  assert.equal(decide({ request: { ...REQUEST, publicKey: "04" + "11".repeat(64) } }), "ATTEST_PUBLIC_KEY");
});
