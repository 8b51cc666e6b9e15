/**
 * The update vault: believes neither the service nor the wallet. It verifies the card's certificate and signature over a
 * challenge of its own, the release's metadata and the package's bytes; derives the card's upgrade keys in the HSM; and wraps the
 * commands of that package for that card and session. Session keys are in its memory alone, and gone with it: a card goes on in a
 * new session.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { equal, fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { canonicalJson } from "shared/base/canonical_json.ts";
import { compareVersions } from "shared/protocol/release/target.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { wipeStaticKeys } from "shared/protocol/scp03/keys.ts";
import type { BeginUpdate, ResumeUpdate, UpdateChallengeAnswer } from "shared/protocol/wire/update.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { proveCard, readFreshList } from "../../domain/update/card_evidence.ts";
import {
  AUTHORIZATION_CONTEXT,
  decodeAuthorization,
  encodeAuthorization,
  type UpgradeAuthorization,
} from "../../domain/update/authorization.ts";
import type { UpgradeMode } from "../../domain/update/upgrade_move.ts";
import { checkRelease, readPackage, requireOffered } from "./package_check.ts";
import { type Batch, type UpgradeDomain, UpgradeSession } from "./vault_session.ts";
import type { UpdateVault, VaultStep } from "./vault_port.ts";

/** Length of upgrade keys, in bytes: AES-256. */
const UPGRADE_KEY_LENGTH = 32;
const CHALLENGE_LENGTH = 8;

/** Bounds of the vault. */
export interface VaultLimits {
  /** Sessions, and challenges, at once. */
  readonly sessions: number;
  readonly challenges: number;
  /** Sessions, and challenges, of one client: its oldest gives way to its newest, so that no client keeps others out. */
  readonly ofOne: number;
  /** Life of a challenge, of a session that nothing is heard of, and of any session, in seconds. */
  readonly challengeSeconds: number;
  readonly idleSeconds: number;
  readonly sessionSeconds: number;
}

/** Bounds unless the configuration says otherwise. */
export const VAULT_LIMITS: VaultLimits = {
  sessions: 32,
  challenges: 1024,
  ofOne: 4,
  challengeSeconds: 120,
  idleSeconds: 120,
  sessionSeconds: 900,
};

/** What the vault is made of. */
export interface VaultOptions {
  readonly hsm: Hsm;
  /** Of the master that cards' upgrade keys come from, and of the storage key that seals authorizations. */
  readonly labels: { readonly upgradeMaster: string; readonly authorization: string };
  /** Public keys (65) of those who certify cards. */
  readonly issuers: readonly Uint8Array[];
  /** A root of the release metadata that is trusted already. */
  readonly trustedRoot: Uint8Array;
  /** P-256 public key (65) of the release key. */
  readonly releaseKey: Uint8Array;
  readonly domain: UpgradeDomain;
  /** Chip and operating system of the cards, for releases that name some. */
  readonly chip: { readonly chip: string; readonly os: string };
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly limits?: VaultLimits;
}

interface Held {
  readonly session: UpgradeSession;
  /** What was asked to begin it, so that asking again is harmless. */
  readonly asked: string;
  /** Of an earlier session; undefined: not known yet. */
  authorization: UpgradeAuthorization | undefined;
  /** Of a session that begins: what the authorization will say. */
  readonly draft: Omit<UpgradeAuthorization, "keyDiversificationData"> | undefined;
  readonly packageSha256: string;
  /** Of a recovery: the version of the package that is to be loaded again. */
  readonly recovers: string | undefined;
  readonly mode: UpgradeMode;
  readonly untilMs: number;
  heardMs: number;
  step: number;
  /** Hash of the request that led to `answer`. */
  request: string;
  answer: VaultStep | CodedError;
}

/** Makes a vault. */
export function makeUpdateVault(options: VaultOptions): UpdateVault {
  const { hsm, labels, issuers, trustedRoot, releaseKey, domain, chip, clock, random } = options;
  const limits = options.limits ?? VAULT_LIMITS;
  const challenges = new Map<string, { readonly bytes: Uint8Array; readonly untilMs: number }>();
  const sessions = new Map<string, Held>();
  const working = new Map<string, Promise<unknown>>();
  let newestList = 0;

  /** One request of an update at a time. */
  const alone = async <T>(update: string, work: () => Promise<T>): Promise<T> => {
    const before = working.get(update);
    const mine = (async () => {
      await before?.catch(() => {});
      return await work();
    })();
    working.set(update, mine);
    try {
      return await mine;
    } finally {
      if (working.get(update) === mine) working.delete(update);
    }
  };

  const forget = (update: string) => {
    sessions.get(update)?.session.end();
    sessions.delete(update);
  };

  const sweep = () => {
    const now = clock.now();
    for (const [update, { untilMs }] of challenges) if (now >= untilMs) challenges.delete(update);
    for (const [update, { untilMs, heardMs }] of sessions) {
      if (now >= untilMs || now - heardMs >= 1000 * limits.idleSeconds) forget(update);
    }
  };

  /** Makes room for one more of a client's. */
  const giveWay = (update: string, held: Iterable<string>, drop: (update: string) => void) => {
    const own = [...held].filter((each) => each !== update && clientOf(each) === clientOf(update));
    for (const oldest of own.slice(0, Math.max(0, own.length + 1 - limits.ofOne))) drop(oldest);
  };

  const hold = (
    update: string,
    asked: string,
    held: Pick<Held, "authorization" | "draft" | "packageSha256" | "recovers" | "mode" | "session">,
  ): VaultStep => {
    giveWay(update, sessions.keys(), forget);
    if (sessions.size >= limits.sessions) {
      throw new CodedError("UPDATE_BUSY", "Cannot begin: too many updates");
    }
    const now = clock.now();
    const answer = stepOf(update, 0, held.session.open());
    sessions.set(update, {
      ...held,
      asked,
      untilMs: now + 1000 * limits.sessionSeconds,
      heardMs: now,
      step: 0,
      request: asked,
      answer,
    });
    return answer;
  };

  /** The answer of an update that was begun with the same bytes. */
  const begun = (update: string, asked: string): VaultStep | undefined => {
    const held = sessions.get(update);
    if (held === undefined) return undefined;
    if (held.asked !== asked || held.step !== 0 || held.answer instanceof CodedError) {
      throw new CodedError("UPDATE_STEP", "Cannot begin update: its number is taken");
    }
    return held.answer;
  };

  const seal = async (authorization: UpgradeAuthorization) => {
    const plain = encodeAuthorization(authorization);
    return (await hsm.seal(labels.authorization, plain, AUTHORIZATION_CONTEXT)).toBase64();
  };
  const unseal = async (sealed: string): Promise<UpgradeAuthorization> => {
    try {
      const plain = await hsm.open(
        labels.authorization,
        Uint8Array.fromBase64(sealed),
        AUTHORIZATION_CONTEXT,
      );
      return decodeAuthorization(plain);
    } catch (error) {
      if (error instanceof CodedError && error.row.fault === "service" && error.row.retry) throw error;
      throw new CodedError(
        "UPDATE_AUTHORIZATION",
        "Cannot go on: this vault did not authorize it",
        {},
        error,
      );
    }
  };

  /** INITIALIZE UPDATE was answered: whose keys, and may it be this card? */
  const authenticate = async (held: Held, answers: readonly string[], given: string | null) => {
    const info = held.session.identify(answers);
    const keyDiversificationData = toHex(info.keyDiversificationData);
    if (held.draft !== undefined) held.authorization = { ...held.draft, keyDiversificationData };
    else if (held.authorization === undefined) {
      if (given === null) return { wants: keyDiversificationData };
      held.authorization = await unseal(given);
    }
    const { authorization } = held;
    requireSameUpgrade(authorization, keyDiversificationData, held);
    const keys = await diversifyKdf3(
      (input) => hsm.cmac(labels.upgradeMaster, input),
      info.keyDiversificationData,
      UPGRADE_KEY_LENGTH,
    );
    try {
      const batch = held.session.authenticate(info, keys);
      return { batch, authorization };
    } finally {
      wipeStaticKeys(keys);
    }
  };

  const take = async (
    held: Held,
    update: string,
    step: number,
    answers: readonly string[],
    given: string | null,
  ) => {
    if (held.step > 0) return stepOf(update, step, held.session.next(answers));
    const outcome = await authenticate(held, answers, given);
    if ("wants" in outcome) return { ...nothing(update, 0), wants: outcome.wants! };
    const { batch, authorization } = outcome;
    return {
      ...stepOf(update, step, batch),
      authorization: await seal(authorization),
      card: {
        serial: authorization.serial,
        keyDiversificationData: authorization.keyDiversificationData,
        version: authorization.version,
      },
    };
  };

  return {
    challenge(update) {
      sweep();
      giveWay(update, challenges.keys(), (oldest) => challenges.delete(oldest));
      if (!challenges.has(update) && challenges.size >= limits.challenges) {
        return Promise.reject(new CodedError("UPDATE_BUSY", "Cannot begin: too many updates"));
      }
      const known = challenges.get(update);
      const bytes = known?.bytes ?? random(CHALLENGE_LENGTH);
      const untilMs = known?.untilMs ?? clock.now() + 1000 * limits.challengeSeconds;
      challenges.set(update, { bytes, untilMs });
      const answer: UpdateChallengeAnswer = {
        hostChallenge: toHex(bytes),
        expiresAt: Math.floor(untilMs / 1000),
      };
      return Promise.resolve(answer);
    },

    begin: (update, request, revocations) =>
      alone(update, async () => {
        sweep();
        const asked = hashOf(request);
        const again = begun(update, asked);
        if (again !== undefined) return again;
        const challenge = challenges.get(update);
        if (challenge === undefined) {
          throw new CodedError("UPDATE_CHALLENGE", "Cannot begin: its challenge was used, or is too old");
        }
        // Single use, whatever comes of it.
        challenges.delete(update);
        const nowSeconds = Math.floor(clock.now() / 1000);
        const list = readFreshList(revocations, issuers, nowSeconds, newestList);
        newestList = list.number;
        const card = proveCard(request.card, challenge.bytes, issuers, list.revoked);
        const bytes = Uint8Array.fromBase64(request.package);
        const { file, verified } = checkRelease(
          request.release,
          bytes,
          { trustedRoot, releaseKey },
          clock.now(),
        );
        const { release, sha256: packageSha256 } = verified;
        requireOffered({ product: release.product, version: request.version, ...chip }, verified);
        return await Promise.resolve(hold(update, asked, {
          mode: "begin",
          session: new UpgradeSession("begin", file, domain, random(CHALLENGE_LENGTH)),
          authorization: undefined,
          draft: {
            format: "rk-upgrade-authorization-1",
            ...card,
            packageSha256,
            product: release.product,
            version: release.version,
            replaced: request.version,
            at: nowSeconds,
          },
          packageSha256,
          recovers: undefined,
        }));
      }),

    resume: (update, request) =>
      alone(update, async () => {
        sweep();
        const asked = hashOf(request);
        const again = begun(update, asked);
        if (again !== undefined) return again;
        const bytes = Uint8Array.fromBase64(request.package);
        const authorization = request.authorization === null
          ? undefined
          : await unseal(request.authorization);
        const { file, packageSha256, recovers } = resumedPackage(request, bytes, authorization);
        const mode = request.recovery === null ? "resume" : "recover";
        return hold(update, asked, {
          mode,
          session: new UpgradeSession(mode, file, domain, random(CHALLENGE_LENGTH)),
          authorization,
          draft: undefined,
          packageSha256,
          recovers,
        });
      }),

    step: (update, step, answers, authorization) =>
      alone(update, async () => {
        sweep();
        const held = sessions.get(update);
        if (held === undefined) {
          throw new CodedError(
            "UPDATE_SESSION_GONE",
            "Cannot go on: this session is over, or was never here",
          );
        }
        held.heardMs = clock.now();
        const request = hashOf({ step, answers });
        if (step === held.step && request === held.request) return given(held.answer);
        if (step !== held.step + 1 || held.answer instanceof CodedError) {
          throw new CodedError("UPDATE_STEP", `Cannot go on: step ${held.step} is done, not ${step - 1}`);
        }
        try {
          const answer = await take(held, update, step, answers, authorization);
          if ("wants" in answer && answer.wants !== null) return answer;
          Object.assign(held, { step, request, answer });
          return answer;
        } catch (error) {
          // What the card said stays said: the same step again gets the same refusal, and nothing more is wrapped.
          held.session.end();
          if (error instanceof CodedError) Object.assign(held, { step, request, answer: error });
          else forget(update);
          throw error;
        }
      }),

    describe: () => Promise.resolve({ sessions: sessions.size, challenges: challenges.size }),
    sweep,
  };

  /** The package of a resumption: the one that was authorized, or one that the key holders signed as the version before. */
  function resumedPackage(
    request: ResumeUpdate,
    bytes: Uint8Array,
    authorization: UpgradeAuthorization | undefined,
  ) {
    if (request.recovery !== null) {
      const { file, verified } = checkRelease(
        request.recovery,
        bytes,
        { trustedRoot, releaseKey },
        clock.now(),
      );
      return { file, packageSha256: verified.sha256, recovers: verified.release.version };
    }
    const hash = toHex(sha256(bytes));
    if (authorization !== undefined && authorization.packageSha256 !== hash) {
      throw new CodedError("UPDATE_AUTHORIZATION", "Cannot go on: it was begun with another package", {
        version: authorization.version,
      });
    }
    return { file: readPackage(bytes, hash, releaseKey), packageSha256: hash, recovers: undefined };
  }

  function requireSameUpgrade(
    authorization: UpgradeAuthorization,
    keyDiversificationData: string,
    held: Held,
  ) {
    if (!equal(fromHex(authorization.keyDiversificationData), fromHex(keyDiversificationData))) {
      throw new CodedError("UPDATE_CARD_OTHER", "Cannot go on: this is another card than the authorized one");
    }
    const right = held.recovers === undefined
      ? authorization.packageSha256 === held.packageSha256
      : compareVersions(held.recovers, authorization.replaced) === 0;
    if (!right) {
      throw new CodedError("UPDATE_AUTHORIZATION", "Cannot go on: it was begun with another package", {
        version: authorization.version,
      });
    }
  }
}

/** Client of an update: what stands before its number. */
function clientOf(update: string): string {
  return update.slice(0, update.lastIndexOf(" ") + 1);
}

function given(answer: VaultStep | CodedError): VaultStep {
  if (answer instanceof CodedError) throw answer;
  return answer;
}

function nothing(update: string, step: number): VaultStep {
  return {
    update,
    step,
    phase: "opening",
    commands: [],
    authorization: null,
    end: null,
    card: null,
    wants: null,
  };
}

function stepOf(update: string, step: number, { phase, commands, end }: Batch): VaultStep {
  return { ...nothing(update, step), phase, commands: [...commands], end };
}

function hashOf(value: BeginUpdate | ResumeUpdate | { step: number; answers: readonly string[] }): string {
  return toHex(sha256(toUtf8(canonicalJson(value))));
}
