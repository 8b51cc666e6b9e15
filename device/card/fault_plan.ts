/**
 * When a virtual card is pulled out of the field. Faults are data, so that a test can walk every APDU and kind.
 * An index counts the APDUs that reach the card through one attachment, from 0.
 */

import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";

/**
 * - `before`: the command never reaches the card.
 * - `after-execution`: the card has executed and stored, its answer is lost.
 * - `after-answer`: the answer has left, then the card is gone.
 */
export const FAULT_KINDS = ["before", "after-execution", "after-answer"] as const;
/** One of `FAULT_KINDS`. */
export type FaultKind = (typeof FAULT_KINDS)[number];

/** One removal. */
export interface CardFault {
  readonly kind: FaultKind;
  /** APDU at which it happens, from 0. */
  readonly index: number;
}

/** The removals of one attachment; at most one for each APDU index counts. */
export type FaultPlan = readonly CardFault[];

/** A plan without removals. */
export const NO_FAULTS: FaultPlan = [];

/** The removal planned at an APDU, if any. */
export function faultAt(plan: FaultPlan, index: number): FaultKind | undefined {
  return plan.find((fault) => fault.index === index)?.kind;
}

/** Reads `KIND:INDEX`. @throws {CodedError} `VCARD_FAULT_PLAN`. */
export function parseFault(text: string): CardFault {
  const [kind = "", digits = "", ...rest] = text.split(":");
  const known = FAULT_KINDS.find((name) => name === kind);
  if (known === undefined || !/^\d{1,9}$/.test(digits) || rest.length > 0) {
    throw new CodedError("VCARD_FAULT_PLAN", `Cannot read fault "${text}": it is not KIND:INDEX`);
  }
  return { kind: known, index: Number(digits) };
}
