/** Virtual devices of one maker for tests: the device itself is the real one, only its memory and its person are ours. */

import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { deviceStaticBytes } from "shared/protocol/recover/certificates.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { RecoverDevice } from "device/recover/recover_device.ts";

/** A maker: its issuer key and what all its devices share. */
export interface Maker {
  readonly issuer: Secret;
  readonly issuerPublicKey: Uint8Array;
  readonly entropyEncryptionKey: Uint8Array;
}

/** A new maker. */
export function makeMaker(): Maker {
  const issuer = generatePrivateKey(SYSTEM_RANDOM);
  return { issuer, issuerPublicKey: publicKeyOf(issuer), entropyEncryptionKey: SYSTEM_RANDOM(32) };
}

/** A device under test. */
export interface TestDevice {
  readonly device: RecoverDevice;
  /** What it holds now. */
  entropy(): Uint8Array | undefined;
  /** Security code that it showed last. */
  code(): string;
  /** What the person saw. */
  readonly seen: string[];
}

/** Makes a device that trusts the maker; empty without entropy. */
export function makeDevice(maker: Maker, entropy?: Uint8Array): TestDevice {
  const staticKey = generatePrivateKey(SYSTEM_RANDOM);
  const publicKey = publicKeyOf(staticKey);
  const header = SYSTEM_RANDOM(4);
  let held = entropy?.slice();
  let code = "";
  const seen: string[] = [];
  const device = new RecoverDevice({
    identity: {
      targetId: Uint8Array.of(0x33, 0, 0, 4),
      staticKey,
      certificate: {
        header,
        publicKey,
        signature: ecdsaSign(maker.issuer, deviceStaticBytes(header, publicKey)),
      },
      issuerPublicKey: maker.issuerPublicKey,
      entropyEncryptionKey: new Secret(maker.entropyEncryptionKey.slice()),
    },
    memory: {
      entropy: () => held && new Secret(held.slice()),
      restore: (restored) => held = restored.reveal().slice(),
      roots: () => [],
      enrol: () => {},
      remove: () => false,
    },
    person: {
      confirmIdentity: (identity, flow) => Promise.resolve(seen.push(`${flow} ${identity.firstName}`) > 0),
      showSecurityCode: (shown) => code = shown,
      confirmRestore: (_identity, provider) => Promise.resolve(seen.push(`restore from ${provider}`) > 0),
      confirmRoot: () => Promise.resolve(false),
      confirmDelete: (_identity, provider) => Promise.resolve(seen.push(`delete at ${provider}`) > 0),
      tell: (what, provider) => seen.push(`${what} ${provider}`),
    },
    random: SYSTEM_RANDOM,
  });
  return { device, entropy: () => held, code: () => code, seen };
}
