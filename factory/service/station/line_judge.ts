/**
 * Judgement on the line, per reader and for the station: how the last cards ended decides whether the next one begins.
 * A stop is in the journal, so a restart does not lift it; only a person's act does.
 */

import { chipTraits } from "../../domain/judgement/chip_traits.ts";
import {
  cardsToKeep,
  judge,
  type JudgedCard,
  type JudgementLimits,
} from "../../domain/judgement/judgement.ts";
import { describeShared, sharedTraits } from "../../domain/judgement/shared_traits.ts";
import { judgedOutcome, type LineLimits, STATION_SCOPE, stopWords } from "../../domain/judgement/line.ts";
import type { JournalStop } from "../../transport/journal/port.ts";
import type { StationContext } from "./context.ts";
import type { CardReport } from "./events.ts";

/** What the judge works with. */
export type LineJudgeContext =
  & Pick<
    StationContext,
    "journal" | "clock" | "emit" | "operator" | "packageSha256"
  >
  & { readonly limits: LineLimits };

/** The judge; see the module's comment. */
export class LineJudge {
  readonly #context: LineJudgeContext;
  readonly #recent = new Map<string, JudgedCard[]>();

  constructor(context: LineJudgeContext) {
    this.#context = context;
  }

  /** The stop that holds a reader back: its own, or the station's. */
  stopOf(reader: string): JournalStop | undefined {
    return this.stops().find(({ scope }) => scope === STATION_SCOPE || scope === reader);
  }

  /** What is stopped. */
  stops(): JournalStop[] {
    return this.#context.journal.stops();
  }

  /** A card has ended: judges its reader and the station. What it stops is on disk when this resolves. */
  async saw(card: CardReport): Promise<void> {
    const outcome = judgedOutcome(card);
    if (outcome === undefined) return;
    const { packageSha256, limits, journal } = this.#context;
    const judged: JudgedCard = {
      outcome,
      traits: {
        ...(card.reason === null ? {} : { reason: card.reason }),
        reader: card.reader,
        ...(packageSha256 === null ? {} : { package: packageSha256 }),
        ...chipTraits(card.cplc ?? null),
      },
    };
    this.#judge(card.reader, limits.reader, judged);
    this.#judge(STATION_SCOPE, limits.station, judged);
    await journal.flush();
  }

  #judge(scope: string, limits: JudgementLimits, card: JudgedCard): void {
    const recent = [...this.#recent.get(scope) ?? [], card].slice(-cardsToKeep(limits));
    this.#recent.set(scope, recent);
    if (this.stops().some((stop) => stop.scope === scope)) return;
    const judgement = judge(limits, recent);
    if (judgement.kind === "go") return;
    const shared = sharedTraits(judgement.failures, judgement.others).map(describeShared);
    const reason = stopWords(judgement, shared);
    const { journal, clock } = this.#context;
    journal.stop({ scope, reason, at: clock.now() });
    this.#tell(scope, judgement.code, reason, shared);
  }

  /** Tells again what an earlier run stopped. */
  tellStops(): void {
    for (const { scope, reason } of this.stops()) this.#tell(scope, "LINE_STOPPED", reason, []);
  }

  #tell(scope: string, code: string, reason: string, shared: readonly string[]): void {
    const reader = scope === STATION_SCOPE ? null : scope;
    this.#context.emit({ event: "stopped", reader, code, reason, shared });
  }

  /** A person has looked at it and says that work goes on: counting begins anew. */
  async goOn(): Promise<void> {
    const { journal, emit, operator } = this.#context;
    for (const { scope } of this.stops()) {
      journal.release(scope);
      this.#recent.delete(scope);
      // Cards of a reader are the station's cards too: the same ones must not stop it again at once.
      if (scope === STATION_SCOPE) this.#recent.clear();
      emit({ event: "resumed", reader: scope === STATION_SCOPE ? null : scope, operator });
    }
    await journal.flush();
  }
}
