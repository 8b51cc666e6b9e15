/** Options of `rk batch create`: quotas of stations, and when a batch stops by itself. */

import { InvalidArgumentError } from "commander";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { BatchLimits, StationName } from "shared/protocol/wire/attestation.ts";
import { DEFAULT_LIMITS } from "factory/domain/judgement/judgement.ts";

/** As commander gives them. */
export interface BatchLimitOptions {
  readonly stopAfter?: string;
  readonly minYield?: string;
  readonly yieldAfter?: string;
  readonly yieldWindow?: string;
}

/** `a=100,b=50,c`: stations, each with its quota or without one. */
export function stationQuotas(text: string): { name: string; quota?: number }[] {
  return text.split(",").map((part) => {
    const [name = "", quota, ...more] = part.trim().split("=");
    const number = quota === undefined ? undefined : Number(quota);
    if (
      !StationName.safeParse(name).success || more.length > 0 ||
      (number !== undefined && (!Number.isInteger(number) || number < 1))
    ) {
      throw new InvalidArgumentError("It is a list like line-1=100,line-2=50.");
    }
    return number === undefined ? { name } : { name, quota: number };
  });
}

/** The limits; 0 switches a rule off. @throws {CodedError} `BATCH_LIMITS`. */
export function limitsFrom(options: BatchLimitOptions): BatchLimits {
  const number = (text: string | undefined, otherwise: number | null) =>
    text === undefined ? otherwise : Number(text);
  const orNever = (value: number | null) => value === 0 ? null : value;
  const parsed = BatchLimits.safeParse({
    scrappedInRow: orNever(number(options.stopAfter, DEFAULT_LIMITS.scrappedInRow)),
    yieldPercent: orNever(number(options.minYield, DEFAULT_LIMITS.yieldPercent)),
    yieldAfterCards: number(options.yieldAfter, DEFAULT_LIMITS.yieldAfterCards),
    yieldWindowCards: number(options.yieldWindow, DEFAULT_LIMITS.yieldWindowCards),
  });
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path }) => OPTION_OF[String(path[0])] ?? "limits").join(", ");
  throw new CodedError("BATCH_LIMITS", `Cannot create batch: ${fields} out of range`);
}

const OPTION_OF: Readonly<Record<string, string>> = {
  scrappedInRow: "--stop-after",
  yieldPercent: "--min-yield",
  yieldAfterCards: "--yield-after",
  yieldWindowCards: "--yield-window",
};

defineErrors({
  BATCH_LIMITS: {
    fault: "usage",
    retry: false,
    next: "Give whole numbers: up to 1000 cards, up to 100 percent; 0 for a rule that never stops.",
  },
});
