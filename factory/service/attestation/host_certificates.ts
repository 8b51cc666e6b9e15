/** Host certificates of the factory's own test wallets. */

import { toHex } from "shared/base/bytes.ts";
import type { HostCertificateAnswer, HostCertificateRequest } from "shared/protocol/wire/attestation.ts";
import { mayIssueHostCertificate } from "../../domain/issuance/host_certificate.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import { type About, type AttestationContext, done, entryOf, signedRequest } from "./context.ts";

/** Signs, or answers again, the certificate of a test wallet's static key. */
export async function hostCertificate(
  context: AttestationContext,
  stamp: RequestStamp,
  request: HostCertificateRequest,
): Promise<HostCertificateAnswer | Refusal> {
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  const { hostSerial, publicKey } = request;
  const about: About = {
    event: "attestation.host-certified",
    subject: { kind: "host", identifier: hostSerial },
  };
  const answered = (signature: string, log?: () => void) =>
    done<HostCertificateAnswer>(
      { hostSerial, publicKey, signature, issuerPublicKey },
      log,
      [entryOf(stamp, about)],
    );
  return await signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) => transaction.lockHostCertificates(hostSerial),
    async (transaction, existing) => {
      const decision = mayIssueHostCertificate(context.hostCertificates, existing, stamp.sender, request);
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return answered(decision.certificate.signature);
      const signature = toHex(await context.signer.hostCertificate(decision));
      const station = stamp.sender;
      await transaction.insertHostCertificate({ hostSerial, publicKey, station, signature, issuerPublicKey });
      return answered(
        signature,
        () => context.log.info("host.certified", { hostSerial, sender: stamp.sender }),
      );
    },
    about,
  );
}
