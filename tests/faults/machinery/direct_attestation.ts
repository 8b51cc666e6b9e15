/**
 * The attestation port of a station straight onto the service's operations, in this process: the service's own code, database
 * and token, without TLS and HTTP between. A refusal arrives as it does over HTTP, as an error with its code.
 */

import { fromHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { CardKeysSealed, PersonalizationKeySealed } from "shared/protocol/wire/attestation.ts";
import { unseal } from "shared/protocol/wire/sealed.ts";
import type { Refusal } from "factory/domain/issuance/refusals.ts";
import type { AttestationService } from "factory/service/attestation/attestation_service.ts";
import { isRefusal } from "factory/service/attestation/context.ts";
import type { AttestationPort } from "factory/service/station/attestation_client.ts";
import { stamp, type TestSender } from "tests/environment/attestation/service.ts";

/** The value, or the refusal thrown. */
function answered<T>(result: T | Refusal): T {
  if (isRefusal(result)) {
    throw new CodedError(result.reason, `Refused: ${result.reason}`, { fromService: true });
  }
  return result;
}

/** The port of one station. */
export function directAttestation(service: AttestationService, station: TestSender): AttestationPort {
  return {
    batch: async (name) => answered(await service.readBatch(station.configured.name, name)),
    async cardKeys(request) {
      const { sealed } = answered(await service.cardKeys(stamp(station), request));
      const keys = CardKeysSealed.parse(await unseal(sealed, station.sealingKey));
      const secret = (hex: string) => new Secret(fromHex(hex));
      return { enc: secret(keys.enc), mac: secret(keys.mac), dek: secret(keys.dek) };
    },
    async reserve(request) {
      const answer = answered(await service.reserve(stamp(station), request));
      const { dgi8137 } = PersonalizationKeySealed.parse(await unseal(answer.sealed, station.sealingKey));
      return {
        reservation: answer.reservation,
        serial: fromHex(answer.serial),
        issuerPublicKey: fromHex(answer.issuerPublicKey),
        personalizationKey: new Secret(fromHex(dgi8137)),
        again: answer.again,
      };
    },
    attest: async (request) => answered(await service.attest(stamp(station), request)),
    install: async (request) => answered(await service.install(stamp(station), request)),
    closeCard: async (request) => answered(await service.close(stamp(station), request)),
    hostCertificate: async (request) => answered(await service.hostCertificate(stamp(station), request)),
    close: () => {},
  };
}
