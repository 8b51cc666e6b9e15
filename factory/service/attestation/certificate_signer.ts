/**
 * The only code of this process that has the issuer's key sign. It takes checked fields, never bytes to sign:
 * an `0A` card certificate (spec/card.md, 5.1), the factory's host certificate (5.2) and the list of revoked certificates
 * are all it can make.
 */

import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { isPublicKey } from "shared/crypto/secp256k1.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import "shared/transport/hsm.ts";
import { buildCardCertificateBody, finishCardCertificate } from "shared/protocol/recovery_key/certificate.ts";
import {
  finishRevocationList,
  type RevocationList,
  revocationListMessage,
} from "shared/protocol/recovery_key/revocation_list.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";

/** Makes certificates. */
export interface CertificateSigner {
  /** The issuer's public key (65), as the token gives it. */
  issuerPublicKey(): Promise<Uint8Array>;
  /** A whole card certificate, at most 239 bytes. */
  cardCertificate(
    fields: { serial: Uint8Array; publicKey: Uint8Array; targetDevice: number },
  ): Promise<Uint8Array>;
  /** A whole list of revoked certificates, a compact JWS. */
  revocationList(list: RevocationList): Promise<string>;
  /** The signature of a host certificate, DER low-S. */
  hostCertificate(fields: { hostSerial: Uint8Array; publicKey: Uint8Array }): Promise<Uint8Array>;
}

/** A signer with the issuer key of this label. */
export function certificateSigner(
  hsm: Pick<Hsm, "sign" | "publicKey">,
  issuerLabel: string,
): CertificateSigner {
  let known: Uint8Array | undefined;
  const issuerPublicKey = async () => {
    if (known === undefined) {
      const key = await hsm.publicKey(issuerLabel);
      // A token may hold keys of other curves: one of those under the issuer's label signs nothing that a card accepts.
      if (!isPublicKey(key)) {
        throw new CodedError(
          "HSM_KEY_MISSING",
          `Cannot use issuer key ${issuerLabel}: it is not on secp256k1`,
        );
      }
      known = key;
    }
    return known;
  };
  return {
    issuerPublicKey,
    async revocationList(list) {
      const message = revocationListMessage(list, await issuerPublicKey());
      return finishRevocationList(message, await hsm.sign(issuerLabel, message));
    },
    async cardCertificate(fields) {
      const body = buildCardCertificateBody(fields);
      return finishCardCertificate(body, await hsm.sign(issuerLabel, body));
    },
    hostCertificate({ hostSerial, publicKey }) {
      return hsm.sign(issuerLabel, hostStaticMessage(hostSerial, publicKey));
    },
  };
}

/** The issuer's public key as hex. */
export async function issuerPublicKeyHex(signer: CertificateSigner): Promise<string> {
  return toHex(await signer.issuerPublicKey());
}
