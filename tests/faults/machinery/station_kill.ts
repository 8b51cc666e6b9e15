/**
 * A station that is killed with SIGKILL at a commit of its journal, or while the attestation service commits its request: the
 * real program under its permission set, with virtual readers, started again each time on the same journal.
 */

import { runSpec } from "cli/commands/station.ts";
import { type Child, startChild } from "cli/process/child.ts";
import { freePort } from "cli/spine/ports.ts";
import { blankCard } from "cli/spine/card_maker.ts";
import { attachToVpcd } from "device/card/vpcd.ts";
import { VirtualCard } from "device/card/virtual_card.ts";
import type { CardReport } from "factory/service/station/events.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { CommitSide } from "./commit_proxy.ts";
import type { SpineLine } from "./spine_line.ts";

const STOP = decodeURIComponent(new URL("./stop_at_commit.ts", import.meta.url).pathname);

/** Longest wait for a commit that may not come, in milliseconds. */
const LATE_MS = 5_000;

/** Where a station dies: at a commit of its own journal, or at one of the service's database. */
export interface StationKill {
  readonly of: "journal" | "database";
  /** From 1. */
  readonly commit: number;
  readonly side: CommitSide;
}

/** A line of one reader whose station can be killed. */
export class KillableStation {
  readonly #spine: SpineLine;
  readonly #batchFile: string;
  readonly #port = freePort();
  #station: Child | undefined;
  #lines: AsyncIterator<string> | undefined;
  #detach: (() => Promise<void>) | undefined;

  constructor(spine: SpineLine, batchFile: string) {
    this.#spine = spine;
    this.#batchFile = batchFile;
  }

  /** A card as its maker delivers it. */
  async blank(): Promise<VirtualCard> {
    return await VirtualCard.open(await blankCard(this.#spine.spine.token.hsm, SYSTEM_RANDOM));
  }

  /** Presents a card and waits for its report. */
  async present(card: VirtualCard): Promise<CardReport> {
    await this.#start();
    this.#attach(card);
    const event = await this.#next("card");
    await this.#takeAway();
    return event.card as CardReport;
  }

  /** Presents a card, with the station dying on the way, in most cases before it reports. */
  async presentAndKill(
    card: VirtualCard,
    kill: StationKill,
  ): Promise<{ report: CardReport | undefined; happened: boolean }> {
    await this.#start();
    let dead: Promise<unknown> | undefined;
    if (kill.of === "journal") {
      await this.#station!.write(`arm ${kill.commit} ${kill.side}`);
      await this.#next("armed");
    } else {
      let commits = 0;
      this.#spine.proxy.onCommit = async ({ side }) => {
        if (side === kill.side && ++commits === kill.commit) await (dead = this.#kill());
        return true;
      };
    }
    this.#attach(card);
    let event = await this.#next("card", "stopped", "died");
    const report = event.event === "card" ? event.card as CardReport : undefined;
    // The journal's last commit of a card is made when the report is out already.
    if (report !== undefined && kill.of === "journal") event = await this.#next("stopped", "died", "late");
    this.#spine.proxy.onCommit = () => true;
    await (dead ?? this.#kill());
    await this.#takeAway();
    this.#station = undefined;
    return { report, happened: event.event !== "late" && event.event !== "card" };
  }

  /** How often the journal commits for one undisturbed card. */
  async countJournalCommits(card: VirtualCard): Promise<{ commits: number; report: CardReport }> {
    await this.#start();
    await this.#station!.write("count");
    await this.#next("armed");
    const report = await this.present(card);
    await this.#station!.write("count");
    return { commits: Number((await this.#next("armed")).commits), report };
  }

  /** Ends the station in order. */
  async close(): Promise<void> {
    await this.#takeAway();
    await this.#station?.stop();
  }

  async #start(): Promise<void> {
    if (this.#station !== undefined) return;
    const { descriptor } = this.#spine.spine;
    this.#station = await startChild({
      ...runSpec(
        { batch: this.#batchFile, json: true, virtualReaders: `127.0.0.1:${this.#port}` },
        descriptor.stationFile,
        this.#batchFile,
        descriptor,
      ),
      preload: STOP,
      logFile: `${this.#spine.folder}/logs/station.log`,
    });
    this.#lines = this.#station.lines()[Symbol.asyncIterator]();
  }

  async #kill(): Promise<void> {
    await this.#station!.kill();
  }

  #attach(card: VirtualCard): void {
    const away = new AbortController();
    const { done } = attachToVpcd(card, { host: "127.0.0.1", port: this.#port, signal: away.signal });
    this.#detach = async () => {
      away.abort();
      await done;
    };
  }

  async #takeAway(): Promise<void> {
    if (this.#detach === undefined) return;
    await this.#detach();
    this.#detach = undefined;
  }

  /** The next event of one of these kinds; `died` when there is none any more, `late` (if asked for) when none comes. */
  async #next(...kinds: string[]): Promise<Record<string, unknown> & { event: string }> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = kinds.includes("late")
      ? [new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), LATE_MS))]
      : [];
    try {
      for (;;) {
        const result = await Promise.race([this.#lines!.next(), ...late]);
        if (result === "late") return { event: "late" };
        if (result.done) return { event: "died" };
        const event = JSON.parse(result.value) as { event: string };
        if (kinds.includes(event.event)) return event;
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
