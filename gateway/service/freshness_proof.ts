/**
 * The second proof before serving: each authority's freshness rule. A stand-in with the authority's own rule and a key of ours is put
 * through the verifier that serves: its revoked certificate has to be refused while the list is fresh and when it is stale,
 * its good one has to be treated, once the list is stale, too old or missing, as the configuration says. So a rule that was
 * read and then lost on the way, or a verifier that knows no age, is found at start and not on the day the list runs out.
 */

import { CodedError } from "shared/base/errors.ts";
import { DAY_MS, makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import {
  readPemCertificates,
  readTrust,
  type Trust,
  type TrustedAuthority,
} from "shared/protocol/x509/trust.ts";
import "../transport/errors.ts";
import type { Verifier } from "./peers.ts";

/** A stand-in's list is due after this time. */
const LIST_DAYS = 30;
const CANARY_URI = "urn:recovery-key:canary:freshness";

/**
 * Proves the rule of every authority.
 * @param now milliseconds since 1970.
 * @returns What was proven, for the log.
 * @throws {CodedError} `GATEWAY_CANARY` naming each rule that does not hold.
 */
export async function proveFreshness(trust: Trust, verifier: Verifier, now: number): Promise<string[]> {
  const proven: string[] = [];
  const faults: string[] = [];
  for (const authority of trust.authorities) {
    for (const [situation, expected, outcome] of await trial(authority, verifier, now)) {
      const text = `${authority.group ?? authority.name}, ${situation}: ${outcome}`;
      if (outcome === expected) proven.push(text);
      else faults.push(`${text}, but has to be ${expected}`);
    }
  }
  if (faults.length === 0) return proven;
  throw new CodedError("GATEWAY_CANARY", `Cannot serve, freshness is not proven: ${faults.join("; ")}`, {
    faults,
  });
}

async function trial(
  rule: TrustedAuthority,
  verifier: Verifier,
  now: number,
): Promise<(readonly [situation: string, expected: string, outcome: string])[]> {
  const standIn = await makeAuthority(rule.name, { now });
  const made = { now, commonName: "canary", uris: [CANARY_URI] };
  const [good, revoked] = [await issue(standIn, made), await issue(standIn, made)];
  const trustWith = (pem: string | undefined) =>
    readTrust([{
      certificates: { name: "stand-in", pem: standIn.certificatePem },
      whenStale: rule.whenStale,
      ...(rule.maxAgeMs === undefined ? {} : { maxAgeMs: rule.maxAgeMs }),
      ...(pem === undefined ? {} : { revocationList: { name: "stand-in list", pem } }),
    }]);
  const listed = await trustWith(
    await makeCrl(standIn, { now, nextUpdate: now + LIST_DAYS * DAY_MS, revoked: [revoked.serialNumber] }),
  );
  const bare = await trustWith(undefined);
  const due = now + Math.min(LIST_DAYS * DAY_MS, rule.maxAgeMs ?? Infinity);
  const ask = async (issued: typeof good, with_: Trust, at: number) => {
    const verdict = await verifier(readPemCertificates("canary", issued.certificatePem), with_, {
      usage: "client",
      now: at,
    });
    return verdict.kind === "accept" ? "accepted" : verdict.reason;
  };
  const open = rule.whenStale === "accept";
  return [
    ["fresh list, good", "accepted", await ask(good, listed, now)],
    ["fresh list, revoked", "certificate-revoked", await ask(revoked, listed, now)],
    ["stale list, good", open ? "accepted" : "revocation-stale", await ask(good, listed, due + 1)],
    ["stale list, revoked", "certificate-revoked", await ask(revoked, listed, due + 1)],
    ["no list, good", open ? "accepted" : "revocation-missing", await ask(good, bare, now)],
  ];
}
