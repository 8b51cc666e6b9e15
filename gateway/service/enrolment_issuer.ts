/** The issuing authority: its key is in the token, its revocation list in the store and numbered there. */

import type { Hsm } from "shared/transport/hsm.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { CodedError } from "shared/base/errors.ts";
import { BACKDATE_MS } from "shared/protocol/x509/authority.ts";
import {
  p256Spki,
  SERIAL_LENGTH,
  serialFrom,
  signAuthority,
  signClient,
} from "shared/protocol/x509/external_issuer.ts";
import type { X509Certificate } from "shared/protocol/x509/library.ts";
import { signCrl } from "shared/protocol/x509/revocation.ts";
import type { SignContent } from "shared/protocol/x509/signed.ts";
import type { EnrolmentStore, PublishedList } from "../transport/enrolment_store/store.ts";
import "../transport/enrolment_errors.ts";

/** What the authority works with. */
export interface IssuerParts {
  readonly hsm: Hsm;
  /** Label of the P-256 key. */
  readonly label: string;
  readonly certificate: X509Certificate;
  readonly store: EnrolmentStore;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** How long a list counts, in milliseconds. A new one is made at half of it. */
  readonly listLifetimeMs: number;
}

/** Instances that publish at once try again this often. */
const PUBLISH_TRIES = 5;

/** Signs certificates and lists. */
export class EnrolmentIssuer {
  readonly #sign: SignContent;

  constructor(readonly parts: IssuerParts) {
    this.#sign = (content) => parts.hsm.sign(parts.label, content);
  }

  /** Signs a client's certificate; it is not recorded yet. */
  async issue(
    client: { readonly identity: string; readonly name: string; readonly publicKey: Uint8Array<ArrayBuffer> },
    lifetimeMs: number,
  ): Promise<{ readonly serial: string; readonly certificate: Uint8Array; readonly notAfter: number }> {
    const { certificate: issuer, clock, random } = this.parts;
    const now = clock.now();
    const notAfter = Math.min(now + lifetimeMs, issuer.notAfter.getTime());
    const serial = serialFrom(random(SERIAL_LENGTH));
    const fields = { ...client, serialNumber: serial, notBefore: now - BACKDATE_MS, notAfter };
    const made = await signClient(issuer, fields, this.#sign);
    return { serial, certificate: new Uint8Array(made.rawData), notAfter };
  }

  /** The list that counts now: a new one when something was revoked since the last, or half of its time is over. */
  async currentList(): Promise<PublishedList> {
    const { store, clock, certificate, listLifetimeMs } = this.parts;
    for (let turn = 0; turn < PUBLISH_TRIES; turn++) {
      const now = clock.now();
      const { serials, revoked, listed, newest } = await store.revoked(now);
      const halfway = newest !== undefined && now >= (newest.thisUpdate + newest.nextUpdate) / 2;
      if (newest !== undefined && revoked === listed && !halfway && now >= newest.thisUpdate) return newest;
      const nextUpdate = now + listLifetimeMs;
      const number = (newest?.number ?? 0n) + 1n;
      const list = await signCrl(certificate, this.#sign, { now, nextUpdate, number, revoked: serials });
      const published = { number, thisUpdate: Math.floor(now / 1000) * 1000, nextUpdate, list };
      if (await store.publish(published, revoked)) return published;
    }
    throw new CodedError("ENROL_LIST", "Cannot publish a revocation list: others always did before");
  }
}

/**
 * Makes the authority's key, unless it is there, and a self-signed certificate for it.
 * @throws {CodedError} `HSM_*`.
 */
export async function foundAuthority(
  hsm: Hsm,
  fields: { readonly label: string; readonly name: string; readonly now: number; readonly days: number },
  random: RandomSource,
): Promise<X509Certificate> {
  const known = (await hsm.keys()).some(({ label }) => label === fields.label);
  const publicKey = known
    ? await hsm.publicKey(fields.label)
    : await hsm.generateSigningKey(fields.label, "p256");
  const serialNumber = serialFrom(random(SERIAL_LENGTH));
  return await signAuthority(
    { ...fields, serialNumber, publicKey },
    (content) => hsm.sign(fields.label, content),
  );
}

/** The token's key has to be that of the certificate. @throws {CodedError} `ENROL_ISSUER`, `HSM_*`. */
export async function requireIssuerKey(hsm: Hsm, label: string, certificate: X509Certificate): Promise<void> {
  const held = (await hsm.keys()).find((key) => key.label === label);
  const fits = held?.curve === "p256" &&
    p256Spki(await hsm.publicKey(label)).toHex() === new Uint8Array(certificate.publicKey.rawData).toHex();
  if (fits) return;
  throw new CodedError(
    "ENROL_ISSUER",
    `Cannot issue: key ${label} of the token is not that of issuer.certificate`,
  );
}
