/** In which state a card is, and what that means. Changes nothing but the counter that every opened channel moves. */

import { toHex } from "shared/base/bytes.ts";
import { CARD_LIFE_CYCLE } from "shared/protocol/gp/constants.ts";
import { keyVersions } from "shared/protocol/gp/key_information.ts";
import { SCP_ID } from "shared/protocol/scp03/constants.ts";
import { hexByte } from "../../domain/card_tool/names.ts";
import type { Registry } from "../../domain/card_tool/registry.ts";
import type { FailureRecords } from "../../transport/card_tool/port.ts";
import { type CardFacts, lookAt } from "./look.ts";
import { type ChannelWish, openDomain } from "./open.ts";
import { readRegistry } from "./registry.ts";
import type { ToolSession } from "./session.ts";

/** What was found. */
export interface CardDiagnosis {
  readonly facts: CardFacts;
  /** The channel was opened with the given keys. */
  readonly authenticated: boolean;
  readonly lifeCycle: string | null;
  /** Entries in the registry, when it could be read. */
  readonly counts:
    | { readonly domains: number; readonly applications: number; readonly packages: number }
    | null;
  /** What a person should know, most important first. */
  readonly findings: readonly string[];
}

/** Key version of the card maker's initial key set. GPC 2.3.1, E.4.1 and common practice. */
const INITIAL_KEY_VERSION = 0xff;

/** What the card tells without keys means so much. */
function findingsOf(facts: CardFacts): string[] {
  const findings: string[] = [];
  if (facts.domain === undefined) {
    findings.push(
      "no issuer security domain can be selected: the card is terminated, or is no GlobalPlatform card",
    );
  } else if (facts.domain.cardLocked) {
    findings.push("the card is locked: only the issuer security domain answers; `rk card unlock --card`");
  }
  const channels = facts.cardData?.secureChannels ?? [];
  if (channels.length === 0) findings.push("the card does not say which secure channel it speaks");
  else if (!channels.some(({ scp }) => scp === SCP_ID)) {
    const names = channels.map(({ scp }) => `SCP${hexByte(scp)}`).join(", ");
    findings.push(`the card speaks ${names}, which this tool does not: no key will be tried`);
  }
  if (facts.keys?.some((key) => key.version === INITIAL_KEY_VERSION)) {
    findings.push("key version FF is there: the maker's initial keys were never replaced");
  }
  if (facts.keys !== undefined && keyVersions(facts.keys).length === 0) {
    findings.push("the domain has no keys");
  }
  return findings;
}

function lifeCycleFinding(registry: Registry): string[] {
  switch (registry.issuerDomain?.lifeCycleValue) {
    case CARD_LIFE_CYCLE.OP_READY:
    case CARD_LIFE_CYCLE.INITIALIZED:
      return [
        `the card is ${registry.issuerDomain.lifeCycle}, not yet SECURED: it is not ready to be given away`,
      ];
    case CARD_LIFE_CYCLE.CARD_LOCKED:
      return ["the card is locked: `rk card unlock --card`"];
    default:
      return [];
  }
}

/** Looks; with keys in the wish also through a channel. @throws {CodedError} those of `openDomain`. */
export async function diagnoseCard(
  session: ToolSession,
  records: FailureRecords,
  wish: ChannelWish,
): Promise<CardDiagnosis> {
  const facts = await lookAt(session, wish.domain);
  const failure = await records.read(facts.chip);
  const findings = findingsOf(facts);
  if (failure !== undefined) {
    findings.unshift(
      `an authentication failed at ${failure.time} (${failure.outcome}, key version ${
        hexByte(failure.keyVersion)
      }, ` +
        `ENC check value ${failure.encCheckValue}): no keys are tried without --retry-authentication`,
    );
  }
  if (wish.keys === undefined) {
    return { facts, authenticated: false, lifeCycle: null, counts: null, findings };
  }
  await openDomain(session, wish);
  const registry = await readRegistry(session);
  const locked = [...registry.domains, ...registry.applications].filter((row) =>
    /LOCKED/.test(row.lifeCycle)
  );
  return {
    facts,
    authenticated: !session.dryRun,
    lifeCycle: registry.issuerDomain?.lifeCycle ?? null,
    counts: {
      domains: registry.domains.length,
      applications: registry.applications.length,
      packages: registry.packages.length,
    },
    findings: [
      ...findings,
      ...lifeCycleFinding(registry),
      ...locked.map((row) => `${row.aid} is locked: \`rk card unlock ${row.aid}\``),
    ],
  };
}

/** Secure channels in words: `SCP03 i=70`. */
export function channelWords(facts: CardFacts): string[] {
  return (facts.cardData?.secureChannels ?? []).map(({ scp, i }) => `SCP${hexByte(scp)} i=${hexByte(i)}`);
}

/** Facts for programs. */
export function factsReport(facts: CardFacts): Record<string, unknown> {
  return {
    chip: facts.chip,
    domain: facts.domain === undefined ? null : toHex(facts.domain.aid),
    maxCommandData: facts.domain?.maxCommandData ?? null,
    cardLocked: facts.domain?.cardLocked ?? null,
    globalPlatform: facts.cardData?.globalPlatformVersion ?? null,
    secureChannels: channelWords(facts),
    keyDiversificationData: facts.kdd === undefined ? null : toHex(facts.kdd),
    sequenceCounter: facts.sequenceCounter === undefined ? null : toHex(facts.sequenceCounter),
    unanswered: facts.unanswered,
  };
}
