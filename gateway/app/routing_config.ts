/** What a configuration says of routing: breakers, retries, pools and sessions. */

import { z } from "zod";

const Milliseconds = z.int().min(1).max(3_600_000);
const Share = z.number().min(0).max(1);

/** Circuit breakers of an upstream; see domain/circuit.ts. */
export const BreakerConfig = z.strictObject({
  consecutiveFailures: z.int().min(1).max(1_000).default(5),
  windowMs: Milliseconds.default(10_000),
  minimumRequests: z.int().min(1).max(1_000_000).default(20),
  failureShare: Share.default(0.5),
  openMs: Milliseconds.default(5_000),
  maxOpenMs: Milliseconds.default(60_000),
  /** Largest share of the instances that is out at once; the last one never is. */
  maxOpenShare: Share.default(0.5),
}).prefault({});

/** Retry budget of an upstream; see domain/retry_budget.ts. */
export const RetryConfig = z.strictObject({
  share: Share.default(0.2),
  burst: z.int().min(0).max(100_000).default(20),
}).prefault({});

/** Requests that wait for a connection to one instance. */
export const MaxWaiting = z.int().min(0).max(1_000_000).default(256);

/** What keeps a session at one instance: a request header, or the n-th segment of the path. */
export const AffinityConfig = z.union([
  z.strictObject({
    header: z.string().regex(/^[a-z0-9-]{1,64}$/, "expected the name of a header, in lower case"),
  }),
  z.strictObject({ segment: z.int().min(1).max(32) }),
]).optional();

/** Whether the service of a route takes a repeated Idempotency-Key for the first request. */
export const RepeatWithKey = z.boolean().default(false);

/** Longest answer of a route, bytes. */
export const MaxAnswerBytes = z.int().min(0).max(2 ** 40).default(16 * 1024 * 1024);
