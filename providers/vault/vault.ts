/**
 * The vault: the one place of a provider where a share is in the clear. It opens the sealed records that it is handed, takes
 * one decision, and seals what comes of it. In a production HSM this is the firmware module; so its boundary is kept as
 * narrow as that: sealed bytes in, sealed bytes and decisions out, no network, no files after the start.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import type { JWK } from "jose";
import { z } from "zod";
import { concat, fromHex, toHex, toUtf8, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { providerBytes } from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import { ROLE } from "shared/protocol/recover/constants.ts";
import {
  ConfirmRequest,
  DeleteRequest,
  DeletionRequest,
  DepositRequest,
  OpenSessionRequest,
  ReleaseRequest,
} from "shared/protocol/wire/recover.ts";
import type { ProviderReason } from "shared/log/reasons.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { lockedBecause, type ServiceStatus } from "../domain/service_lock.ts";
import { SESSION_FLOW } from "../domain/session_flow.ts";
import type { BackupRecord } from "./backup_record.ts";
import { openStep } from "./open_step.ts";
import type {
  DescribeAnswer,
  LocateAnswer,
  LocateRequest,
  SealedSession,
  StepAnswer,
  StepRequest,
  VaultEvent,
  VaultPort,
  VaultStep,
} from "./protocol.ts";
import {
  openBackup,
  openSessionRecord,
  type RecordSealing,
  sealBackup,
  sealSession,
} from "./record_sealing.ts";
import { type Decision, type ProviderFacts, refuse, type Scene } from "./scene.ts";
import type { GivenOutcome, SessionRecord } from "./session_record.ts";
import { readStatus } from "./status_document.ts";
import {
  abandonStep,
  commitStep,
  confirmStep,
  countStep,
  deleteStep,
  deletionStep,
  depositStep,
  releaseStep,
} from "./steps.ts";
import { openVerification } from "./verification_result.ts";
import "../provider_errors.ts";

/** Backups whose newest state is remembered; the oldest is forgotten first. */
export const NEWEST_MAX = 100_000;

/** What a vault is made of. */
export interface VaultOptions {
  readonly facts: ProviderFacts;
  readonly sealing: RecordSealing;
  /** Labels in the HSM. */
  readonly labels: { readonly identity: string; readonly diversification: string };
  /** Private P-256 key to which the identity verifier seals. */
  readonly verificationKey: JWK;
  readonly clock: Clock;
  readonly random: RandomSource;
}

const Nothing = z.strictObject({});
const BODIES = {
  open: OpenSessionRequest,
  deposit: DepositRequest,
  commit: Nothing,
  abandon: Nothing,
  confirm: ConfirmRequest,
  release: ReleaseRequest,
  delete: DeleteRequest,
  deletion: DeletionRequest,
} as const satisfies Record<VaultStep, z.ZodType>;
/** Steps that are taken however old the session is: all providers or none must come to an end. */
const AT_ANY_TIME: readonly VaultStep[] = ["commit", "abandon"];

/** Makes a vault. */
export function makeVault(options: VaultOptions): VaultPort {
  return new Vault(options);
}

class Vault implements VaultPort {
  readonly #options: VaultOptions;
  /** Newest sequence seen of each generation of a backup: a row that was set back while this process runs is refused. */
  readonly #newest = new Map<string, number>();
  #newestStatus = 0;
  /** The document that was verified last. */
  #status: { readonly document: string | null; readonly content: ServiceStatus | undefined } | undefined;

  constructor(options: VaultOptions) {
    this.#options = options;
  }

  describe(): Promise<DescribeAnswer> {
    const { facts, sealing, verificationKey } = this.#options;
    const { d: _private, ...publicKey } = verificationKey;
    return Promise.resolve({
      providerName: facts.name,
      verificationKey: publicKey,
      currentVersion: sealing.currentVersion,
    });
  }

  async locate(about: z.infer<typeof LocateRequest>["about"]): Promise<LocateAnswer> {
    if ("backupId" in about) return { identifier: toHex(await this.#identifier(about.backupId)) };
    const { backupId } = await this.#openSession(about.session, about.record);
    return { identifier: toHex(await this.#identifier(backupId)) };
  }

  async step(request: Omit<StepRequest, "operation">): Promise<StepAnswer> {
    const { clock } = this.#options;
    const nowSeconds = Math.floor(clock.now() / 1000);
    const locked = await this.#locked(request.status, nowSeconds);
    if (locked !== undefined) return unchanged(request.step, "PROVIDER_LOCKED", locked);
    const body = BODIES[request.step].safeParse(request.body);
    if (!body.success) return unchanged(request.step, "PROVIDER_MALFORMED", "schema");
    const hash = toHex(sha256(toUtf8(JSON.stringify([request.step, request.session, body.data]))));
    const session = request.sessionRecord === null
      ? undefined
      : await this.#openSession(request.session, request.sessionRecord);
    const given = session?.given[request.step];
    if (given !== undefined) {
      // The same bytes get the same answer, and nothing is done twice.
      return given.request === hash
        ? { outcome: given.outcome, session: null, deviceTag: null, backup: null, event: null }
        : unchanged(request.step, "PROVIDER_ORDER", "other-bytes");
    }
    if (request.step === "open") {
      return await this.#open(request, body.data as OpenSessionRequest, hash, nowSeconds);
    }
    if (session === undefined) return unchanged(request.step, "PROVIDER_SESSION_UNKNOWN", "session-unknown");
    return await this.#continue(request, body.data, hash, session, nowSeconds);
  }

  async #locked(document: string | null, nowSeconds: number): Promise<ProviderReason | undefined> {
    // The same document is what it was; whether it still holds is asked each time.
    if (document === null || document !== this.#status?.document) {
      this.#status = { document, content: await readStatus(document, this.#options.facts.lockAuthority) };
    }
    const status = this.#status.content;
    const because = lockedBecause(status, this.#newestStatus, nowSeconds);
    if (status !== undefined) this.#newestStatus = Math.max(this.#newestStatus, status.sequence);
    return because === undefined ? undefined : `service-${because}`;
  }

  async #open(
    request: Omit<StepRequest, "operation">,
    body: OpenSessionRequest,
    hash: string,
    nowSeconds: number,
  ): Promise<StepAnswer> {
    const { facts, sealing, labels, random } = this.#options;
    if (body.session !== request.session) return unchanged("open", "PROVIDER_MALFORMED", "session-differs");
    const identifier = await this.#identifier(body.backupId);
    const backup = await this.#openBackup(identifier, request.backup);
    if (backup === "stale") return STALE;
    using ephemeral = generatePrivateKey(random);
    const publicKey = publicKeyOf(ephemeral);
    let channel: RecoverChannel;
    try {
      channel = RecoverChannel.agree(ephemeral, fromHex(body.device.ephemeralKey));
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return unchanged("open", "RECOVER_CERTIFICATE", "device-key");
    }
    using _channel = channel;
    using key = channel.keep();
    try {
      const signature = await sealing.hsm.sign(
        labels.identity,
        providerBytes(ROLE.PROVIDER_EPHEMERAL, facts.name, publicKey),
      );
      const opened = openStep({
        facts,
        request: body,
        requestHash: hash,
        backup,
        nowSeconds,
        channel,
        channelKey: toHex(key.reveal()),
        ephemeral: { publicKey, signature },
      });
      if (opened.kind === "refuse") return unchanged("open", opened.code, ...opened.reasons);
      const answer = opened.session.given.open!.outcome;
      return {
        outcome: answer,
        session: await this.#sealSession(request.session, 1, opened.session),
        deviceTag: await this.#deviceTag(body),
        backup: null,
        event: { event: "open", result: "done", reasons: [], tag: null },
      };
    } finally {
      backup?.share.wipe();
    }
  }

  async #continue(
    request: Omit<StepRequest, "operation">,
    body: unknown,
    hash: string,
    session: SessionRecord,
    nowSeconds: number,
  ): Promise<StepAnswer> {
    const { step } = request;
    const counts = step === "release" && session.counted !== hash;
    const next = SESSION_FLOW.next(session.state, counts ? "count" : step as Exclude<VaultStep, "open">);
    if (next === undefined) return unchanged(step, "PROVIDER_ORDER", `state-${session.state}`);
    const needsChannel = !AT_ANY_TIME.includes(step);
    if (needsChannel && session.channelKey === null) {
      return unchanged(step, "PROVIDER_ORDER", "channel-closed");
    }
    if (needsChannel && nowSeconds > session.untilSeconds) {
      return unchanged(step, "PROVIDER_REFUSED", "session-expired");
    }
    const identifier = await this.#identifier(session.backupId);
    const backup = await this.#openBackup(identifier, request.backup);
    if (backup === "stale") return STALE;
    const channel = needsChannel ? channelOf(session) : undefined;
    try {
      const scene: Scene = {
        facts: this.#options.facts,
        sessionId: sessionBytes(request.session),
        session,
        backup,
        get channel() {
          if (channel === undefined) {
            throw new CodedError("PROVIDER_STATE", "Cannot seal: the channel is closed");
          }
          return channel;
        },
        verification: counts ? undefined : await this.#verification(body, request.keySet, nowSeconds),
        nowSeconds,
        request: hash,
        fresh: this.#options.random(16),
      };
      const decision = counts ? countStep(scene) : decide(step, scene, body);
      return await this.#answer(request, identifier, hash, session, backup, decision, counts);
    } finally {
      channel?.end();
      backup?.share.wipe();
    }
  }

  async #verification(body: unknown, keySet: string | null, nowSeconds: number) {
    const { sealedVerification } = body as { sealedVerification?: string | null };
    if (sealedVerification === undefined || sealedVerification === null) return undefined;
    const { facts, verificationKey } = this.#options;
    return await openVerification(sealedVerification, keySet, verificationKey, facts.verifier, nowSeconds);
  }

  async #answer(
    request: Omit<StepRequest, "operation">,
    identifier: Uint8Array,
    hash: string,
    session: SessionRecord,
    before: BackupRecord | undefined,
    decision: Decision,
    counts: boolean,
  ): Promise<StepAnswer> {
    const { outcome, reasons, event } = decision;
    const refused = outcome.kind === "refuse";
    // A refusal ends the session where the table says so; where it does not, it changes nothing.
    const state = SESSION_FLOW.next(session.state, event);
    if (state === undefined) return unchanged(request.step, (outcome as { code: string }).code, ...reasons);
    const changed: SessionRecord = {
      ...session,
      ...decision.session,
      ...(refused ? { channelKey: null } : {}),
      state,
      given: counts ? session.given : {
        ...session.given,
        [request.step]: { request: hash, outcome },
      },
    };
    const version = request.sessionRecord!.version + 1;
    const logged: VaultEvent = {
      event: counts ? "count" : request.step,
      result: refused ? "refused" : "done",
      reasons,
      tag: decision.backup === undefined ? null : await this.#tag(before, decision.backup),
    };
    return {
      outcome: counts && !refused ? { kind: "counted" } : outcome,
      session: await this.#sealSession(request.session, version, changed),
      deviceTag: null,
      backup: await this.#changedBackup(identifier, decision.backup),
      event: logged,
    };
  }

  async #changedBackup(
    identifier: Uint8Array,
    backup: Decision["backup"],
  ): Promise<StepAnswer["backup"]> {
    if (backup === undefined) return null;
    const name = toHex(identifier);
    if (backup === "remove") return { remove: true, identifier: name };
    try {
      const { keyVersion, blob } = await sealBackup(this.#options.sealing, identifier, backup);
      return { put: { keyVersion, blob: toHex(blob) }, identifier: name };
    } finally {
      backup.share.wipe();
    }
  }

  /** Diversified identifier of a backup. Section 4. */
  #identifier(backupIdHex: string): Promise<Uint8Array> {
    const { sealing, labels } = this.#options;
    return sealing.hsm.hmac(labels.diversification, concat(toUtf8("backup"), fromHex(backupIdHex)));
  }

  /** One for each state that a backup leaves: two changes from the same state have the same, whichever they are. */
  async #tag(before: BackupRecord | undefined, after: BackupRecord | "remove"): Promise<string> {
    const { sealing, labels } = this.#options;
    const from = after !== "remove" && before?.generation !== after.generation ? undefined : before;
    const generation = from?.generation ?? (after as BackupRecord).generation;
    const state = concat(toUtf8("change"), generation, writeUint(from?.sequence ?? 0, 6));
    return toHex(await sealing.hsm.hmac(labels.diversification, state));
  }

  /** One for each device channel and provider: it opens one session here, and no second one. */
  async #deviceTag({ device }: OpenSessionRequest): Promise<string> {
    const { sealing, labels } = this.#options;
    const seen = concat(fromHex(device.hostNonce), fromHex(device.deviceNonce), fromHex(device.ephemeralKey));
    return toHex(await sealing.hsm.hmac(labels.diversification, concat(toUtf8("device"), seen)));
  }

  async #openBackup(
    identifier: Uint8Array,
    sealed: StepRequest["backup"],
  ): Promise<BackupRecord | undefined | "stale"> {
    if (sealed === null) return undefined;
    const { keyVersion, blob } = sealed;
    const record = await openBackup(this.#options.sealing, identifier, { keyVersion, blob: fromHex(blob) });
    const key = toHex(record.generation);
    const newest = this.#newest.get(key) ?? 0;
    if (record.sequence < newest) {
      record.share.wipe();
      return "stale";
    }
    this.#newest.delete(key);
    if (this.#newest.size >= NEWEST_MAX) this.#newest.delete(this.#newest.keys().next().value!);
    this.#newest.set(key, record.sequence);
    return record;
  }

  #openSession(session: string, record: SealedSession): Promise<SessionRecord> {
    const { version, keyVersion, blob } = record;
    return openSessionRecord(this.#options.sealing, sessionBytes(session), version, {
      keyVersion,
      blob: fromHex(blob),
    });
  }

  async #sealSession(session: string, version: number, record: SessionRecord): Promise<SealedSession> {
    const sealed = await sealSession(this.#options.sealing, sessionBytes(session), version, record);
    return { version, keyVersion: sealed.keyVersion, blob: toHex(sealed.blob) };
  }
}

const STALE: StepAnswer = {
  outcome: { kind: "stale" },
  session: null,
  deviceTag: null,
  backup: null,
  event: null,
};

/** A refusal that leaves session and backup as they are. */
function unchanged(step: VaultStep, code: string, ...reasons: readonly ProviderReason[]): StepAnswer {
  const outcome: GivenOutcome = { kind: "refuse", code };
  return {
    outcome,
    session: null,
    deviceTag: null,
    backup: null,
    event: { event: step, result: "refused", reasons, tag: null },
  };
}

function decide(step: VaultStep, scene: Scene, body: unknown): Decision {
  switch (step) {
    case "deposit":
      return depositStep(scene, body as DepositRequest);
    case "commit":
      return commitStep(scene);
    case "abandon":
      return abandonStep(scene);
    case "confirm":
      return confirmStep(scene, body as ConfirmRequest);
    case "release":
      return releaseStep(scene);
    case "delete":
      return deleteStep(scene);
    case "deletion":
      return deletionStep(scene, body as DeletionRequest);
    case "open":
      return refuse("session-open", "PROVIDER_ORDER");
  }
}

function channelOf(session: SessionRecord): RecoverChannel {
  return new RecoverChannel(new Secret(fromHex(session.channelKey!)));
}

function sessionBytes(session: string): Uint8Array {
  return fromHex(session.replaceAll("-", ""));
}
