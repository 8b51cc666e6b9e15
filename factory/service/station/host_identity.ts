/**
 * The station's test wallet: a host key of its own and the factory's certificate for it. Made once for each issuer key and
 * kept in the state folder (mode 0600). It proves cards, and opens nothing else: its serial is in the factory's range.
 */

import { z } from "zod";
import { concat, equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaVerify, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import type { HostIdentity } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import { hexBytes, hexRange } from "shared/protocol/wire/attestation.ts";
import type { RandomSource } from "shared/transport/random.ts";
import type { BatchFile } from "../../domain/profile_batch.ts";
import type { AttestationPort } from "./attestation_client.ts";
import { readPrivateFile, writePrivateFile } from "../../transport/journal/private_file.ts";

/** First byte of host serials in the factory's range: the letter F. */
export const FACTORY_HOST_PREFIX = 0x46;
/** File in the state folder. */
export const HOST_IDENTITY_FILE = "host-identity.json";
/** Trust file for `rk wallet genuine-check`, in the state folder. */
export const WALLET_TRUST_FILE = "wallet-trust.json";

const Stored = z.strictObject({
  hostSerial: hexBytes(7),
  privateKey: hexBytes(32),
  publicKey: hexBytes(65),
  signature: hexRange(8, 72),
  issuerPublicKey: hexBytes(65),
});

/**
 * The station's identity for a batch's issuer: the kept one when it is right, else a new one with a new certificate.
 * @throws {CodedError} `HOST_CERTIFICATE_REFUSED`, and those of the service.
 */
export async function hostIdentity(options: {
  readonly stateFolder: string;
  readonly batch: BatchFile;
  readonly attestation: AttestationPort;
  readonly random: RandomSource;
}): Promise<HostIdentity> {
  const { stateFolder, batch, attestation, random } = options;
  const path = `${stateFolder}/${HOST_IDENTITY_FILE}`;
  const issuerPublicKey = fromHex(batch.issuerPublicKey);
  const kept = readKept(await readPrivateFile(path), issuerPublicKey);
  if (kept !== undefined) return kept;

  const privateKey = generatePrivateKey(random);
  const publicKey = publicKeyOf(privateKey);
  const serial = concat(Uint8Array.of(FACTORY_HOST_PREFIX), random(6));
  const answer = await attestation.hostCertificate({
    hostSerial: toHex(serial),
    publicKey: toHex(publicKey),
  });
  const identity = { serial, privateKey, publicKey, signature: fromHex(answer.signature) };
  if (answer.issuerPublicKey !== batch.issuerPublicKey || !isCertified(identity, issuerPublicKey)) {
    privateKey.wipe();
    throw new CodedError(
      "HOST_CERTIFICATE_REFUSED",
      "Cannot use host certificate: the batch's issuer did not sign it",
    );
  }
  await writePrivateFile(
    path,
    JSON.stringify({
      hostSerial: toHex(serial),
      privateKey: toHex(privateKey.reveal()),
      publicKey: toHex(publicKey),
      signature: answer.signature,
      issuerPublicKey: batch.issuerPublicKey,
    }),
  );
  return identity;
}

function isCertified(identity: HostIdentity, issuerPublicKey: Uint8Array): boolean {
  return ecdsaVerify(
    issuerPublicKey,
    hostStaticMessage(identity.serial, identity.publicKey),
    identity.signature,
  );
}

/** A kept identity, or undefined when there is none for this issuer, or its file was changed. */
function readKept(text: string | undefined, issuerPublicKey: Uint8Array): HostIdentity | undefined {
  if (text === undefined) return undefined;
  let stored: z.infer<typeof Stored>;
  try {
    stored = Stored.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
  const identity: HostIdentity = {
    serial: fromHex(stored.hostSerial),
    privateKey: new Secret(fromHex(stored.privateKey)),
    publicKey: fromHex(stored.publicKey),
    signature: fromHex(stored.signature),
  };
  const right = equal(fromHex(stored.issuerPublicKey), issuerPublicKey) &&
    isCertified(identity, issuerPublicKey) &&
    equal(publicKeyOf(identity.privateKey), identity.publicKey);
  return right ? identity : undefined;
}

/**
 * Writes what a wallet needs to check the cards of this batch (mode 0600): issuer key, a host identity, channel keys.
 * The wallet command reads it with `--trust`; device/wallet/trust.ts describes the format.
 */
export async function writeWalletTrust(
  stateFolder: string,
  batch: BatchFile,
  host: HostIdentity,
): Promise<string> {
  const { profile } = batch;
  const { isdKeys, ssdKeys, appletChannel, aids, targetId } = profile;
  const keys = appletChannel === "ssd" ? ssdKeys! : { ...isdKeys.given!, version: isdKeys.version };
  const path = `${stateFolder}/${WALLET_TRUST_FILE}`;
  await writePrivateFile(
    path,
    JSON.stringify(
      {
        issuerPublicKey: batch.issuerPublicKey,
        hostSerial: toHex(host.serial),
        hostPrivateKey: toHex(host.privateKey.reveal()),
        hostPublicKey: toHex(host.publicKey),
        hostSignature: toHex(host.signature),
        appletAid: aids.appletInstance,
        channelKeys: { version: keys.version, enc: keys.enc, mac: keys.mac, dek: keys.dek },
        targetId,
        strict: true,
      },
      null,
      2,
    ) + "\n",
  );
  return path;
}

defineErrors({
  HOST_CERTIFICATE_REFUSED: {
    fault: "peer",
    retry: false,
    next:
      "The attestation service uses another issuer key than the batch: use the batch file of this factory.",
  },
});
