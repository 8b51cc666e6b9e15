/**
 * Runs the personalization table on one card: looks at it, lets it onto the line, walks the steps, and says how it
 * ended. The order of effects is always: what was done before is in the journal, then the next effect.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf, errorRow } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import type { SecurityLevel } from "shared/protocol/scp03/constants.ts";
import { type StaticKeys, wipeStaticKeys } from "shared/protocol/scp03/keys.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { staticKeys } from "../../domain/personalization/content.ts";
import { checkAnswer, type Exchange, type StepTools } from "../../domain/personalization/exchange.ts";
import { type CardFacts, chipKey, chipOf } from "../../domain/personalization/facts.ts";
import {
  AUTHENTICATION_FAILURES,
  decideFailure,
  type Disposition,
} from "../../domain/personalization/failure.ts";
import { RESUMPTION, type StepName } from "../../domain/personalization/resumption.ts";
import { happened, type Step, stepsOf } from "../../domain/personalization/steps.ts";
import type { JournalCard } from "../../transport/journal/port.ts";
import { ACTIONS } from "./actions.ts";
import { arrive, issuerChannel } from "./arrival.ts";
import { APPLET_LEVEL, CardLink } from "./card_link.ts";
import { closeRecord } from "./close_record.ts";
import type { StationContext } from "./context.ts";
import { operatorOf } from "./event_entries.ts";
import type { CardReport } from "./events.ts";
import { patient } from "./patience.ts";
import { explainFailure, openSame } from "./same_card.ts";
import { isUnproven } from "./unproven.ts";

/** One card on one reader. */
export interface CardRunOptions {
  readonly context: StationContext;
  readonly reader: string;
  readonly channel: CardChannel;
  /** Aborted when the card has left the reader: nobody waits for a service then. */
  readonly gone?: AbortSignal;
}

/** Personalizes the card and lets it go. Never throws: every end is a report. */
export async function personalizeCard(options: CardRunOptions): Promise<CardReport> {
  return await new CardRun(options).run();
}

const OUTCOME: Readonly<Record<Disposition, CardReport["outcome"]>> = {
  again: "failed",
  station: "failed",
  refused: "refused",
  scrapped: "scrapped",
};

class CardRun {
  readonly #context: StationContext;
  readonly #reader: string;
  readonly #link: CardLink;
  readonly #facts: CardFacts;
  readonly #steps: readonly Step[];
  readonly #begun: number;
  #card: JournalCard | undefined;
  #transportKeys: StaticKeys | undefined;
  #release: () => void = () => {};
  /** What nobody waits for but the end. */
  readonly #forgotten: Promise<unknown>[] = [];
  /** A step whose result is not there yet. */
  #background:
    | { readonly step: Step; readonly result: Promise<JournalCard>; failed: boolean }
    | undefined;
  #step: StepName = "look";
  /** The entry that says that this card is worked on. */
  #entered: Promise<void> | undefined;

  constructor({ context, reader, channel, gone }: CardRunOptions) {
    const { clock, random, stop, batch, loadPlan } = context;
    this.#context = {
      ...context,
      attestation: patient({
        port: context.attestation,
        milliseconds: context.patienceMilliseconds,
        reader,
        emit: context.emit,
        now: () => clock.monotonic(),
        gone: gone === undefined ? stop : AbortSignal.any([stop, gone]),
      }),
    };
    this.#reader = reader;
    this.#link = new CardLink({ channel, clock, random, stop });
    this.#steps = stepsOf(batch.profile);
    this.#begun = clock.monotonic();
    this.#facts = {
      cplc: null,
      keyVersions: null,
      otherDiversificationData: new Map(),
      isdKeysReplaced: false,
      issuerPublicKey: fromHex(batch.issuerPublicKey),
      cardMilliseconds: 0,
      ...(loadPlan === undefined ? {} : { loadPlan }),
    };
  }

  async run(): Promise<CardReport> {
    try {
      this.#tell("look", "looking at the card", 0);
      const reportOnly = await this.#admit();
      for (const [i, step] of this.#steps.entries()) {
        if (reportOnly && step.action !== "close") continue;
        if (happened(step, this.#facts, this.#context.batch.profile)) continue;
        // No serial for this card: nothing more is written on it.
        if (this.#background?.failed) await this.#settle();
        this.#tell(step.name, step.words, i + 1);
        await this.#run(step);
      }
      return this.#report("attested", null);
    } catch (error) {
      return await this.#fail(error);
    } finally {
      // What it may still bring must be wiped as well.
      await this.#background?.result.catch(() => {});
      await Promise.all(this.#forgotten);
      this.#forget();
      // Nothing rests on these last notes: they need not be waited for.
      this.#context.journal.flush().catch(() => {});
      await this.#link.close();
      this.#release();
    }
  }

  async #admit(): Promise<boolean> {
    const reportOnly = await arrive({
      context: this.#context,
      reader: this.#reader,
      link: this.#link,
      facts: this.#facts,
      keys: () => this.#keysForTry(),
      onPhase: (phase) => this.#step = phase,
      onCard: (card) => this.#card = card,
      onLocked: (release) => this.#release = release,
    });
    if (this.#link.target === "isd") this.#authenticated();
    return reportOnly;
  }

  /** The transport keys, when the journal says on disk that they are about to be tried on this chip. */
  async #keysForTry(): Promise<StaticKeys> {
    const keys = await this.#keys();
    const { journal } = this.#context;
    this.#note("authenticate", "begun");
    this.#card = journal.change(this.#card!.id, { attempts: this.#card!.attempts + 1 });
    await Promise.all([journal.flush(), this.#enter()]);
    return keys;
  }

  /** Enters that the card is about to be changed, once: without the entry it is not. */
  #enter(): Promise<void> {
    const { events, operator } = this.#context;
    const serial = this.#serial();
    return this.#entered ??= events.record("station.card", {
      actor: operatorOf(operator),
      subject: serial === null
        ? { kind: "chip", identifier: this.#chipName() }
        : { kind: "card", identifier: serial },
      outcome: "intended",
    });
  }

  /** The CPLC, by which people know a chip; where there is none what its keys are made from. */
  #chipName(): string {
    const { cplc, keyDiversificationData } = chipOf(this.#facts);
    return cplc ?? keyDiversificationData;
  }

  /** The card answered: the try did not stay without an outcome. */
  #authenticated(): void {
    this.#note("authenticate", "done");
    this.#card = this.#context.journal.change(this.#card!.id, { attempts: 0 });
  }

  /** The transport keys of this card, fetched once. */
  async #keys(): Promise<StaticKeys> {
    const { batch, attestation } = this.#context;
    const { given, lengthBytes } = batch.profile.isdKeys;
    this.#transportKeys ??= given !== null ? staticKeys(given) : await attestation.cardKeys({
      batch: batch.batch,
      chip: chipOf(this.#facts),
      keyLengthBytes: lengthBytes,
    });
    return this.#transportKeys;
  }

  async #run(step: Step): Promise<void> {
    const { context } = this;
    if (step.needsSerial) await this.#settle();
    await this.#enter();
    await this.#openFor(step);
    const { durable } = RESUMPTION[step.name];
    if (durable === "before") {
      this.#note(step.name, "begun");
      await context.journal.flush();
    }
    this.#facts.cardMilliseconds = this.#link.cardMilliseconds;
    if (step.exchanges !== undefined) {
      for (const exchange of step.exchanges(this.#facts, context.batch.profile, this.#tools)) {
        await this.#exchange(step, exchange, durable === "answer");
      }
    }
    if (step.action !== undefined) {
      const scene = { context, facts: this.#facts, link: this.#link, card: this.#card! };
      const result = ACTIONS[step.action](scene);
      if (step.background === "forget") {
        this.#forgotten.push(result.catch(() => {}));
        return;
      }
      if (step.background === "wait") {
        // A failure is seen where the result is waited for.
        const background = { step, result, failed: false };
        result.catch(() => background.failed = true);
        this.#background = background;
        return;
      }
      this.#card = await result;
    }
    this.#note(step.name, "done");
    this.#seeLifeCycle();
  }

  /** The journal learns how far the applet is, from what the card itself said. */
  #seeLifeCycle(): void {
    const lifeCycle = this.#facts.applet?.lifeCycle ?? 0;
    if (this.#card === undefined || lifeCycle <= this.#card.lifeCycle) return;
    this.#card = this.#context.journal.change(this.#card.id, { lifeCycle });
  }

  /** Waits for the step in the background: its result is on disk before anything rests on it. */
  async #settle(): Promise<void> {
    if (this.#background === undefined) return;
    const { step, result } = this.#background;
    this.#background = undefined;
    try {
      this.#card = await result;
    } catch (error) {
      // It failed there, and not at the step that needed it.
      this.#step = step.name;
      throw error;
    }
    this.#note(step.name, "done");
    await this.#context.journal.flush();
  }

  get context(): StationContext {
    return this.#context;
  }

  readonly #tools: StepTools = {
    encryptWithDek: (data) => this.#link.channel.encryptWithDek(data),
    randomKeys: (lengthBytes) => ({
      enc: new Secret(this.#context.random(lengthBytes)),
      mac: new Secret(this.#context.random(lengthBytes)),
      dek: new Secret(this.#context.random(lengthBytes)),
    }),
  };

  async #exchange(step: Step, exchange: Exchange, record: boolean): Promise<void> {
    const channel = step.channel === "none" ? undefined : this.#link.channel;
    const answer = channel
      ? await channel.send(exchange.command)
      : await this.#link.transmit(exchange.command);
    if (record) {
      this.#note(step.name, "begun", toHex(answer.data));
      await this.#context.journal.flush();
    }
    checkAnswer(exchange, answer, this.#facts);
  }

  /** Opens the channel that a step talks through, unless it is open. */
  async #openFor(step: Step): Promise<void> {
    const { aids, isdKeys, ssdKeys, ssd, personalizeThrough, appletChannel, securityLevel } =
      this.#context.batch.profile;
    if (step.channel === "none") return;
    const target = step.channel === "owner" ? personalizeThrough : step.channel;
    if (this.#link.target === target) return;
    if (target === "isd") {
      const keys = () => this.#keysForTry();
      await openSame(this.#link, this.#facts, this.#context.batch.profile, {
        ...issuerChannel(this.#context.batch.profile),
        keys,
      });
      this.#authenticated();
      return;
    }
    const ownKeys = target === "ssd"
      ? ssd === "present" || this.#facts.content?.ssdKeyed === true
      : appletChannel === "ssd";
    const keys = ownKeys ? staticKeys(ssdKeys!) : await this.#keys();
    await openSame(this.#link, this.#facts, this.#context.batch.profile, {
      target,
      aid: target === "ssd" ? aids.ssdInstance : aids.appletInstance,
      keyVersion: ownKeys ? ssdKeys!.version : isdKeys.version,
      keys: () => Promise.resolve(keys),
      level: target === "ssd" ? parseInt(securityLevel, 16) as SecurityLevel : APPLET_LEVEL,
    });
  }

  #note(step: StepName, state: "begun" | "done" | "failed", note: string | null = null): void {
    const { journal, clock } = this.#context;
    journal.note({ card: this.#card!.id, step, state, note, at: clock.now() });
  }

  #tell(step: StepName, words: string, position: number): void {
    this.#step = step;
    this.#context.emit({
      event: "step",
      reader: this.#reader,
      step,
      words,
      position,
      steps: this.#steps.length,
      serial: this.#serial(),
    });
  }

  #serial(): string | null {
    return this.#card?.serial ?? (this.#facts.serial ? toHex(this.#facts.serial) : null);
  }

  /** Decides what follows from a failure, writes it down, and tells the service when the card is scrapped. */
  async #fail(thrown: unknown): Promise<CardReport> {
    const { journal, clock, batch } = this.#context;
    const step = this.#step;
    const error = await explainFailure(this.#link, this.#facts, batch.profile, thrown, step);
    const code = codeOf(error);
    let { disposition, counts } = decideFailure(code, step, this.#card?.failures ?? 0);
    try {
      // A good card whose closure could not be told is good all the same; it is told later.
      const finished = this.#card !== undefined &&
        journal.find(this.#card.chip, this.#serial() ?? undefined)?.state === "good";
      if (finished && disposition !== "scrapped") return this.#report("failed", error, step);
      if (AUTHENTICATION_FAILURES.has(code) && !batch.profile.anonymousChips) {
        journal.block(chipKey(chipOf(this.#facts)), code, clock.now());
      }
      if (this.#card !== undefined) {
        this.#note(step, "failed", code);
        this.#card = journal.change(this.#card.id, {
          apdus: this.#card.apdus + this.#link.apdus,
          reason: code,
          // A refusal is an answer: it is known, and blocks the chip by itself.
          ...(AUTHENTICATION_FAILURES.has(code) ? { attempts: 0 } : {}),
          ...(counts ? { failures: this.#card.failures + 1 } : {}),
          ...(disposition === "scrapped" ? { state: "scrapped" as const } : {}),
          // Another station finished it, or it was begun by mistake: there is nothing to come back for.
          ...(this.#isOver(code, disposition) ? { closed: true } : {}),
        });
      }
      await journal.flush();
      if (disposition === "scrapped" && this.#card !== undefined) {
        await closeRecord(this.#context, this.#card);
        await journal.flush();
      }
    } catch (second) {
      // The failure itself is what the operator must see; what could not be told is told at the next start.
      this.#context.emit({
        event: "warning",
        code: codeOf(second),
        message: second instanceof Error ? second.message : String(second),
      });
      if (disposition !== "scrapped") disposition = "station";
    }
    return this.#report(OUTCOME[disposition], error, step);
  }

  #isOver(code: string, disposition: Disposition): boolean {
    if (code === "ATTEST_CHIP_CLOSED") return true;
    if (this.#card !== undefined && isUnproven(this.#card)) return true;
    return this.#card?.reservation === null && (code === "CARD_SWAPPED" || disposition === "refused");
  }

  #report(outcome: CardReport["outcome"], error: unknown, step: string | null = null): CardReport {
    const coded = error instanceof CodedError ? error : undefined;
    const next = coded === undefined ? undefined : coded.details["next"];
    return {
      serial: this.#serial() ??
        (this.#facts.applet && outcome === "refused" ? toHex(this.#facts.applet.serial) : null),
      outcome,
      reader: this.#reader,
      apdus: this.#link.apdus,
      milliseconds: round(this.#context.clock.monotonic() - this.#begun),
      cardMilliseconds: round(this.#link.cardMilliseconds),
      certificateSha256: outcome === "attested"
        ? this.#facts.certificateSha256 ?? this.#card?.certificateSha256 ?? null
        : null,
      reason: error === null ? null : codeOf(error),
      message: error === null ? null : error instanceof Error ? error.message : String(error),
      next: error === null ? null : typeof next === "string" ? next : errorRow(codeOf(error)).next,
      step,
      cplc: this.#facts.cplc === null ? null : toHex(this.#facts.cplc),
    };
  }

  /** Wipes what must not outlive the presentation. */
  #forget(): void {
    this.#facts.personalizationKey?.wipe();
    if (this.#facts.throwAwayKeys) wipeStaticKeys(this.#facts.throwAwayKeys);
    if (this.#transportKeys) wipeStaticKeys(this.#transportKeys);
  }
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}
