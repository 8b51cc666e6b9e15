/** `rk wallet update --check`: what is on the card, what is offered to it, and why or why not. */

import { type Offer, offer, withCounter } from "shared/protocol/release/target.ts";
import type { CardFacts } from "../wallet/card_facts.ts";
import type { CardSession } from "../wallet/card_session.ts";
import { CardAccess, newTraffic } from "./card_access.ts";
import type { FoundRelease } from "./ports.ts";
import { RECOVERY_KEY, releaseFacts } from "./product.ts";
import type { UpdateOptions } from "./updater.ts";

/** What a look at a card and its releases gives. */
export interface UpdateCheck {
  /** Null: it has no applet that can be selected. */
  readonly card: CardFacts | null;
  /** Version on the card; null when it does not say. */
  readonly installed: string | null;
  /** Null: it has no applet, and this wallet knows of no update: another wallet's, or no Recovery Key at all. */
  readonly inUpdate: boolean | null;
  readonly release: { readonly version: string; readonly notes: string } | null;
  readonly offer: Offer | { readonly offered: false; readonly reason: "no-release" | "no-applet" };
}

/** Looks what is on the card and what is offered to it. Nothing on the card changes and no PIN is asked. */
export async function checkUpdate(options: UpdateOptions): Promise<UpdateCheck> {
  const access = new CardAccess(
    await options.connect(),
    options.trust,
    options.random,
    newTraffic(),
    () => {},
  );
  try {
    const cplc = await access.cplc();
    const session = await access.open();
    const entry = options.journal.find(cplc);
    const release = session === undefined
      ? await options.releases.newest(RECOVERY_KEY)
      : await options.releases.choose(releaseFacts(session.status));
    const told = release &&
      { version: release.verified.release.version, notes: release.verified.release.notes };
    const card = await session?.facts() ?? null;
    return {
      card,
      installed: card?.version ?? entry?.from ?? null,
      inUpdate: session !== undefined ? false : entry !== undefined ? true : null,
      release: told ?? null,
      offer: release === undefined
        ? { offered: false, reason: "no-release" }
        : session === undefined
        ? entry === undefined ? { offered: false, reason: "no-applet" } : { offered: true }
        : offerOf(session, release),
    };
  } finally {
    await access.close();
  }
}

/** What a release is to the card of a session, its version's security counter taken from the metadata. */
export function offerOf(session: CardSession, { verified }: FoundRelease): Offer {
  const card = withCounter(releaseFacts(session.status), verified.releases);
  return offer(card, verified.release, verified.halted !== undefined);
}
