/** Sealing to a station's configured key. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { seal } from "shared/protocol/wire/sealed.ts";
import type { AttestationContext } from "./context.ts";

defineErrors({
  ATTEST_SEALING_KEY: {
    fault: "configuration",
    retry: false,
    http: 500,
    next: "Give this station a `sealingKey` (P-256 public JWK) in the attestation service's configuration.",
  },
});

/** Seals a value to a station. @throws {CodedError} `ATTEST_SEALING_KEY` when it has no key. */
export async function sealForStation(
  context: AttestationContext,
  station: string,
  plain: unknown,
): Promise<string> {
  const key = context.senders.get(station)?.sealingKey;
  if (key === undefined) {
    throw new CodedError("ATTEST_SEALING_KEY", `Cannot seal an answer to ${station}: it has no sealing key`);
  }
  return await seal(plain, key);
}
