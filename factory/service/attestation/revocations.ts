/** The list of revoked certificates, signed and published: for wallets, through gateways and mirrors that nobody has to trust. */

import { createHash } from "node:crypto";
import { toHex } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { mayKeepList } from "../../domain/issuance/revocations.ts";
import { serialHex } from "../../domain/issuance/serial.ts";
import type { PublishedList, RevokedCertificate } from "../../transport/issuance_store/records.ts";
import type { AttestationContext } from "./context.ts";

/**
 * The list, made anew when something was revoked since or a day has passed. Several instances publish one list: whoever
 * comes first makes it. While the token is away the last list serves, as long as it holds.
 */
export async function revocationList(context: AttestationContext): Promise<PublishedList> {
  const { store, signer, clock, log, events } = context;
  const now = Math.floor(clock.now() / 1000);
  const { published, revoked } = await store.revocations();
  if (published !== undefined && mayKeepList(published, digestOf(revoked), now).kind === "keep") {
    return published;
  }
  try {
    const made = await store.publishRevocations(async (present, list, transaction) => {
      const entriesSha256 = digestOf(list);
      const decision = mayKeepList(present, entriesSha256, now);
      if (decision.kind === "keep") return present!;
      const { number, thisUpdate, nextUpdate } = decision;
      const entries = list.map((entry) => ({ ...entry, serial: serialHex(entry.serial) }));
      await transaction.enter(events, [
        { event: "attestation.revocations-published", facts: { actor: events.self } },
      ]);
      const signed = await signer.revocationList({ number, thisUpdate, nextUpdate, revoked: entries });
      log.info("revocations.published", { number, revoked: list.length });
      return { number, thisUpdate, nextUpdate, entriesSha256, list: signed };
    });
    events.committed();
    return made;
  } catch (error) {
    if (published === undefined || now >= published.nextUpdate) throw error;
    log.warning("revocations.not-renewed", { number: published.number, error });
    events.tell("attestation.revocations-kept", {
      actor: events.self,
      outcome: "failed",
      reason: codeOf(error),
    });
    return published;
  }
}

function digestOf(revoked: readonly RevokedCertificate[]): string {
  const hash = createHash("sha256");
  for (const { certificateSha256, reason } of revoked) hash.update(`${certificateSha256} ${reason}\n`);
  return toHex(hash.digest());
}
