/** Problem details (RFC 9457): `application/problem+json`. */

import { z } from "zod";

/** A problem. `code` repeats the last part of `type`; `next` says what the reader can do. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  instance: z.string().optional(),
  code: z.string(),
  next: z.string().optional(),
});
export type Problem = z.infer<typeof Problem>;

/** Media type of problems. */
export const PROBLEM_MEDIA_TYPE = "application/problem+json";

/** Prefix of problem types: a URN, so that it does not promise a web page. */
export const PROBLEM_TYPE_PREFIX = "urn:recovery-key:problem:";

/** Makes the problem of a code. */
export function problem(
  code: string,
  status: number,
  title: string,
  more: { detail?: string; instance?: string; next?: string } = {},
): Problem {
  return { type: PROBLEM_TYPE_PREFIX + code, title, status, code, ...more };
}
