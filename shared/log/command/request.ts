/** What `rk log` asks its process to do: one JSON value, so that options are parsed in one place only. */

import { z } from "zod";
import { EVENT_NAMES, OUTCOMES } from "../events.ts";
import { LogTrust } from "../trust.ts";

const TIME = z.iso.datetime().transform((text) => new Date(text).toISOString());
const NAMES: ReadonlySet<string> = new Set(EVENT_NAMES.flatMap((name) => [name, name.split(".")[0]!]));

/** Filters. Actor and subject are pseudonyms, or `<kind>:<identifier>` with a pseudonym key. */
export const FilterRequest = z.strictObject({
  events: z.array(z.string().refine((name) => NAMES.has(name), "no event of this name (docs/log.md)"))
    .optional(),
  since: TIME.optional(),
  actor: z.string().optional(),
  subject: z.string().optional(),
  ticket: z.string().optional(),
  outcome: z.enum(OUTCOMES).optional(),
  severity: z.enum(["info", "warning", "alarm"]).optional(),
});

const COMMON = {
  /** Folder or address. */
  log: z.string(),
  trust: LogTrust.optional(),
  trustFile: z.string().optional(),
  /** Certificate authority of the server, a PEM file. */
  authority: z.string().optional(),
  json: z.boolean(),
};
const FILTERED = { ...COMMON, filter: FilterRequest, pseudonymKey: z.string().optional() };

/** A request. */
export const LogRequest = z.discriminatedUnion("verb", [
  z.strictObject({ verb: z.literal("show"), ...FILTERED, last: z.int().min(1).max(10_000) }),
  z.strictObject({
    verb: z.literal("follow"),
    ...FILTERED,
    /** First entry to show; without it only what comes from now on. */
    from: z.int().min(0).optional(),
    intervalMs: z.int().min(100).max(3_600_000),
  }),
  z.strictObject({
    verb: z.literal("verify"),
    ...COMMON,
    log: z.string().optional(),
    seen: z.array(z.string()).max(100),
    maxAgeMs: z.int().min(0).optional(),
    proof: z.string().optional(),
    entry: z.string().optional(),
  }),
  z.strictObject({ verb: z.literal("prove"), ...COMMON, index: z.int().min(0) }),
  z.strictObject({ verb: z.literal("export"), ...FILTERED }),
]);
/** See the constant. */
export type LogRequest = z.infer<typeof LogRequest>;
