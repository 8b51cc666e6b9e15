/** What an update must leave as it was, taken before it and compared after it. */

import { createHash } from "node:crypto";
import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import { LIFE_CYCLE } from "shared/protocol/recovery_key/constants.ts";
import { compareVersions } from "shared/protocol/release/target.ts";
import type { CardFacts } from "../wallet/card_facts.ts";
import { identifierOf } from "../wallet/card_facts.ts";
import type { CardSession } from "../wallet/card_session.ts";
import { tries } from "../wallet/wallet.ts";
import type { JournalEntry } from "./journal.ts";
import "../wallet/errors.ts";
import "./errors.ts";

/** Hashes of the keys that the card's seed can have. The session must be unlocked by the PIN. */
export async function seedSignersOf(session: CardSession): Promise<string[]> {
  const keys = await session.seedSigners();
  return keys.map((key) => toHex(createHash("sha256").update(fromHex(key)).digest()));
}

/** Fields that an update leaves alone. */
const KEPT: readonly (keyof CardFacts)[] = ["serial", "certificateSha256", "lifeCycle"];
/** Those of them that its holder may have changed since, when the update was done in an earlier run. */
const KEPT_AT_ONCE: readonly (keyof CardFacts)[] = ["name", "pinTriesLeft"];

/**
 * Compares a card with what is remembered of it; the seed too when a PIN is given.
 * @param expected version that it must have now. @param atOnce the update was done in this run.
 * @returns the card, and whether its seed was proven to be the same: null without PIN, or without seed.
 * @throws {CodedError} `WALLET_UPDATE_OTHER_CARD`, `WALLET_UPDATE_CHANGED`, `WALLET_CARD_PIN_WRONG`, `WALLET_CARD_WIPED`.
 */
export async function proveKept(
  session: CardSession,
  entry: JournalEntry,
  expected: string,
  pin: Secret | undefined,
  atOnce: boolean,
): Promise<{ card: CardFacts; seedKept: true | null }> {
  const card = await session.facts();
  const { before } = entry;
  if (card.serial !== before.serial || card.certificateSha256 !== before.certificateSha256) {
    throw new CodedError(
      "WALLET_UPDATE_OTHER_CARD",
      `Cannot go on: card ${identifierOf(card)} is not the one that the update began with, ${before.serial}`,
    );
  }
  const changed = [...KEPT, ...(atOnce ? KEPT_AT_ONCE : [])].find((field) => card[field] !== before[field]);
  if (changed !== undefined) throw changedError(card, `its ${changed} is not what it was`);
  if (compareVersions(card.version, expected) !== 0) {
    throw changedError(card, `it says that it has version ${card.version}, not ${expected}`);
  }
  const claimed = session.status.packageHash;
  const isNew = compareVersions(expected, entry.to) === 0;
  if (isNew && claimed !== undefined && !equal(claimed, fromHex(entry.loadFileHash))) {
    throw changedError(card, "it says that it has another package than the released one");
  }
  if (card.lifeCycle !== LIFE_CYCLE.USER_PERSONALIZED || pin === undefined) return { card, seedKept: null };
  const outcome = await session.verifyPin(pin);
  if (outcome.kind !== "right") {
    if (outcome.kind === "wiped") {
      throw new CodedError(
        "WALLET_CARD_WIPED",
        `Card ${identifierOf(card)} erased itself: it was the third wrong PIN`,
      );
    }
    const { triesLeft } = outcome;
    throw new CodedError(
      "WALLET_CARD_PIN_WRONG",
      `The update is done. Cannot prove the seed of card ${identifierOf(card)}: wrong PIN, ${
        tries(triesLeft)
      } left`,
      { triesLeft },
    );
  }
  const signers = await seedSignersOf(session);
  if (!signers.some((key) => entry.seedSigners.includes(key))) {
    throw changedError(card, "it holds another seed");
  }
  return { card, seedKept: true };
}

function changedError(card: CardFacts, what: string): CodedError {
  return new CodedError("WALLET_UPDATE_CHANGED", `Cannot rely on card ${identifierOf(card)}: ${what}`);
}
