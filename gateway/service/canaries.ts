/**
 * The proof before serving: canary connections to the gateway's own listener. Each kind has to be refused for its own
 * reason and to get no HTTP answer, and a valid one has to be accepted; else the gateway does not serve. A check
 * that would refuse everybody, or accept everybody, or refuse for the wrong reason, is found here and not by an attacker.
 */

import { CodedError } from "shared/base/errors.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { readPemCertificates, type Trust } from "shared/protocol/x509/trust.ts";
import { certificateFingerprint } from "shared/protocol/x509/verification.ts";
import { connectCanary, type KeyPair, resumeCanary, type Target } from "../transport/canary_client.ts";

/** What the gateway decided on one connection. */
export interface PeerDecision {
  /** `accepted`, or a refusal's reason. */
  readonly outcome: string;
  readonly fingerprint: string | undefined;
  readonly resumed: boolean;
  /** The client's port. */
  readonly port: number;
}

/** A decision that is waited for longer than this was not made. */
const DECISION_WAIT_MS = 5_000;

/** The record of decisions while the proof runs. */
export class DecisionRecord {
  #decisions: PeerDecision[] = [];
  #waiting = new Set<() => void>();

  /** Records a decision. */
  add(decision: PeerDecision): void {
    this.#decisions.push(decision);
    for (const look of [...this.#waiting]) look();
  }

  /** The latest decision that fits; undefined when there is none in time. */
  find(fits: (decision: PeerDecision) => boolean): Promise<PeerDecision | undefined> {
    return new Promise((resolve) => {
      const done = (decision: PeerDecision | undefined) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(decision);
      };
      const look = () => {
        const decision = this.#decisions.findLast(fits);
        if (decision !== undefined) done(decision);
      };
      const timer = setTimeout(() => done(undefined), DECISION_WAIT_MS);
      this.#waiting.add(look);
      look();
    });
  }
}

/** Canary certificates that the real authority signed. */
export interface CanaryFiles {
  readonly valid: KeyPair;
  readonly expired: KeyPair;
  readonly revoked: KeyPair;
}

/** Everything that the proof needs. */
export interface ProofOptions {
  readonly target: Target;
  readonly versions: readonly ("TLSv1.2" | "TLSv1.3")[];
  readonly canaries: CanaryFiles;
  /** The gateway's own server certificate, for the second server. */
  readonly server: KeyPair;
  /** Address that the second server borrows. */
  readonly foreign: { readonly host: string; readonly port: number };
  readonly trust: Trust;
  readonly record: DecisionRecord;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** HTTP status that the valid canary gets while the proof runs. */
export const CANARY_STATUS = 204;

/** Fingerprint of a canary's certificate. */
export function canaryFingerprint(keys: KeyPair): string {
  return certificateFingerprint(readPemCertificates("canary", keys.certificate)[0]!);
}

/** Kind of canary -> what has to be decided on it. */
export const CANARY_EXPECTATIONS = {
  valid: "accepted",
  none: "certificate-missing",
  rogue: "authority-unknown",
  expired: "certificate-expired",
  revoked: "certificate-revoked",
  resumed: "authority-unknown",
} as const;

/** Kind of canary. */
export type CanaryKind = keyof typeof CANARY_EXPECTATIONS;

/**
 * Sends every canary, on every TLS version.
 * @returns What was proven, for the log.
 * @throws {CodedError} `GATEWAY_CANARY` naming each canary that was not decided as it has to be.
 */
export async function proveRefusals(options: ProofOptions): Promise<string[]> {
  const makeRogue = async (): Promise<{ keys: KeyPair; authority: string }> => {
    const name = options.trust.authorities[0]?.name ?? "rogue";
    const authority = await makeAuthority(name, { now: options.now });
    const uris = ["urn:recovery-key:canary:valid"];
    const made = await issue(authority, { now: options.now, commonName: "canary rogue", uris });
    return {
      keys: { certificate: made.certificatePem, key: made.privateKeyPem },
      authority: authority.certificatePem,
    };
  };
  const faults: string[] = [];
  const proven: string[] = [];
  const judge = (
    kind: CanaryKind,
    version: string,
    status: number | undefined,
    decision: PeerDecision | undefined,
  ) => {
    const expected = CANARY_EXPECTATIONS[kind];
    const outcome = decision?.outcome ?? "not seen at all";
    const wantedStatus = kind === "valid" ? CANARY_STATUS : undefined;
    if (outcome === expected && status === wantedStatus) return proven.push(`${kind} ${version}: ${outcome}`);
    const answer = status === undefined ? "no HTTP answer" : `HTTP ${status}`;
    faults.push(`${kind} (${version}) has to be ${expected}, but was ${outcome} with ${answer}`);
  };
  const keysOf: Record<Exclude<CanaryKind, "resumed">, KeyPair | undefined> = {
    ...options.canaries,
    none: undefined,
    rogue: (await makeRogue()).keys,
  };
  for (const version of options.versions) {
    for (
      const [kind, keys] of Object.entries(keysOf) as [Exclude<CanaryKind, "resumed">, KeyPair | undefined][]
    ) {
      const sight = await connectCanary(options.target, keys, version);
      // Without a port it never got as far as a connection: nothing to wait for.
      const decision = sight.localPort === undefined
        ? undefined
        : await options.record.find((d) => d.port === sight.localPort && !d.resumed);
      judge(kind, version, sight.status, decision);
    }
  }
  const other = await makeRogue();
  const sight = await resumeCanary(
    options.target,
    other.keys,
    options.server,
    other.authority,
    options.foreign,
  );
  const fingerprint = canaryFingerprint(other.keys);
  const decision = await options.record.find((d) => d.fingerprint === fingerprint);
  // A runtime that has closed the hole makes a full handshake of it: refused all the same, and said.
  judge("resumed", decision?.resumed ? "TLSv1.3 session" : "TLSv1.3 handshake", sight.status, decision);
  if (faults.length > 0) {
    throw new CodedError(
      "GATEWAY_CANARY",
      `Cannot serve, the refusals are not proven: ${faults.join("; ")}`,
      {
        faults,
      },
    );
  }
  return proven;
}
