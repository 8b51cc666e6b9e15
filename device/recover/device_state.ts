/**
 * The memory of a virtual device: JSON in a file of mode 0600, replaced whole. It stands in for a hardware wallet's secure
 * element, and protects nothing: who reads the file has the seed.
 *
 * What all devices of one maker share (the issuer that certifies them, the entropy encryption key) is in a second file, so
 * that a backup of one virtual device can be restored on another.
 */

import { z } from "zod";
import { equal, fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { deviceStaticBytes } from "shared/protocol/recover/certificates.ts";
import { lockFile, lookAtFile, removeLeftOver, replaceFile } from "shared/transport/durable_file.ts";
import type { RandomSource } from "shared/transport/random.ts";
import type { CustomRoot, RecoverIdentity, RecoverMemory } from "./ports.ts";

/** Largest file that is read, in bytes. */
export const DEVICE_FILE_MAX_BYTES = 64 * 1024;
/** Most roots that a device takes. */
export const ROOTS_MAX = 8;
/** Target of the virtual device: the one that public host scripts use. */
export const TARGET_ID = "33000004";

const ENTROPY_KEY_BYTES = 32;
const HEADER_BYTES = 4;
const ABOUT = "Virtual device: for tests. Its secrets are in this file as they are.";
const hex = (from: number, to = from) => z.string().regex(new RegExp(`^([0-9A-F]{2}){${from},${to}}$`));

const DeviceFile = z.strictObject({
  about: z.string(),
  version: z.literal(1),
  targetId: hex(4),
  privateKey: hex(32),
  header: hex(0, 255),
  signature: hex(8, 72),
  issuerPublicKey: hex(65),
  entropyEncryptionKey: hex(ENTROPY_KEY_BYTES),
  entropy: z.union([hex(16), hex(24), hex(32)]).nullable(),
  roots: z.array(z.strictObject({ name: z.string().min(1).max(255), publicKey: hex(65) })).max(ROOTS_MAX),
});
type DeviceFile = z.infer<typeof DeviceFile>;

const MakerFile = z.strictObject({
  about: z.string(),
  version: z.literal(1),
  issuerPrivateKey: hex(32),
  entropyEncryptionKey: hex(ENTROPY_KEY_BYTES),
});

/** A device that is held by this process. */
export interface HeldDevice {
  readonly identity: RecoverIdentity;
  readonly memory: RecoverMemory;
  /** Whether the file was made just now. */
  readonly isNew: boolean;
  /** Lets it go. */
  close(): void;
}

/** How a device is opened. */
export interface DeviceOptions {
  /** The device's file; made when it is not there. */
  readonly path: string;
  /** What its maker's devices share; made when it is not there. Read only when the device is made. */
  readonly makerPath: string;
  /** Entropy of a new device, 16, 24 or 32 bytes; undefined: it is made empty. */
  readonly entropy: Secret | undefined;
  readonly random: RandomSource;
}

/** Opens or makes a device. @throws {CodedError} `DEVICE_BUSY`, `DEVICE_STATE`, `DEVICE_WRITE`. */
export function holdDevice({ path, makerPath, entropy, random }: DeviceOptions): HeldDevice {
  const lock = guarded(path, () => lockFile(path));
  if (lock === undefined) {
    throw new CodedError("DEVICE_BUSY", `Cannot open device ${path}: another process holds it`, { path });
  }
  try {
    removeLeftOver(path);
    const known = read(path, DeviceFile);
    let file = known ?? makeDevice(readMaker(makerPath, random), entropy, random);
    const save = (changed: DeviceFile) => {
      guarded(path, () => replaceFile(path, toUtf8(JSON.stringify(changed, undefined, 2) + "\n")));
      file = read(path, DeviceFile)!;
    };
    if (known === undefined) save(file);
    return {
      identity: identityOf(file),
      memory: memoryOf(() => file, save),
      isNew: known === undefined,
      close: () => lock[Symbol.dispose](),
    };
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** A maker of virtual devices. */
export interface Maker {
  /** Key (32) that certifies devices, and in a local spine the services too. */
  readonly issuer: Secret;
  /** 32 bytes, hex. */
  readonly entropyEncryptionKey: string;
}

/** What a maker's devices share; made when it is not there. @throws {CodedError} `DEVICE_STATE`, `DEVICE_WRITE`. */
export function readMaker(path: string, random: RandomSource): Maker {
  let file = read(path, MakerFile);
  if (file === undefined) {
    file = {
      about: "Maker of virtual devices: for tests. Its secrets are in this file as they are.",
      version: 1,
      issuerPrivateKey: toHex(generatePrivateKey(random).reveal()),
      entropyEncryptionKey: toHex(random(ENTROPY_KEY_BYTES)),
    };
    const content = toUtf8(JSON.stringify(file, undefined, 2) + "\n");
    guarded(path, () => replaceFile(path, content));
  }
  return {
    issuer: new Secret(fromHex(file.issuerPrivateKey)),
    entropyEncryptionKey: file.entropyEncryptionKey,
  };
}

function makeDevice(maker: Maker, entropy: Secret | undefined, random: RandomSource): DeviceFile {
  const key = generatePrivateKey(random);
  const header = random(HEADER_BYTES);
  try {
    return {
      about: ABOUT,
      version: 1,
      targetId: TARGET_ID,
      privateKey: toHex(key.reveal()),
      header: toHex(header),
      signature: toHex(ecdsaSign(maker.issuer, deviceStaticBytes(header, publicKeyOf(key)))),
      issuerPublicKey: toHex(publicKeyOf(maker.issuer)),
      entropyEncryptionKey: maker.entropyEncryptionKey,
      entropy: entropy === undefined ? null : toHex(entropy.reveal()),
      roots: [],
    };
  } finally {
    key.wipe();
    maker.issuer.wipe();
  }
}

function identityOf(file: DeviceFile): RecoverIdentity {
  const staticKey = new Secret(fromHex(file.privateKey));
  return {
    targetId: fromHex(file.targetId),
    staticKey,
    certificate: {
      header: fromHex(file.header),
      publicKey: publicKeyOf(staticKey),
      signature: fromHex(file.signature),
    },
    issuerPublicKey: fromHex(file.issuerPublicKey),
    entropyEncryptionKey: new Secret(fromHex(file.entropyEncryptionKey)),
  };
}

function memoryOf(now: () => DeviceFile, save: (file: DeviceFile) => void): RecoverMemory {
  return {
    entropy: () => {
      const { entropy } = now();
      return entropy === null ? undefined : new Secret(fromHex(entropy));
    },
    restore(entropy) {
      const text = toHex(entropy.reveal());
      entropy.wipe();
      if (now().entropy !== null) {
        throw new CodedError("DEVICE_STATE", "Cannot restore: the device holds a seed");
      }
      save({ ...now(), entropy: text });
      if (now().entropy !== text) {
        throw new CodedError("DEVICE_WRITE", "Cannot restore: the seed was not written");
      }
    },
    roots: () => now().roots.map(({ name, publicKey }) => ({ name, publicKey: fromHex(publicKey) })),
    enrol(root) {
      const kept = now().roots.filter(({ publicKey }) => !equal(fromHex(publicKey), root.publicKey));
      if (kept.length === ROOTS_MAX) {
        throw new CodedError("DEVICE_STATE", `Cannot enrol root: there are ${ROOTS_MAX}`);
      }
      save({ ...now(), roots: [...kept, { name: root.name, publicKey: toHex(root.publicKey) }] });
    },
    remove(root) {
      const roots = now().roots.filter((known) => !isRoot(known, root));
      if (roots.length === now().roots.length) return false;
      save({ ...now(), roots });
      return true;
    },
  };
}

function isRoot(known: { name: string; publicKey: string }, root: CustomRoot): boolean {
  return known.name === root.name && equal(fromHex(known.publicKey), root.publicKey);
}

function read<T>(path: string, schema: z.ZodType<T>): T | undefined {
  const file = lookAtFile(path);
  if (file === undefined) return undefined;
  if (file.open) {
    throw new CodedError("DEVICE_STATE", `Cannot use ${path}: others than its owner have access`, { path });
  }
  try {
    if (file.bytes > DEVICE_FILE_MAX_BYTES) throw new Error("too long");
    return schema.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch {
    // What the parser says could repeat a secret of the file.
    throw new CodedError("DEVICE_STATE", `Cannot read ${path}: it is no such file, or damaged`, { path });
  }
}

function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new CodedError(
      "DEVICE_WRITE",
      `Cannot write ${path}: ${error instanceof Error ? error.name : "the system refuses"}`,
      { path },
    );
  }
}

defineErrors({
  DEVICE_BUSY: { fault: "service", retry: true, next: "Stop the other program that serves this device." },
  DEVICE_STATE: {
    fault: "configuration",
    retry: false,
    next: "Give another state file; one that others could read is to be thrown away with its seed.",
  },
  DEVICE_WRITE: {
    fault: "installation",
    retry: true,
    next: "Look after the disk, then start again. Nothing was lost.",
  },
});
