import assert from "node:assert/strict";
import type { CertificateVerdict } from "shared/protocol/x509/verification.ts";
import type { Trust } from "shared/protocol/x509/trust.ts";
import { Peers } from "./peers.ts";

const chain = [Uint8Array.of(1)];

/** A verifier that counts, and answers until a time. */
function counting(validUntil: number) {
  const calls: Trust[] = [];
  const verifier = (_chain: unknown, trust: Trust): Promise<CertificateVerdict> => {
    calls.push(trust);
    return Promise.resolve({
      kind: "accept",
      identity: `urn:x:${calls.length}`,
      fingerprint: "",
      authority: "",
      validUntil,
    });
  };
  return { calls, verifier };
}

Deno.test("Peers.verify() keeps a verdict until it runs out or the trust changes", async () => {
  let now = 0;
  const { calls, verifier } = counting(100);
  const [first, second]: Trust[] = [{ authorities: [] }, { authorities: [] }];
  const peers = new Peers(first!, { now: () => now, monotonic: () => now }, verifier);
  await peers.verify(chain);
  now = 99;
  await peers.verify(chain);
  assert.equal(calls.length, 1);
  now = 100;
  await peers.verify(chain);
  assert.equal(calls.length, 2, "it had run out");
  now = 50;
  peers.replaceTrust(second!);
  await peers.verify(chain);
  assert.equal(calls.length, 3);
  assert.equal(calls[2], second);
  await peers.verify([Uint8Array.of(2)]);
  assert.equal(calls.length, 4, "another certificate");
  await peers.verify([]);
  await peers.verify([]);
  assert.equal(calls.length, 6, "nothing is kept without a certificate");
});

Deno.test("Peers.verify() decides again when the trust changed while it decided", async () => {
  const trusts: Trust[] = [{ authorities: [] }, { authorities: [] }];
  const seen: Trust[] = [];
  const peers: Peers = new Peers(trusts[0]!, { now: () => 0, monotonic: () => 0 }, (_chain, trust) => {
    seen.push(trust);
    if (seen.length === 1) peers.replaceTrust(trusts[1]!);
    return Promise.resolve({ kind: "refuse", reason: "certificate-revoked", validUntil: 1 });
  });
  await peers.verify(chain);
  assert.deepEqual(seen.map((trust) => trusts.indexOf(trust)), [0, 1]);
});
