/**
 * A backup provider in the test's own process. It does the cryptography that a vault does; its keys and shares are plain objects.
 * Same bytes, same answer, as the wire demands. For tests of the orchestrator only.
 */

import assert from "node:assert/strict";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, equal, fromHex, fromUtf8, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, ecdsaVerify, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import {
  decodeDeviceCertificate,
  deviceEphemeralBytes,
  deviceStaticBytes,
  encodeProviderCertificate,
  providerBytes,
} from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import { CONFIRM_RESTORE, IDENTITY_FLOW, LENGTH, ROLE } from "shared/protocol/recover/constants.ts";
import { encodeIdentity, identityHash } from "shared/protocol/recover/identity.ts";
import { isAuxiliaryPoint, isConsistent, shareCommitment } from "shared/protocol/recover/sharing.ts";
import { verificationNonce } from "shared/protocol/recover/verification_nonce.ts";
import type {
  ConfirmRequest,
  DeleteAnswer,
  DeleteRequest,
  DeletionRequest,
  DepositAnswer,
  DepositRequest,
  OpenSessionAnswer,
  OpenSessionRequest,
  RecoverIdentity,
  ReleaseAnswer,
  ReleaseRequest,
  SessionStateAnswer,
} from "shared/protocol/wire/recover.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { ProviderPort } from "orchestrator/service/ports.ts";

/** Shares that one provider releases before it refuses. */
export const RELEASES_MAX = 2;

interface Kept {
  readonly share: Uint8Array;
  readonly deletionKey: Uint8Array;
  readonly commitments: string;
  readonly words: 12 | 18 | 24;
  readonly identity: RecoverIdentity;
  inForce: boolean;
  lockedTo?: string;
  releases: number;
}
interface Session {
  readonly request: OpenSessionRequest;
  readonly channel: RecoverChannel;
  readonly key: Secret;
  readonly nonce: string | undefined;
  readonly deleteNonce: Uint8Array;
}
type Answers = {
  open: OpenSessionAnswer;
  deposit: DepositAnswer;
  commit: SessionStateAnswer;
  abandon: SessionStateAnswer;
  confirm: SessionStateAnswer;
  release: ReleaseAnswer;
  delete: DeleteAnswer;
  deletion: SessionStateAnswer;
};

/** The provider. */
export class InMemoryProvider implements ProviderPort {
  readonly #key = generatePrivateKey(SYSTEM_RANDOM);
  readonly publicKey = publicKeyOf(this.#key);
  readonly rows = new Map<string, Kept>();
  readonly #sessions = new Map<string, Session>();
  readonly #answered = new Map<string, { request: string; answer: unknown }>();
  /** Requests that were really worked on, repetitions not counted. */
  requests: string[] = [];
  /** Set by a test: a provider that is away. */
  away = false;
  /** Set by a test: changes what leaves. */
  hostile: <K extends keyof Answers>(operation: K, answer: Answers[K]) => Answers[K] = (_, answer) => answer;

  constructor(
    readonly index: number,
    readonly name: string,
    readonly root: Secret,
    readonly issuer: Uint8Array,
    readonly verifies: { backup: boolean },
  ) {}

  /** Keys that must appear nowhere else: shares and channel keys' private halves. */
  secrets(): Uint8Array[] {
    return [
      ...[...this.rows.values()].flatMap(({ share }) => [share.slice(0, 48), share.slice(48)]),
      ...[...this.#sessions.values()].map(({ key }) => key.reveal()),
    ];
  }

  open(request: OpenSessionRequest): Promise<OpenSessionAnswer> {
    return this.#once("open", request.session, request, () => {
      const { device, backupId, flow } = request;
      const { header, publicKey, signature } = decodeDeviceCertificate(fromHex(device.certificate));
      const ephemeral = fromHex(device.ephemeralKey);
      const bytes = deviceEphemeralBytes(fromHex(device.deviceNonce), fromHex(device.hostNonce), ephemeral);
      if (
        !ecdsaVerify(this.issuer, deviceStaticBytes(header, publicKey), signature) ||
        !ecdsaVerify(publicKey, bytes, fromHex(device.ephemeralSignature))
      ) throw refused(403, "IN_MEMORY_DEVICE");
      const kept = this.rows.get(backupId);
      if (flow !== "backup" && !kept?.inForce) throw refused(404, "IN_MEMORY_NO_BACKUP");
      const identity = request.identity ?? kept!.identity;
      const key = generatePrivateKey(SYSTEM_RANDOM);
      const channel = RecoverChannel.agree(key, ephemeral);
      const certificate = (role: 4 | 0x14, subject: Uint8Array, signer: Secret) =>
        toHex(encodeProviderCertificate({
          role,
          name: this.name,
          publicKey: subject,
          signature: ecdsaSign(signer, providerBytes(role, this.name, subject)),
        }));
      const asks = flow === "backup" ? this.verifies.backup && this.index === 1 : flow !== "release";
      const nonce = asks
        ? toHex(verificationNonce({
          flow: flow === "release" ? "restore" : flow,
          providerName: this.name,
          providerEphemeral: publicKeyOf(key),
          deviceCertificate: fromHex(device.certificate),
          deviceEphemeral: ephemeral,
          backupId: fromHex(backupId),
        }))
        : undefined;
      this.#sessions.set(request.session, {
        request,
        channel,
        key,
        nonce,
        deleteNonce: SYSTEM_RANDOM(LENGTH.DELETE_NONCE),
      });
      const data = {
        ...identity,
        backupId: fromHex(backupId),
        flow: flow === "delete" ? IDENTITY_FLOW.DELETE : IDENTITY_FLOW.BACKUP_OR_RESTORE,
      };
      return {
        session: request.session,
        providerName: this.name,
        staticCertificate: certificate(ROLE.PROVIDER_STATIC, this.publicKey, this.root),
        ephemeralCertificate: certificate(ROLE.PROVIDER_EPHEMERAL, publicKeyOf(key), this.#key),
        sealedIdentity: request.first ? toHex(channel.seal(encodeIdentity(data))) : null,
        sealedHash: toHex(channel.seal(identityHash(publicKeyOf(key), fromHex(backupId), identity))),
        verification: nonce === undefined
          ? null
          : { nonce, verifier: `https://verifier-${this.index}.test/` },
        identity: flow === "backup" ? null : identity,
      };
    });
  }

  deposit(session: string, request: DepositRequest): Promise<DepositAnswer> {
    return this.#once("deposit", session, request, ({ channel, request: opened, nonce }) => {
      this.#requireVerified(nonce, request.sealedVerification);
      const message = channel.open(fromHex(request.sealedShare));
      const share = message.slice(0, 96);
      const index = new DataView(message.buffer, message.byteOffset).getUint32(96, true);
      const commitments = fromHex(request.commitments);
      const right = index === this.index && isAuxiliaryPoint(fromHex(request.auxiliaryPoint)) &&
        equal(message.slice(165), sha256(commitments)) &&
        isConsistent({ index, value: new Secret(share.slice()) }, commitments);
      if (!right) throw refused(422, "IN_MEMORY_SHARE");
      this.rows.set(opened.backupId, {
        share,
        deletionKey: message.slice(100, 165),
        commitments: request.commitments,
        words: request.words,
        identity: opened.identity!,
        inForce: false,
        releases: 0,
      });
      const proof = shareCommitment(new Secret(share.slice()));
      return { shareCommitment: toHex(proof), sealedValues: toHex(channel.seal(sha256(proof))) };
    });
  }

  commit(session: string): Promise<SessionStateAnswer> {
    return this.#once("commit", session, {}, ({ request }) => {
      this.#row(request.backupId).inForce = true;
      return { session, state: "stored" };
    });
  }

  abandon(session: string): Promise<SessionStateAnswer> {
    return this.#once("abandon", session, {}, ({ request }) => {
      const row = this.rows.get(request.backupId);
      if (row?.inForce) throw refused(409, "IN_MEMORY_IN_FORCE");
      this.rows.delete(request.backupId);
      return { session, state: "abandoned" };
    });
  }

  confirm(session: string, { sealedConfirmation }: ConfirmRequest): Promise<SessionStateAnswer> {
    return this.#once("confirm", session, { sealedConfirmation }, ({ channel, request, nonce }) => {
      if (fromUtf8(channel.open(fromHex(sealedConfirmation))) !== CONFIRM_RESTORE) {
        throw refused(422, "IN_MEMORY_CONFIRM");
      }
      const row = this.#row(request.backupId);
      row.lockedTo = `${request.device.certificate} ${nonce}`;
      return { session, state: "locked" };
    });
  }

  release(session: string, request: ReleaseRequest): Promise<ReleaseAnswer> {
    return this.#once("release", session, request, ({ channel, request: opened }) => {
      const row = this.#row(opened.backupId);
      const [certificate, nonce] = row.lockedTo?.split(" ") ?? [];
      if (certificate !== opened.device.certificate) throw refused(403, "IN_MEMORY_OTHER_DEVICE");
      if (row.releases >= RELEASES_MAX) throw refused(403, "IN_MEMORY_ATTEMPTS");
      this.#requireVerified(nonce, request.sealedVerification);
      row.releases++;
      const commitments = fromHex(row.commitments);
      const proof = shareCommitment(new Secret(row.share.slice()));
      return {
        commitments: row.commitments,
        shareCommitment: toHex(proof),
        sealedValues: toHex(channel.seal(sha256(concat(commitments, proof)))),
        sealedShare: toHex(channel.seal(concat(row.share, Uint8Array.of(this.index, 0, 0, 0)))),
        words: row.words,
      };
    });
  }

  delete(session: string, request: DeleteRequest): Promise<DeleteAnswer> {
    return this.#once("delete", session, request, ({ channel, nonce, deleteNonce }) => {
      this.#requireVerified(nonce, request.sealedVerification);
      return { sealedNonce: toHex(channel.seal(deleteNonce)) };
    });
  }

  deletion(session: string, request: DeletionRequest): Promise<SessionStateAnswer> {
    return this.#once("deletion", session, request, ({ channel, request: opened, deleteNonce }) => {
      const signature = channel.open(fromHex(request.sealedSignature));
      const row = this.#row(opened.backupId);
      if (!ecdsaVerify(row.deletionKey, deleteNonce, signature)) throw refused(403, "IN_MEMORY_SIGNATURE");
      this.rows.delete(opened.backupId);
      return { session, state: "deleted" };
    });
  }

  #row(backupId: string): Kept {
    const row = this.rows.get(backupId);
    if (row === undefined) throw refused(404, "IN_MEMORY_NO_BACKUP");
    return row;
  }

  #requireVerified(nonce: string | undefined, result: string | null): void {
    if (nonce !== undefined && result !== verifiedAs(nonce)) throw refused(403, "IN_MEMORY_VERIFICATION");
  }

  // deno-lint-ignore require-await -- what it throws has to reject, as a request does
  async #once<K extends keyof Answers>(
    operation: K,
    session: string,
    request: unknown,
    work: (session: Session) => Answers[K],
  ): Promise<Answers[K]> {
    if (this.away) throw new CodedError("ORCHESTRATOR_PROVIDERS_AWAY", `Cannot go on: ${this.name} is away`);
    const id = `${operation} ${session}`;
    const bytes = JSON.stringify(request);
    const before = this.#answered.get(id);
    if (before !== undefined) {
      assert.equal(bytes, before.request, `${this.name}: ${operation} came again with other bytes`);
      return before.answer as Answers[K];
    }
    const known = this.#sessions.get(session);
    if (known === undefined && operation !== "open") throw refused(404, "IN_MEMORY_SESSION");
    this.requests.push(operation);
    let answer: Answers[K];
    try {
      answer = this.hostile(operation, work(known!));
    } catch (error) {
      if (error instanceof CodedError && error.code.startsWith("RECOVER_")) throw refused(400, error.code);
      throw error;
    }
    this.#answered.set(id, { request: bytes, answer });
    return answer;
  }
}

/** What a verifier gives for a nonce, here in the clear. */
export function verifiedAs(nonce: string): string {
  return `verified ${toHex(sha256(toUtf8(nonce)))}`;
}

function refused(status: number, code: string): CodedError {
  return new CodedError("ORCHESTRATOR_PROVIDER_REFUSED", `Cannot go on: refused with ${code}`, {
    status,
    code,
  });
}
