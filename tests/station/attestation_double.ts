/**
 * The attestation port in memory, for tests of the engine alone: it signs with a key of its own and can be told to answer
 * wrongly. What the real service does is tested with the real service (line_test.ts).
 */

import { createHash } from "node:crypto";
import { fromHex, toHex, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, ecdsaVerify, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { buildCardCertificateBody, finishCardCertificate } from "shared/protocol/recovery_key/certificate.ts";
import { cardKeyMessage, hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type {
  AttestationAnswer,
  AttestationRequest,
  ClosureRequest,
  InstallationAnswer,
  InstallationRequest,
} from "shared/protocol/wire/attestation.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { AttestationPort } from "factory/service/station/attestation_client.ts";
import { chipKey } from "factory/domain/personalization/facts.ts";

interface Record {
  serial: Uint8Array;
  key: Secret;
  station: string;
  state: "reserved" | "attested" | "good" | "scrapped";
  certificates: string[];
}

/** The double; its fields are for tests to look at and to change. */
export class AttestationDouble implements AttestationPort {
  readonly issuer = generatePrivateKey(SYSTEM_RANDOM);
  readonly issuerPublicKey = publicKeyOf(this.issuer);
  readonly records = new Map<string, Record>();
  readonly byChip = new Map<string, string>();
  readonly closures: ClosureRequest[] = [];
  readonly installations: { reservation: string; certificateSha256: string }[] = [];
  /** Who asks: tests change it to stand at another station. */
  station = "line-1";
  /** Chips of closed cards are refused, as the service does when chips can be told apart. */
  distinctChips = false;
  /** Keys that cardKeys gives. */
  cardKey = "404142434445464748494A4B4C4D4E4F";
  /** Changes the next answers of attest. */
  bend: ((answer: AttestationAnswer, request: AttestationRequest) => AttestationAnswer) | undefined;
  /** Thrown by the next call, once. */
  failures: CodedError[] = [];
  calls: string[] = [];
  #next = 1;

  #call(name: string): Promise<void> {
    this.calls.push(name);
    const failure = this.failures.shift();
    return failure ? Promise.reject(failure) : Promise.resolve();
  }

  async batch(): Promise<never> {
    await this.#call("batch");
    throw new Error("not used");
  }

  async cardKeys() {
    await this.#call("card-keys");
    const key = () => new Secret(fromHex(this.cardKey));
    return { enc: key(), mac: key(), dek: key() };
  }

  async reserve({ chip }: Parameters<AttestationPort["reserve"]>[0]) {
    await this.#call("reserve");
    const key = chipKey(chip);
    let id = this.byChip.get(key);
    const closed = id !== undefined && ["good", "scrapped"].includes(this.records.get(id)!.state);
    if (closed && this.distinctChips) {
      throw new CodedError("ATTEST_CHIP_CLOSED", "Cannot reserve: it is closed");
    }
    const again = id !== undefined && this.records.get(id)!.state !== "good" &&
      this.records.get(id)!.state !== "scrapped";
    if (!again) {
      id = crypto.randomUUID();
      this.byChip.set(key, id);
      this.records.set(id, {
        serial: writeUint(this.#next++, 4),
        key: generatePrivateKey(SYSTEM_RANDOM),
        station: this.station,
        state: "reserved",
        certificates: [],
      });
    }
    const record = this.records.get(id!)!;
    record.station = this.station;
    record.key = generatePrivateKey(SYSTEM_RANDOM);
    return {
      reservation: id!,
      serial: record.serial,
      issuerPublicKey: this.issuerPublicKey,
      personalizationKey: new Secret(record.key.reveal().slice()),
      again,
    };
  }

  /** A certificate of any key, so that tests can ask for another card's. */
  certify(serial: Uint8Array, publicKey: Uint8Array, targetDevice = 1): AttestationAnswer {
    const body = buildCardCertificateBody({ serial, publicKey, targetDevice });
    const certificate = finishCardCertificate(body, ecdsaSign(this.issuer, body));
    const certificateSha256 = toHex(createHash("sha256").update(certificate).digest());
    return { certificate: toHex(certificate), certificateSha256, superseded: false };
  }

  async attest(request: AttestationRequest) {
    await this.#call("attest");
    const record = this.records.get(request.reservation)!;
    if (record.station !== this.station) {
      throw new CodedError("ATTEST_STATION_MISMATCH", "Cannot attest card: another station has it");
    }
    const message = cardKeyMessage(fromHex("33400004"), fromHex(request.publicKey));
    if (!ecdsaVerify(publicKeyOf(record.key), message, fromHex(request.signature))) {
      throw new CodedError("ATTEST_CARD_SIGNATURE", "Cannot attest card: wrong signature");
    }
    const answer = this.certify(record.serial, fromHex(request.publicKey));
    record.state = "attested";
    record.certificates.push(answer.certificateSha256);
    return this.bend ? this.bend(answer, request) : answer;
  }

  /** Not among `calls`: nothing waits for it, so its place is not fixed. */
  install({ reservation, certificateSha256 }: InstallationRequest): Promise<InstallationAnswer> {
    this.installations.push({ reservation, certificateSha256 });
    return Promise.resolve({ reservation, state: "installed" as const });
  }

  async closeCard(request: ClosureRequest) {
    await this.#call("close");
    const record = this.records.get(request.reservation)!;
    if (record.station !== this.station) {
      throw new CodedError("ATTEST_STATION_MISMATCH", "Cannot close card: another station has it");
    }
    if (request.outcome === "good" && record.certificates.at(-1) !== request.certificateSha256) {
      throw new CodedError("ATTEST_CERTIFICATE_MISMATCH", "Cannot close card: another certificate");
    }
    record.state = request.outcome;
    this.closures.push(request);
    return { reservation: request.reservation, outcome: request.outcome };
  }

  async hostCertificate({ hostSerial, publicKey }: { hostSerial: string; publicKey: string }) {
    await this.#call("host-certificate");
    const signature = ecdsaSign(this.issuer, hostStaticMessage(fromHex(hostSerial), fromHex(publicKey)));
    return {
      hostSerial,
      publicKey,
      signature: toHex(signature),
      issuerPublicKey: toHex(this.issuerPublicKey),
    };
  }

  close(): void {}
}
