/**
 * What a wallet needs to tell a genuine card: the issuer's key, an identity of its own with the issuer's certificate, and the
 * keys of the wallet channel. A JSON file of mode 0600, because it holds the wallet's private key.
 *
 *     {
 *       "issuerPublicKey": 65 bytes, "hostSerial": 7, "hostPublicKey": 65 (may be left out), "hostSignature": DER,
 *       "hostPrivateKey": 32 bytes, or "hostKeyFile": a file of mode 0600 that holds them as hex,
 *       "appletAid": 5 to 16 bytes,
 *       "channelKeys": { "version": 0 to 255, "enc": .., "mac": .., "dek": .. },
 *       "targetId": 4 bytes (may be left out: any), "strict": true (false only for cards of others)
 *     }
 *
 * Hex of either case. A station writes one for the cards of its batch: stateFolder/wallet-trust.json.
 */

import { dirname, isAbsolute, join } from "node:path";
import { z } from "zod";
import { equal, fromHex, fromUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaVerify, isPublicKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import type { HostIdentity } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import { readSecretFile } from "shared/transport/secret_file.ts";

/** Largest trust file, in bytes. */
export const TRUST_FILE_MAX_BYTES = 16 * 1024;

const hex = (from: number, to = from) =>
  z.string().regex(new RegExp(`^([0-9A-Fa-f]{2}){${from},${to}}$`), "hex of another length");

const TrustFile = z.strictObject({
  issuerPublicKey: hex(65),
  hostSerial: hex(7),
  hostPrivateKey: hex(32).optional(),
  hostKeyFile: z.string().min(1).optional(),
  hostPublicKey: hex(65).optional(),
  hostSignature: hex(8, 72),
  appletAid: hex(5, 16),
  channelKeys: z.strictObject({
    version: z.int().min(0).max(255),
    enc: hex(16, 32),
    mac: hex(16, 32),
    dek: hex(16, 32),
  }),
  targetId: hex(4).optional(),
  strict: z.boolean().default(true),
});

/** The file's content, ready to use. The owner wipes it with `wipeTrust`. */
export interface WalletTrust {
  /** 65 bytes. */
  readonly issuerPublicKey: Uint8Array;
  readonly host: HostIdentity;
  readonly appletAid: Uint8Array;
  readonly channelKeyVersion: number;
  readonly channelKeys: StaticKeys;
  /** 4 bytes; undefined: any. */
  readonly targetId: Uint8Array | undefined;
  /** Certificates by the wallet's rules; false only for cards of others. */
  readonly strict: boolean;
}

function refuse(why: string): CodedError {
  return new CodedError("WALLET_TRUST", `Cannot use trust file: ${why}`);
}

/**
 * Reads a trust file's text.
 * @param readKeyFile gives the content of `hostKeyFile`.
 * @throws {CodedError} `WALLET_TRUST` naming the field, never its value.
 */
export function parseTrust(text: string, readKeyFile: (path: string) => string): WalletTrust {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse("it is not JSON");
  }
  const parsed = TrustFile.safeParse(value);
  if (!parsed.success) {
    throw refuse(
      parsed.error.issues.map(({ path, message }) => `${path.join(".") || "file"}: ${message}`).join("; "),
    );
  }
  const file = parsed.data;
  if ((file.hostPrivateKey === undefined) === (file.hostKeyFile === undefined)) {
    throw refuse("give hostPrivateKey or hostKeyFile, one of them");
  }
  const { enc, mac, dek } = file.channelKeys;
  if (enc.length !== mac.length || mac.length !== dek.length || enc.length % 16 !== 0) {
    throw refuse("channelKeys: three AES keys of one length are needed");
  }
  const keyText = file.hostPrivateKey ?? readKeyFile(file.hostKeyFile!).trim();
  if (!/^[0-9A-Fa-f]{64}$/.test(keyText)) throw refuse("hostKeyFile: it does not hold 32 bytes as hex");
  const privateKey = new Secret(fromHex(keyText));
  const publicKey = publicKeyOf(privateKey);
  const issuerPublicKey = fromHex(file.issuerPublicKey);
  const host = {
    serial: fromHex(file.hostSerial),
    privateKey,
    publicKey,
    signature: fromHex(file.hostSignature),
  };
  const why = !isPublicKey(issuerPublicKey)
    ? "issuerPublicKey is not on the curve"
    : file.hostPublicKey !== undefined && !equal(fromHex(file.hostPublicKey), publicKey)
    ? "hostPublicKey is not that of the private key"
    : !ecdsaVerify(issuerPublicKey, hostStaticMessage(host.serial, publicKey), host.signature)
    ? "hostSignature is not the issuer's"
    : undefined;
  if (why !== undefined) {
    privateKey.wipe();
    throw refuse(why);
  }
  return {
    issuerPublicKey,
    host,
    appletAid: fromHex(file.appletAid),
    channelKeyVersion: file.channelKeys.version,
    channelKeys: {
      enc: new Secret(fromHex(enc)),
      mac: new Secret(fromHex(mac)),
      dek: new Secret(fromHex(dek)),
    },
    targetId: file.targetId === undefined ? undefined : fromHex(file.targetId),
    strict: file.strict,
  };
}

/** Reads a trust file; it and its key file must be readable by their owner only. @throws {CodedError} `WALLET_TRUST`. */
export function readTrustFile(path: string): WalletTrust {
  return parseTrust(readPrivate(path, "trust file"), (keyFile) => {
    using secret = readSecretFile(isAbsolute(keyFile) ? keyFile : join(dirname(path), keyFile));
    return fromUtf8(secret.reveal());
  });
}

function readPrivate(path: string, what: string): string {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    throw new CodedError("WALLET_TRUST", `Cannot read ${what} ${path}: ${(error as Error).name}`, { path });
  }
  try {
    const { mode, size } = file.statSync();
    if (mode !== null && (mode & 0o077) !== 0) {
      throw new CodedError("WALLET_TRUST", `Cannot use ${what} ${path}: others than its owner have access`, {
        path,
      });
    }
    if (size > TRUST_FILE_MAX_BYTES) throw refuse("it is too long");
    return Deno.readTextFileSync(path);
  } finally {
    file.close();
  }
}

/** Overwrites the secrets. */
export function wipeTrust(trust: WalletTrust): void {
  trust.host.privateKey.wipe();
  trust.channelKeys.enc.wipe();
  trust.channelKeys.mac.wipe();
  trust.channelKeys.dek.wipe();
}

defineErrors({
  WALLET_TRUST: {
    fault: "configuration",
    retry: false,
    next:
      "Give the trust file that the station wrote (wallet-trust.json in its state folder, mode 0600), or correct the field; device/wallet/trust.ts describes it.",
  },
});
