/** The answer to a message that never became a request, and its line in the log. */

import type { Socket } from "node:net";
import type { CertificateVerdict } from "shared/protocol/x509/verification.ts";
import { normalAddress } from "../domain/networks.ts";
import { problemOf, type RefusalReason, REFUSALS } from "../domain/refusals.ts";
import type { Telemetry } from "../service/telemetry.ts";
import type { MalformedCause } from "../transport/listener.ts";
import { rawProblem } from "./exchange.ts";

/** What is no fault of the bytes, as reasons. */
const CAUSES = {
  timeout: "request-timeout",
  malformed: "malformed-message",
} as const satisfies Record<string, RefusalReason>;

/** Answers with a problem, ends the connection and writes the line: with the identity, and what came of the request line. */
export async function answerMalformed(
  socket: Socket,
  cause: MalformedCause,
  address: string,
  context: {
    readonly telemetry: Telemetry;
    readonly verdict: () => Promise<CertificateVerdict>;
    /** Told of the reason: it may earn the address a ban. */
    readonly refused?: (reason: RefusalReason) => void;
  },
): Promise<void> {
  const reason = reasonOf(cause);
  const requestId = crypto.randomUUID();
  const seen = typeof cause === "string" ? undefined : cause;
  socket.end(rawProblem(reason, requestId, seen?.method === "HEAD"));
  const verdict = await context.verdict();
  context.telemetry.request({
    requestId,
    address: normalAddress(address),
    route: "none",
    ...(verdict.kind === "refuse" ? {} : { identity: verdict.identity }),
    method: seen?.method ?? "",
    path: (seen?.target ?? "").split("?", 1)[0]!,
    status: problemOf(reason, requestId).status,
    ms: 0,
    reason,
  });
  context.refused?.(reason);
}

function reasonOf(cause: MalformedCause): RefusalReason {
  if (typeof cause === "string") return CAUSES[cause];
  return Object.hasOwn(REFUSALS, cause.reason) ? cause.reason as RefusalReason : "malformed-message";
}
