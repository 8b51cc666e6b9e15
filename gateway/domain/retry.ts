/** May a request be sent a second time, to another instance (RFC 9110, 9.2.2; idempotency key draft 07). */

const IDEMPOTENT_METHODS = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** What became of the first attempt. */
export interface FirstAttempt {
  readonly method: string;
  /** Whether the client sent an Idempotency-Key. */
  readonly hasIdempotencyKey: boolean;
  /** Whether any byte of the request may have reached an instance. */
  readonly sent: boolean;
}

/** True when a second attempt cannot carry anything out twice. */
export function maySendAgain(attempt: FirstAttempt): boolean {
  return !attempt.sent || attempt.hasIdempotencyKey || IDEMPOTENT_METHODS.has(attempt.method);
}
