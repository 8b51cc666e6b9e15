/**
 * Updates the card on the reader. Whatever goes wrong, the card stays at its old version or goes on to the new one, and the seed
 * stays: an interruption costs another presentation. The order of effects: the journal first, then the card.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import { LIFE_CYCLE } from "shared/protocol/recovery_key/constants.ts";
import { compareVersions } from "shared/protocol/release/target.ts";
import { upgradeCommands } from "shared/protocol/gp/upgrade_commands.ts";
import type { UpdateEnd, UpdatePhase } from "shared/protocol/wire/update.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { type CardFacts, identifierOf } from "../wallet/card_facts.ts";
import type { CardSession } from "../wallet/card_session.ts";
import type { Person } from "../wallet/person.ts";
import { eventOf } from "../wallet/run_flow.ts";
import type { WalletTrust } from "../wallet/trust.ts";
import { askPin } from "../wallet/unlock.ts";
import { tries } from "../wallet/wallet.ts";
import { CardAccess, newTraffic, type Traffic } from "./card_access.ts";
import { offerOf } from "./check.ts";
import type { JournalEntry, UpdateJournal } from "./journal.ts";
import { proveKept, seedSignersOf } from "./kept.ts";
import { rememberedOf, UPDATE_PLAN } from "./plan.ts";
import type { PackageReader, ReleasePort, UpdateServicePort } from "./ports.ts";
import { REASON_WORDS, RECOVERY_KEY, releaseFacts } from "./product.ts";
import { type Progress, progressOf, type ProgressStage } from "./progress.ts";
import { relay } from "./relay.ts";
import { releaseOnWire } from "./wire_release.ts";
import "shared/protocol/wire/update_errors.ts";
import "../wallet/errors.ts";
import { UPDATER_ERRORS } from "./errors.ts";

/** Times that a card is presented in one run, before it is left for another one. */
export const PRESENTATIONS_MAX = 5;
/** APDUs of an update beside its LOADs, for the time that it takes. */
const APDUS_AROUND = 28;

/** What an update needs. */
export interface UpdateOptions {
  /** Waits for a card and connects. */
  readonly connect: () => Promise<CardChannel>;
  readonly trust: WalletTrust;
  readonly person: Person;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly journal: UpdateJournal;
  readonly releases: ReleasePort;
  readonly service: UpdateServicePort;
  readonly readPackage: PackageReader;
  /** The domain that may upgrade, and the version of its keys. */
  readonly domain: { readonly aid: Uint8Array; readonly keyVersion: number };
  /** Told of every step on the way. */
  readonly onProgress?: (progress: Progress) => void;
  /** Told that the card is to be put on the reader again. */
  readonly onTorn?: (code: string) => void;
  readonly presentations?: number;
}

/** How an update ended well. */
export interface UpdateResult {
  readonly from: string | null;
  readonly to: string;
  /** Whether the seed was proven to be the one from before; null: no PIN was given, or it has none. */
  readonly seedKept: true | null;
  readonly card: CardFacts;
  readonly presentations: number;
  readonly apdus: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

/** One update of one card. */
export class Updater {
  readonly #options: UpdateOptions;
  readonly #traffic: Traffic = newTraffic();
  readonly #begun: number;
  #stage: ProgressStage = "looking";
  #expected = APDUS_AROUND;
  #access!: CardAccess;
  #cplc: string | undefined;
  #pin: Secret | undefined;
  /** The package does not take the card's data: the old one is loaded again. */
  #recovers = false;
  /** The card was in the middle of its update when it was looked at. */
  #silent = false;
  /** Commands of an update went to the card in this run. */
  #relayed = false;
  #waitedMs = 0;
  #from: string | undefined;

  constructor(options: UpdateOptions) {
    this.#options = options;
    this.#begun = options.clock.now();
  }

  /**
   * Runs it, over several presentations of the card when it is taken away.
   * @throws {CodedError} `WALLET_UPDATE_*`, `UPDATE_*`, `WALLET_CARD_PIN_WRONG`, `WALLET_CARD_NO_TRIES`, those of the card.
   */
  async run(): Promise<UpdateResult> {
    const { presentations = PRESENTATIONS_MAX, onTorn } = this.#options;
    try {
      for (let presentation = 1;; presentation++) {
        try {
          return await this.#present(presentation);
        } catch (error) {
          if (!(error instanceof CodedError)) throw error;
          const torn = eventOf(error) === "torn";
          if (error.code === "UPDATE_RESTORE_FAILED") this.#recovers = true;
          else if (!torn && !LOST_SESSION.includes(error.code)) throw this.#withStanding(error);
          if (presentation >= presentations) {
            throw torn ? this.#tornError(error) : this.#withStanding(error);
          }
          if (torn) onTorn?.(error.code);
        }
      }
    } finally {
      this.#pin?.wipe();
    }
  }

  async #present(presentation: number): Promise<UpdateResult> {
    const { connect, trust, random, journal, service } = this.#options;
    this.#enter("looking");
    this.#access = new CardAccess(
      await this.#waited(connect),
      trust,
      random,
      this.#traffic,
      () => this.#tell(),
    );
    try {
      const cplc = await this.#access.cplc();
      if (this.#cplc !== undefined && this.#cplc !== cplc) {
        throw new CodedError("WALLET_UPDATE_OTHER_CARD", "Cannot go on: this is another card than before");
      }
      this.#cplc = cplc;
      // The session in which the card proves itself to the service, too: it is not opened twice.
      const update = crypto.randomUUID();
      const { hostChallenge } = await service.challenge(update);
      const session = await this.#access.open(fromHex(hostChallenge));
      this.#silent = session === undefined;
      const entry = journal.find(cplc);
      const version = session && releaseFacts(session.status).version;
      const remembered = rememberedOf(version, entry, (a, b) => compareVersions(a, b) === 0);
      const action = UPDATE_PLAN[session === undefined ? "silent" : "ready"][remembered];
      if (action === "begin") await this.#begin(session!, update);
      else if (action === "resume") await this.#resume(entry);
      const { card, seedKept } = await this.#prove();
      return {
        from: entry?.from ?? journal.find(cplc)?.from ?? this.#from ?? null,
        to: card.version,
        seedKept,
        card,
        presentations: presentation,
        apdus: this.#traffic.apdus,
        bytes: this.#traffic.bytes,
        milliseconds: Math.round(this.#options.clock.now() - this.#begun),
      };
    } finally {
      await this.#access.close();
    }
  }

  /** The applet answers and nothing was begun, or nothing was changed yet: the whole way, with the PIN. */
  async #begin(session: CardSession, update: string): Promise<void> {
    const { releases, journal, service, clock } = this.#options;
    if (this.#recovers) {
      throw new CodedError("WALLET_UPDATE_RECOVERED", "Cannot update card: it kept its old version");
    }
    const card = await session.facts();
    const release = await releases.choose(releaseFacts(session.status));
    if (release === undefined) throw notOffered("there is no release");
    const offered = offerOf(session, release);
    if (!offered.offered) {
      throw notOffered(`${REASON_WORDS[offered.reason]} (released is ${release.verified.release.version})`);
    }
    const file = await release.fetch();
    const commands = upgradeCommands(this.#options.readPackage(file));
    this.#expected = this.#traffic.apdus + APDUS_AROUND + commands.load.length;
    const inUse = card.lifeCycle === LIFE_CYCLE.USER_PERSONALIZED;
    if (inUse) await this.#askPin(card);
    this.#enter("authorizing");
    if (inUse) await this.#unlock(session, card);
    const seedSigners = inUse ? await seedSignersOf(session) : [];
    if (inUse) await session.requestUpgrade(this.#pin!);
    const { certificate, ephemeral } = session.proof;
    // The grant outlives the session with the applet, as long as only a security domain is selected.
    this.#access.release();

    const { verified } = release;
    journal.keepPackage(file);
    const entry: JournalEntry = {
      cplc: this.#cplc!,
      before: inUse ? { ...card, pinTriesLeft: PIN_TRIES } : card,
      seedSigners,
      from: card.version,
      to: verified.release.version,
      product: verified.release.product,
      packageSha256: verified.sha256,
      loadFileHash: verified.release.loadFileHash,
      authorization: null,
      begun: clock.now(),
    };
    this.#from = card.version;
    journal.write(entry);
    const first = await service.begin(update, {
      card: {
        certificate: toHex(certificate),
        cardChallenge: toHex(ephemeral.cardChallenge),
        ephemeralKey: toHex(ephemeral.ephemeral),
        signature: toHex(ephemeral.signature),
      },
      version: card.version,
      release: releaseOnWire(release.bundle),
      package: file.toBase64(),
    });
    const end = await relay({
      service,
      update,
      transmit: this.#access.transmit,
      allowance: { commands, domain: this.#options.domain, mayStart: true, mayRecover: false },
      keep: (authorization) => journal.write({ ...entry, authorization }),
      onPhase: (phase) => this.#enterPhase(phase),
    }, first);
    requireEnd(end, "updated");
  }

  /** The applet cannot be selected: the service's word from when it was begun carries it on. */
  async #resume(entry: JournalEntry | undefined): Promise<void> {
    const { service, journal, releases, domain } = this.#options;
    const recovery = this.#recovers && entry !== undefined
      ? await releases.find(entry.product, shortVersion(entry.from))
      : undefined;
    if (this.#recovers && recovery === undefined) {
      throw new CodedError(
        "UPDATE_RESTORE_FAILED",
        "Cannot go on: the card's old package is not in the repository",
      );
    }
    const kept = entry && journal.readPackage(entry.packageSha256);
    const newest = kept === undefined && recovery === undefined
      ? await releases.newest(RECOVERY_KEY)
      : undefined;
    const file = await recovery?.fetch() ?? kept ?? await newest?.fetch();
    if (file === undefined) throw notOffered("there is no release to go on with");
    const commands = upgradeCommands(this.#options.readPackage(file));
    this.#expected = this.#traffic.apdus + APDUS_AROUND + commands.load.length;
    const update = crypto.randomUUID();
    const first = await service.resume(update, {
      authorization: entry?.authorization ?? null,
      package: file.toBase64(),
      recovery: recovery === undefined ? null : releaseOnWire(recovery.bundle),
    });
    const end = await relay({
      service,
      update,
      transmit: this.#access.transmit,
      allowance: { commands, domain, mayStart: false, mayRecover: recovery !== undefined },
      keep: (authorization) => {
        if (entry !== undefined) journal.write({ ...entry, authorization });
      },
      onPhase: (phase) => this.#enterPhase(phase),
    }, first);
    if (end === "nothing") {
      throw new CodedError(
        "WALLET_UPDATE_NOTHING",
        "Cannot update card: it has no Recovery Key applet to update",
      );
    }
    requireEnd(end, recovery === undefined ? "updated" : "recovered");
  }

  /** A session of its own: what the card has stored, against what is remembered. */
  async #prove(): Promise<{ card: CardFacts; seedKept: true | null }> {
    const { journal } = this.#options;
    this.#enter("proving");
    const session = await this.#access.open();
    if (session === undefined) {
      throw new CodedError(
        "WALLET_UPDATE_PROTOCOL",
        "Cannot go on: the service says that the update ended, the card does not",
      );
    }
    const entry = journal.find(this.#cplc!);
    // Another wallet began it: there is nothing to compare with.
    if (entry === undefined) return { card: await session.facts(), seedKept: null };
    if (entry.seedSigners.length > 0 && this.#pin === undefined) {
      const facts = await session.facts();
      await this.#askPin(facts).catch((error) => {
        // Nobody is there to give it: the rest is compared all the same.
        if (codeOf(error) !== "WALLET_SECRET_MISSING") throw error;
      });
    }
    const proven = await proveKept(
      session,
      entry,
      this.#recovers ? entry.from : entry.to,
      this.#pin,
      this.#relayed,
    );
    journal.remove(entry.cplc);
    if (this.#recovers) {
      throw new CodedError(
        "WALLET_UPDATE_RECOVERED",
        `Cannot update card ${
          identifierOf(proven.card)
        }: the new version did not take its data; the old one is back, nothing is lost`,
      );
    }
    return proven;
  }

  /** Tries left are shown before the PIN is asked; the last one is confirmed, for a wrong PIN then erases. */
  async #askPin(card: CardFacts): Promise<void> {
    if (this.#pin !== undefined) return;
    const { person } = this.#options;
    const triesLeft = card.pinTriesLeft ?? 0;
    if (triesLeft === 0) {
      throw new CodedError(
        "WALLET_CARD_NO_TRIES",
        `Cannot ask for the PIN of card ${identifierOf(card)}: no try is left`,
      );
    }
    if (triesLeft === 1 && !await person.confirm("last-try", { card, triesLeft })) {
      throw new CodedError("WALLET_CANCELLED", "Stopped: it was not confirmed");
    }
    this.#pin = await this.#waited(() => askPin(person, "cardPin", { card, triesLeft }));
  }

  /** VERIFY PIN, once: a wrong PIN ends the run, so that no second one follows without its holder's word. */
  async #unlock(session: CardSession, card: CardFacts): Promise<void> {
    const outcome = await session.verifyPin(this.#pin!);
    if (outcome.kind === "right") return;
    this.#pin?.wipe();
    this.#pin = undefined;
    if (outcome.kind === "wiped") {
      throw new CodedError(
        "WALLET_CARD_WIPED",
        `Card ${identifierOf(card)} erased itself: it was the third wrong PIN`,
      );
    }
    const { triesLeft } = outcome;
    throw new CodedError(
      "WALLET_CARD_PIN_WRONG",
      `Cannot update card ${identifierOf(card)}: wrong PIN, ${tries(triesLeft)} left`,
      { triesLeft },
    );
  }

  /** Waits for its holder; that is no time that the update takes. */
  async #waited<T>(work: () => Promise<T>): Promise<T> {
    const since = this.#options.clock.now();
    try {
      return await work();
    } finally {
      this.#waitedMs += this.#options.clock.now() - since;
    }
  }

  #enterPhase(phase: UpdatePhase): void {
    this.#relayed = true;
    this.#enter(STAGE_OF[phase]);
  }

  #enter(stage: ProgressStage): void {
    this.#stage = stage;
    this.#tell();
  }

  #tell(): void {
    const elapsedMs = this.#options.clock.now() - this.#begun - this.#waitedMs;
    this.#options.onProgress?.(progressOf(this.#stage, this.#traffic.apdus, this.#expected, elapsedMs));
  }

  #tornError(cause: CodedError): CodedError {
    return new CodedError(
      "WALLET_UPDATE_TORN",
      `Cannot finish: the card left the reader too early; ${this.#standing()}`,
      { cause: cause.code },
    );
  }

  /** An error of somebody else's, and what it means for the card: its holder asks nothing else. */
  #withStanding(error: CodedError): CodedError {
    if (error.code.startsWith("WALLET_")) return error;
    const { details, row } = error;
    const advised = typeof details.next === "string" ? details.next : row.next;
    const next = `${advised} ${UPDATER_ERRORS.WALLET_UPDATE_TORN.next}`;
    return new CodedError(
      error.code,
      `${error.message.replace(/\.$/, "")}; ${this.#standing()}`,
      { ...details, next },
      error,
    );
  }

  #standing(): string {
    if (this.#stage === "proving") return "the update is done, and was not proven yet";
    if (this.#silent || this.#relayed && this.#stage !== "authorizing") {
      return "the card's seed is safe, and it goes on from where it stands";
    }
    return "nothing was changed on the card";
  }
}

/** Errors of a session that is gone with its vault or its instance: the card goes on in a new one. */
const LOST_SESSION: readonly string[] = ["UPDATE_SESSION_GONE", "UPDATE_CHALLENGE", "UPDATE_STEP"];

/** Tries after a right PIN. Spec/card.md, section 4. */
const PIN_TRIES = 3;

const STAGE_OF: Readonly<Record<UpdatePhase, ProgressStage>> = {
  opening: "authorizing",
  authenticating: "authorizing",
  saving: "loading",
  loading: "loading",
  restoring: "restoring",
  done: "restoring",
};

/** Packages have no patch: `1.0.0` is release 1.0. */
const shortVersion = (version: string) => version.replace(/^(\d+\.\d+)\.0$/, "$1");

function requireEnd(end: UpdateEnd, expected: UpdateEnd): void {
  if (end === expected) return;
  throw new CodedError("WALLET_UPDATE_PROTOCOL", `Cannot go on: the service ended the update with ${end}`);
}

function notOffered(why: string): CodedError {
  return new CodedError("WALLET_UPDATE_NOT_OFFERED", `Nothing is offered to this card: ${why}`);
}
