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
import { APPLET_LIFE_CYCLE } from "../../domain/personalization/start.ts";
import { type Step, stepsOf } from "../../domain/personalization/steps.ts";
import type { JournalCard } from "../../transport/journal/port.ts";
import { ACTIONS, closeRecord } from "./actions.ts";
import { admit } from "./admit.ts";
import { APPLET_LEVEL, CardLink } from "./card_link.ts";
import type { StationContext } from "./context.ts";
import type { CardReport } from "./events.ts";
import { lookAtCard } from "./look.ts";

/** One card on one reader. */
export interface CardRunOptions {
  readonly context: StationContext;
  readonly reader: string;
  readonly channel: CardChannel;
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

/** INITIALIZE UPDATE with a key version that is not there; spec/card.md, section 2. */
const SW_UNKNOWN_KEY_VERSION = 0x6a88;

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
  /** A step whose result is not there yet. */
  #background: { readonly step: Step; readonly result: Promise<JournalCard> } | undefined;
  #step = "look";

  constructor({ context, reader, channel }: CardRunOptions) {
    const { clock, random, stop, batch, loadPlan } = context;
    this.#context = context;
    this.#reader = reader;
    this.#link = new CardLink({ channel, clock, random, stop });
    this.#steps = stepsOf(batch.profile);
    this.#begun = clock.monotonic();
    this.#facts = {
      cplc: null,
      keyVersions: null,
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
        if (step.happened?.(this.#facts, this.#context.batch.profile)) continue;
        this.#tell(step.name, step.words, i + 1);
        await this.#run(step);
      }
      return this.#report("attested", null);
    } catch (error) {
      return await this.#fail(error);
    } finally {
      // What it may still bring must be wiped as well.
      await this.#background?.result.catch(() => {});
      this.#forget();
      // Nothing rests on these last notes: they need not be waited for.
      this.#context.journal.flush().catch(() => {});
      await this.#link.close();
      this.#release();
    }
  }

  /** Steps 1 and 2 of spec/card.md, section 7: the card is looked at, known, and let in. */
  async #admit(): Promise<boolean> {
    const { batch } = this.#context;
    const { profile } = batch;
    const facts = this.#facts;
    const look = await lookAtCard(this.#link, profile);
    facts.cplc = look.cplc;
    facts.keyVersions = look.keyVersions;
    if (look.applet !== undefined) facts.applet = look.applet;
    this.#checkKeyVersions();

    const lifeCycle = facts.applet?.lifeCycle ?? APPLET_LIFE_CYCLE.FABRICATION;
    if (lifeCycle === APPLET_LIFE_CYCLE.FABRICATION && !this.#saysReplaced()) {
      let reportOnly = false;
      this.#step = "authenticate";
      // A SELECT that found no applet has left the ISD selected. GPC 2.3.1, 11.9.
      if (facts.applet !== undefined) await this.#link.selectExisting(profile.aids.isd, "the ISD");
      await this.#link.authenticate({
        ...this.#isdChannel(),
        keys: async (info) => {
          facts.keyDiversificationData = info.keyDiversificationData;
          reportOnly = await this.#letIn();
          // On disk before a serial is asked for or a key is tried: a chip that is torn here is known.
          return await this.#keys();
        },
      });
      return reportOnly;
    }
    // A card with a certificate may have lost its transport keys on purpose: INITIALIZE UPDATE alone tells.
    await this.#link.selectExisting(profile.aids.isd, "the ISD");
    const { replaceIsdKeys, newKeyVersion } = profile.secure;
    let info = await this.#link.probe(profile.isdKeys.version);
    if (info === undefined && replaceIsdKeys) {
      info = await this.#link.probe(newKeyVersion!);
      facts.isdKeysReplaced = info !== undefined;
    }
    if (info === undefined) throw this.#keyVersionMissing();
    facts.keyDiversificationData = info.keyDiversificationData;
    return await this.#letIn();
  }

  async #letIn(): Promise<boolean> {
    const { context, facts } = { context: this.#context, facts: this.#facts };
    this.#step = "admit";
    const { card, reportOnly } = await admit({
      context,
      facts,
      reader: this.#reader,
      onLocked: (release) => this.#release = release,
    });
    this.#card = card;
    this.#step = "authenticate";
    return reportOnly;
  }

  /** Whether the key information says that only the thrown-away keys are there. */
  #saysReplaced(): boolean {
    const { secure, isdKeys } = this.#context.batch.profile;
    const versions = this.#facts.keyVersions;
    return secure.replaceIsdKeys && versions !== null && !versions.includes(isdKeys.version) &&
      versions.includes(secure.newKeyVersion!);
  }

  /** Key information, where the card has it, spares it an INITIALIZE UPDATE with a version that is not there. */
  #checkKeyVersions(): void {
    const { version } = this.#context.batch.profile.isdKeys;
    const versions = this.#facts.keyVersions;
    // FF: a blank card's initial keys, which some cards list under this number whatever version they answer to.
    if (version === 0 || versions === null || versions.length === 0 || versions.includes(0xff)) return;
    if (!versions.includes(version) && !this.#saysReplaced()) throw this.#keyVersionMissing();
  }

  #keyVersionMissing(): CodedError {
    const { version } = this.#context.batch.profile.isdKeys;
    const there = this.#facts.keyVersions?.join(", ");
    return new CodedError(
      "CARD_KEY_VERSION",
      `Cannot use card: it has no keys of version ${version}${there ? `, only ${there}` : ""}`,
    );
  }

  #isdChannel() {
    const { aids, isdKeys, securityLevel } = this.#context.batch.profile;
    const level = parseInt(securityLevel, 16) as SecurityLevel;
    return { target: "isd" as const, aid: aids.isd, keyVersion: isdKeys.version, level };
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
    await this.#openFor(step);
    if (step.durable === "before") {
      this.#note(step.name, "begun");
      await context.journal.flush();
    }
    this.#facts.cardMilliseconds = this.#link.cardMilliseconds;
    if (step.exchanges !== undefined) {
      for (const exchange of step.exchanges(this.#facts, context.batch.profile, this.#tools)) {
        await this.#exchange(step, exchange);
      }
    }
    if (step.action !== undefined) {
      const scene = { context, facts: this.#facts, link: this.#link, card: this.#card! };
      const result = ACTIONS[step.action](scene);
      if (step.background) {
        // A failure is seen where the result is waited for.
        result.catch(() => {});
        this.#background = { step, result };
        return;
      }
      this.#card = await result;
    }
    this.#note(step.name, "done");
    if (step.durable === "after") await context.journal.flush();
  }

  /** Waits for the step in the background: its result is on disk before anything rests on it. */
  async #settle(): Promise<void> {
    if (this.#background === undefined) return;
    const { step, result } = this.#background;
    this.#background = undefined;
    this.#card = await result;
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

  async #exchange(step: Step, exchange: Exchange): Promise<void> {
    const channel = step.channel === "none" ? undefined : this.#link.channel;
    const answer = channel
      ? await channel.send(exchange.command)
      : await this.#link.transmit(exchange.command);
    if (exchange.record) {
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
      await this.#link.open({ ...this.#isdChannel(), keys: () => this.#keys() });
      return;
    }
    const ownKeys = target === "ssd"
      ? ssd === "present" || this.#facts.content?.ssdKeyed === true
      : appletChannel === "ssd";
    const keys = ownKeys ? staticKeys(ssdKeys!) : await this.#keys();
    await this.#link.open({
      target,
      aid: target === "ssd" ? aids.ssdInstance : aids.appletInstance,
      keyVersion: ownKeys ? ssdKeys!.version : isdKeys.version,
      keys,
      level: target === "ssd" ? parseInt(securityLevel, 16) as SecurityLevel : APPLET_LEVEL,
    });
  }

  #note(step: string, state: "begun" | "done" | "failed", note: string | null = null): void {
    const { journal, clock } = this.#context;
    journal.note({ card: this.#card!.id, step, state, note, at: clock.now() });
  }

  #tell(step: string, words: string, position: number): void {
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
  async #fail(error: unknown): Promise<CardReport> {
    const { journal, clock, batch } = this.#context;
    if (
      codeOf(error) === "SCP03_INITIALIZE_REFUSED" &&
      (error as CodedError).details.sw === SW_UNKNOWN_KEY_VERSION
    ) {
      error = this.#keyVersionMissing();
    }
    const code = codeOf(error);
    const step = this.#step;
    let { disposition, counts } = decideFailure(code, this.#card?.failures ?? 0);
    try {
      // A good card whose closure could not be told is good all the same; it is told later.
      if (
        this.#card !== undefined &&
        journal.find(this.#card.chip, this.#serial() ?? undefined)?.state === "good"
      ) {
        return this.#report("failed", error, step);
      }
      if (AUTHENTICATION_FAILURES.has(code) && !batch.profile.anonymousChips) {
        journal.block(chipKey(chipOf(this.#facts)), code, clock.now());
      }
      if (this.#card !== undefined) {
        this.#note(step, "failed", code);
        this.#card = journal.change(this.#card.id, {
          apdus: this.#card.apdus + this.#link.apdus,
          reason: code,
          ...(counts ? { failures: this.#card.failures + 1 } : {}),
          ...(disposition === "scrapped" ? { state: "scrapped" as const } : {}),
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
