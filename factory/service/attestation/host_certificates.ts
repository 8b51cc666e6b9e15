/** Host certificates of the factory's own test wallets. */

import { toHex } from "shared/base/bytes.ts";
import type { HostCertificateAnswer, HostCertificateRequest } from "shared/protocol/wire/attestation.ts";
import { mayIssueHostCertificate } from "../../domain/issuance/host_certificate.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import { type AttestationContext, isRefusal, signedRequest } from "./context.ts";

/** Signs, or answers again, the certificate of a test wallet's static key. */
export async function hostCertificate(
  context: AttestationContext,
  stamp: RequestStamp,
  request: HostCertificateRequest,
): Promise<HostCertificateAnswer | Refusal> {
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  const { hostSerial, publicKey } = request;
  const made = await signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) => transaction.lockHostCertificates(hostSerial),
    async (transaction, existing) => {
      const decision = mayIssueHostCertificate(context.hostCertificates, existing, stamp.sender, request);
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return { signature: decision.certificate.signature, isNew: false };
      const signature = toHex(await context.signer.hostCertificate(decision));
      const station = stamp.sender;
      await transaction.insertHostCertificate({ hostSerial, publicKey, station, signature, issuerPublicKey });
      return { signature, isNew: true };
    },
  );
  if (isRefusal(made)) return made;
  if (made.isNew) context.log.info("host.certified", { hostSerial, sender: stamp.sender });
  return { hostSerial, publicKey, signature: made.signature, issuerPublicKey };
}
