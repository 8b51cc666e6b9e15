/**
 * The entries of our logs: canonical JSON (RFC 8785) of a few members, none of which holds free text. Who and what are pseudonyms,
 * the rest are values from tables, so that no personal data and no backup identifier has a place to be in.
 */

import { z } from "zod";
import { fromStrictBase64 } from "../base/base64.ts";
import { toUtf8 } from "../base/bytes.ts";
import { canonicalJson, type Json } from "../base/canonical_json.ts";
import { CodedError, defineErrors, errorTable } from "../base/errors.ts";
import { ERROR_CODE, EVENT_NAMES, type EventName, eventRow, type Outcome, OUTCOMES } from "./events.ts";
import { PSEUDONYM, pseudonymKind } from "./pseudonym.ts";
import { exactText } from "./text.ts";

/** Longest entry in bytes. Bundles allow 65,535; ours have some 300. */
export const LEAF_LENGTH_MAX = 1024;
/** Largest `count` of an entry. */
export const LEAF_COUNT_MAX = 999_999_999;
/** Length of the commitment to an attachment in bytes. */
export const COMMITMENT_LENGTH = 32;

/** UTC, milliseconds, always 24 characters: text order is time order. */
const TIME =
  /^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}\.[0-9]{3}Z$/;
/** Project and number, as issue trackers write them. */
const TICKET = /^[A-Z][A-Z0-9]{1,9}-[1-9][0-9]{0,8}$/;
/** Version, and the commit that it was built from. */
const SOFTWARE = /^(0|[1-9][0-9]{0,3})(\.(0|[1-9][0-9]{0,3})){2}(\+[0-9a-f]{7,40})?$/;
const REASON = /^(?=.{3,40}$)[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*$/;

/** The 31st of February is read as a day in March: writing it again shows it. */
function isCalendarTime(text: string): boolean {
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString() === text;
}

const SCHEMA = z.strictObject({
  time: z.string().regex(TIME).refine(isCalendarTime),
  event: z.enum(EVENT_NAMES as [EventName, ...EventName[]]),
  actor: z.string().regex(PSEUDONYM),
  subject: z.string().regex(PSEUDONYM).optional(),
  ticket: z.string().regex(TICKET).optional(),
  outcome: z.enum(OUTCOMES),
  reason: z.string().regex(REASON).optional(),
  count: z.int().min(2).max(LEAF_COUNT_MAX).optional(),
  software: z.string().regex(SOFTWARE),
  attachment: z.string().refine((text) => fromStrictBase64(text)?.length === COMMITMENT_LENGTH).optional(),
});

/** One entry. Members that do not apply are absent, never null or empty. */
export interface Leaf {
  /** When it was written: `2026-11-21T14:29:09.123Z`. */
  readonly time: string;
  readonly event: EventName;
  /** Who did it: a pseudonym of a kind that the event allows. */
  readonly actor: string;
  /** What it was done to: likewise. */
  readonly subject?: string;
  /** The ticket that the act belongs to: `OPS-1234`. */
  readonly ticket?: string;
  readonly outcome: Outcome;
  /** Why: a code that the event allows. */
  readonly reason?: string;
  /** Entries that this one stands for, 2 or more; absent: one. Refusals that repeat are counted. */
  readonly count?: number;
  /** Version of the program that wrote it: `1.2.3` or `1.2.3+<commit>`. */
  readonly software: string;
  /** Commitment to an attachment: Base64 of 32 bytes. */
  readonly attachment?: string;
}

/** Time of an entry as its member has it. @param now milliseconds since 1970, up to the year 2099. */
export function leafTime(now: number): string {
  return new Date(now).toISOString();
}

/**
 * Bytes of an entry. A reason that is an error code must be one that this program has, so that nothing else can be passed off
 * as one.
 * @throws {CodedError} `LEAF_SCHEMA`, `LEAF_EVENT`, `LEAF_TOO_LARGE`.
 */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  const checked = check(leaf);
  if (checked.reason !== undefined && !isListed(checked) && !errorTable().has(checked.reason)) {
    throw new CodedError("LEAF_EVENT", `Cannot write entry ${checked.event}: its reason is no error code`);
  }
  const bytes = toUtf8(canonicalJson(checked as unknown as Json));
  if (bytes.length > LEAF_LENGTH_MAX) throw tooLarge(bytes.length);
  return bytes;
}

/**
 * Reads an entry; only the bytes that {@link encodeLeaf} writes are one.
 * @throws {CodedError} `LEAF_TOO_LARGE`, `LEAF_NOT_CANONICAL`, `LEAF_SCHEMA`, `LEAF_EVENT`.
 */
export function parseLeaf(bytes: Uint8Array): Leaf {
  if (bytes.length > LEAF_LENGTH_MAX) throw tooLarge(bytes.length);
  const text = exactText(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch {
    throw new CodedError("LEAF_NOT_CANONICAL", "Cannot read entry: it is not JSON");
  }
  const leaf = check(value);
  // Also what shows a member that is there twice: JSON.parse keeps the last.
  if (canonicalJson(leaf as unknown as Json) !== text) {
    throw new CodedError("LEAF_NOT_CANONICAL", "Cannot read entry: it is not canonical JSON (RFC 8785)");
  }
  return leaf;
}

function check(value: unknown): Leaf {
  const parsed = SCHEMA.safeParse(value);
  if (!parsed.success) {
    // The member, never its value: the value may be what must not be in a log.
    const members = [
      ...new Set(parsed.error.issues.map(({ path }) => String(path[0] ?? "an unknown member"))),
    ];
    throw new CodedError("LEAF_SCHEMA", `Cannot use entry: ${members.join(", ")} is not as the schema says`);
  }
  // An absent member and an undefined one are the same to a caller; only the absent has a canonical text.
  const leaf = Object.fromEntries(
    Object.entries(parsed.data).filter(([, member]) => member !== undefined),
  ) as unknown as Leaf;
  const row = eventRow(leaf.event);
  const wrong = !row.actor.includes(pseudonymKind(leaf.actor))
    ? "actor"
    : leaf.subject !== undefined && !row.subject.includes(pseudonymKind(leaf.subject))
    ? "subject"
    : !row.outcomes.includes(leaf.outcome)
    ? "outcome"
    : leaf.reason !== undefined && !isListed(leaf) && !mayBeErrorCode(leaf)
    ? "reason"
    : undefined;
  if (wrong !== undefined) {
    throw new CodedError(
      "LEAF_EVENT",
      `Cannot use entry ${leaf.event}: its ${wrong} is not one of this event`,
    );
  }
  return leaf;
}

function isListed({ event, reason }: Leaf): boolean {
  return reason !== undefined && reason !== "error-code" && eventRow(event).reasons.includes(reason);
}

function mayBeErrorCode({ event, reason }: Leaf): boolean {
  return reason !== undefined && eventRow(event).reasons.includes("error-code") && ERROR_CODE.test(reason);
}

function tooLarge(length: number): CodedError {
  return new CodedError("LEAF_TOO_LARGE", `Cannot use entry: ${length} bytes, over ${LEAF_LENGTH_MAX}`);
}

defineErrors({
  LEAF_SCHEMA: {
    fault: "bug",
    retry: false,
    next: "docs/log.md names the members of an entry; nothing else, and no free text, may be in one.",
  },
  LEAF_EVENT: {
    fault: "bug",
    retry: false,
    next: "docs/log.md has the table of events with the kinds, outcomes and reasons of each.",
  },
  LEAF_NOT_CANONICAL: {
    fault: "peer",
    retry: false,
    next: "The log was not written by this program: ask whoever runs it.",
  },
  LEAF_TOO_LARGE: { fault: "bug", retry: false, next: "An entry has at most 1,024 bytes." },
});
