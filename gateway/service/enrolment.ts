/** Enrolment: from an authenticated client and a request to a recorded certificate, or a refusal. */

import type { CertificateVerdict } from "shared/protocol/x509/verification.ts";
import { SubjectAlternativeNameExtension, X509Certificate } from "shared/protocol/x509/library.ts";
import { normalSerial } from "shared/protocol/x509/serial_number.ts";
import {
  asksForGranted,
  asksForSame,
  decideGrant,
  type EnrolmentRefusal,
  type Grant,
  type Granted,
  nameOf,
} from "../domain/enrolment.ts";
import { type CertificateRequest, parseRequest } from "../protocol/certificate_request.ts";
import { CHALLENGE_LENGTH, parseDeviceProof, provenDevice, sha256 } from "../protocol/device_proof.ts";
import type { IssuedRecord, IssueWay } from "../transport/enrolment_store/store.ts";
import type { EnrolmentIssuer } from "./enrolment_issuer.ts";

/** Configured name under which certificates of the issuing authority itself are known. */
export const ISSUED_GROUP = "issued-here";

/** How wallets enrol. */
export interface WalletRule {
  /** Leads from the wallets' TLS certificate to `urn:...:*`, where the star becomes the device's serial. */
  readonly grant: Grant;
  /** Public key (65) of the issuer of device certificates. */
  readonly deviceIssuer: Uint8Array;
  readonly challengeLifetimeMs: number;
}

/** Rules of an enrolment. */
export interface EnrolmentRules {
  readonly grants: readonly Grant[];
  readonly wallets: WalletRule | undefined;
  readonly renewalLifetimeMs: number;
}

/** A client whose certificate was accepted. */
export interface EnrollingClient {
  readonly verdict: Extract<CertificateVerdict, { kind: "accept" }>;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** What became of a request. */
export type EnrolmentOutcome =
  | {
    readonly kind: "issued";
    readonly certificate: Uint8Array;
    readonly identity: string;
    readonly repeated: boolean;
  }
  | { readonly kind: "refuse"; readonly reason: EnrolmentRefusal };

const refuse = (reason: EnrolmentRefusal): EnrolmentOutcome => ({ kind: "refuse", reason });

/** The service. */
export class Enrolment {
  constructor(readonly issuer: EnrolmentIssuer, readonly rules: EnrolmentRules) {}

  /** First certificate, by a bootstrap certificate (RFC 7030, 4.2.1). */
  async enrol(client: EnrollingClient, der: Uint8Array): Promise<EnrolmentOutcome> {
    const granted = decideGrant(this.rules.grants, identityOf(client));
    if (granted === undefined) return refuse("bootstrap-not-granted");
    const reading = parseRequest(der);
    if (reading.kind === "fault") return refuse(reading.fault);
    if (!asksForGranted(reading.request, granted.identity)) return refuse("names-not-granted");
    return await this.#issue(reading.request, granted, "bootstrap", client.verdict.fingerprint);
  }

  /** The next certificate, by the current one (4.2.2): same names, the same key or another. */
  async renew(client: EnrollingClient, der: Uint8Array): Promise<EnrolmentOutcome> {
    if (client.verdict.group !== ISSUED_GROUP) return refuse("certificate-not-issued-here");
    const current = new X509Certificate(new Uint8Array(client.certificate));
    const serial = normalSerial(current.serialNumber);
    if (!await this.issuer.parts.store.isGood(serial)) return refuse("certificate-not-issued-here");
    const reading = parseRequest(der);
    if (reading.kind === "fault") return refuse(reading.fault);
    const names = current.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
    if (!asksForSame(reading.request, { subject: current.subjectName.toJSON(), names })) {
      return refuse("names-changed");
    }
    const granted = {
      grant: "renewal",
      identity: client.verdict.identity,
      lifetimeMs: this.rules.renewalLifetimeMs,
    };
    return await this.#issue(reading.request, granted, "renewal", client.verdict.fingerprint, serial);
  }

  /** A challenge (32 bytes) for a wallet; it counts once, for this client, for a while. */
  async challenge(
    client: EnrollingClient,
  ): Promise<{ challenge: Uint8Array; lifetimeMs: number } | undefined> {
    const { wallets } = this.rules;
    if (wallets === undefined || decideGrant([wallets.grant], identityOf(client)) === undefined) {
      return undefined;
    }
    const { store, clock, random } = this.issuer.parts;
    const challenge = random(CHALLENGE_LENGTH);
    const now = clock.now();
    await store.keepChallenge(
      sha256(challenge),
      client.verdict.fingerprint,
      now + wallets.challengeLifetimeMs,
      now,
    );
    return { challenge, lifetimeMs: wallets.challengeLifetimeMs };
  }

  /** First or next certificate of a wallet, by its device certificate. */
  async enrolWallet(
    client: EnrollingClient,
    der: Uint8Array,
    proofHeader: string | undefined,
  ): Promise<EnrolmentOutcome> {
    const { wallets } = this.rules;
    if (wallets === undefined || decideGrant([wallets.grant], identityOf(client)) === undefined) {
      return refuse("bootstrap-not-granted");
    }
    const proof = proofHeader === undefined ? undefined : parseDeviceProof(proofHeader);
    if (proof === undefined) return refuse("device-proof-missing");
    const reading = parseRequest(der);
    if (reading.kind === "fault") return refuse(reading.fault);
    // The challenge is used up even by a proof that fails: each guess costs a round trip.
    const { store, clock } = this.issuer.parts;
    if (!await store.takeChallenge(sha256(proof.challenge), client.verdict.fingerprint, clock.now())) {
      return refuse("challenge-unknown");
    }
    const device = provenDevice(proof, wallets.deviceIssuer, reading.request.digest);
    if (device === undefined) return refuse("device-proof-wrong");
    const identity = wallets.grant.identity.replace("*", () => device);
    if (!asksForGranted(reading.request, identity)) return refuse("names-not-granted");
    const granted = { grant: wallets.grant.name, identity, lifetimeMs: wallets.grant.lifetimeMs };
    return await this.#issue(reading.request, granted, "device", device);
  }

  async #issue(
    request: CertificateRequest,
    granted: Granted,
    way: IssueWay,
    authorisedBy: string,
    renewed?: string,
  ): Promise<EnrolmentOutcome> {
    const { identity } = granted;
    const asked = {
      identity,
      way,
      authorisedBy,
      requestDigest: request.digest,
      keyDigest: sha256(request.publicKey),
    };
    const { store } = this.issuer.parts;
    // Asked before the token works, and once more where it is recorded.
    let found = await store.precedent(asked);
    if (found.kind === "new") {
      const client = { identity, name: nameOf(identity), publicKey: request.publicKey };
      const made = await this.issuer.issue(client, granted.lifetimeMs);
      const record: IssuedRecord = { ...asked, ...made };
      found = await store.record(record, renewed);
      if (found.kind === "new") {
        return { kind: "issued", certificate: made.certificate, identity, repeated: false };
      }
    }
    if (found.kind === "conflict") return refuse(found.conflict);
    return { kind: "issued", certificate: found.certificate, identity, repeated: true };
  }
}

function identityOf({ verdict }: EnrollingClient) {
  return { identity: verdict.identity, group: verdict.group };
}
