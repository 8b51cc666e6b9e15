/** A look at the card after a failure, so that a person knows what was left behind. Never throws: the first failure is the one that counts. */

import { type Aftermath, aftermath, type Intent, type Observed } from "../../domain/card_tool/aftermath.ts";
import { readKeyVersions } from "./keys.ts";
import { lifeCycleOf } from "./lock.ts";
import { selectDomain } from "./look.ts";
import { type ChannelWish, openDomain } from "./open.ts";
import { aidsOf, readRegistry } from "./registry.ts";
import type { ToolSession } from "./session.ts";
import { fromHex } from "shared/base/bytes.ts";

async function observe(session: ToolSession, intent: Intent, wish: ChannelWish): Promise<Observed> {
  try {
    if (intent.kind === "put-keys" || intent.kind === "delete-keys") {
      if (session.secureChannel === undefined) await selectDomain(session, wish.domain);
      const versions = await readKeyVersions(session);
      return versions === undefined ? {} : { keyVersions: versions };
    }
    // The same keys opened a channel a moment ago: opening it again tries nothing new.
    if (session.secureChannel === undefined) await openDomain(session, wish);
    if (intent.kind === "set-status") {
      const target = intent.aid === undefined
        ? { kind: "card" } as const
        : { kind: "application", aid: fromHex(intent.aid), withApplications: false } as const;
      const lifeCycle = await lifeCycleOf(session, target);
      return lifeCycle === undefined ? {} : { lifeCycle };
    }
    return { registry: aidsOf(await readRegistry(session)) };
  } catch {
    return {};
  }
}

/** What the failed command left; undefined when it had changed nothing. */
export async function lookAfterFailure(
  session: ToolSession,
  intent: Intent | undefined,
  wish: ChannelWish,
): Promise<Aftermath | undefined> {
  if (intent === undefined || !session.changed || session.dryRun) return undefined;
  return aftermath(intent, await observe(session, intent, wish));
}
