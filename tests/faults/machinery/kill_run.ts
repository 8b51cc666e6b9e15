/** One card, with something killed at one of its commits, and the card presented again afterwards. */

import type { VirtualCard } from "device/card/virtual_card.ts";
import type { CardReport } from "factory/service/station/events.ts";
import type { CommitEvent, CommitSide } from "./commit_proxy.ts";
import type { Line } from "./line.ts";
import type { SpineLine, Victim } from "./spine_line.ts";
import { type Tear, tornChannel } from "./tear.ts";
import { isFinal } from "./tear_run.ts";

/** Something dies at a commit of a presentation. */
export interface Kill {
  readonly victim: Victim;
  /** Which commit of the presentation, from 1. */
  readonly commit: number;
  readonly side: CommitSide;
  /** It is started again at once, as a supervisor does; otherwise only when the presentation has ended. */
  readonly supervised: boolean;
}

/** A card with what was done to it. */
export interface KilledCard {
  readonly name: string;
  readonly card: VirtualCard;
  readonly reports: readonly CardReport[];
  /** Whether every fault happened. */
  readonly happened: boolean;
}

/** What is done to one presentation. */
export interface Blow {
  readonly tear?: Tear;
  readonly kill?: Kill;
}

/** How long a card waits on its reader while something is started again, in milliseconds. */
const PATIENCE_MS = 30_000;

/** Counts the commits of one undisturbed presentation: as many kills of each kind there are. */
export async function countCommits(
  spine: SpineLine,
  line: Line,
): Promise<{ commits: number; card: VirtualCard; report: CardReport }> {
  let commits = 0;
  spine.proxy.onCommit = ({ side }) => {
    if (side === "before") commits++;
    return true;
  };
  const card = await line.blank();
  const report = await line.present(tornChannel(card), "recorder");
  spine.proxy.onCommit = () => true;
  return { commits, card, report };
}

/** Presents a card once for each blow, and then until it is final: once more at most. What died is started again each time. */
export async function strike(
  spine: SpineLine,
  line: Line,
  name: string,
  blows: readonly Blow[],
): Promise<KilledCard> {
  const card = await line.blank();
  const reports: CardReport[] = [];
  let happened = true;
  for (const blow of blows) {
    const struck = await strikeOnce(spine, line, card, blow);
    reports.push(struck.report);
    happened &&= struck.happened;
    if (isFinal(struck.report)) return { name, card, reports, happened };
  }
  reports.push(await line.present(tornChannel(card), "reader", { retryAuthentication: true }));
  return { name, card, reports, happened };
}

async function strikeOnce(
  spine: SpineLine,
  line: Line,
  card: VirtualCard,
  { tear, kill }: Blow,
): Promise<{ report: CardReport; happened: boolean }> {
  let commits = 0;
  let killed: Promise<void> | undefined;
  spine.proxy.onCommit = async (event: CommitEvent) => {
    if (kill === undefined || event.side !== kill.side || killed !== undefined) return true;
    if (++commits !== kill.commit) return true;
    const dead = spine.kill(kill.victim, event.who);
    killed = kill.supervised ? dead.then(() => spine.revive()) : dead;
    // The caller waits for it too, and must hear of a failure first.
    killed.catch(() => {});
    await dead;
    // What died took its unsent COMMIT along; that of a service behind a dead gateway is sent all the same.
    return kill.side === "after" || kill.victim === "gateways";
  };
  const channel = tornChannel(card, tear);
  const report = await line.present(channel, "reader", {
    retryAuthentication: true,
    // Nobody waits for what is only started again afterwards.
    patienceMilliseconds: kill?.supervised ? PATIENCE_MS : 0,
  });
  spine.proxy.onCommit = () => true;
  await killed;
  await spine.revive();
  return {
    report,
    happened: (kill === undefined || killed !== undefined) && (tear === undefined || channel.torn),
  };
}
