/** What symmetric keys on a token do: make, MAC, seal and open. Each runs on a session of its own. */

import { Buffer } from "node:buffer";
import { concat } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { SYSTEM_RANDOM } from "../random.ts";
import { CKM, CKR } from "./constants.ts";
import { returnValue } from "./failure.ts";
import { requireMechanism, symmetricKey, symmetricKeyTemplate, type SymmetricKind } from "./keys.ts";
import type { SessionContext } from "./token.ts";
import "../hsm.ts";

const GCM_IV_BYTES = 12;
const GCM_TAG_BYTES = 16;
/** What the Node binding calls the CK_GCM_PARAMS of PKCS#11 v2.40, which has a field more than that of v2.30. */
const CK_PARAMS_AES_GCM_V240 = 7;

/** Mechanisms of each kind: that which makes the key, and that which uses it. */
const MECHANISMS = {
  master: { makes: "AES_KEY_GEN", uses: "AES_CMAC", macBytes: 16 },
  storage: { makes: "AES_KEY_GEN", uses: "AES_GCM", macBytes: 0 },
  mac: { makes: "GENERIC_SECRET_KEY_GEN", uses: "SHA256_HMAC", macBytes: 32 },
} as const satisfies Record<
  SymmetricKind,
  { makes: keyof typeof CKM; uses: keyof typeof CKM; macBytes: number }
>;

/** Makes a key on the token, and looks at what was made. @throws {CodedError} `HSM_MECHANISM`, `HSM_KEY_EXTRACTABLE`. */
export async function generateSymmetricKey(
  context: SessionContext,
  label: string,
  kind: SymmetricKind,
): Promise<void> {
  const { makes, uses } = MECHANISMS[kind];
  requireMechanism(context, makes);
  requireMechanism(context, uses);
  await context.binding.C_GenerateKeyAsync(
    context.session,
    { mechanism: CKM[makes] },
    symmetricKeyTemplate(label, kind),
  );
  symmetricKey(context, label, kind);
}

/** MAC of a message: AES-CMAC (16) under a master key, HMAC-SHA256 (32) under a MAC key. */
export async function mac(
  context: SessionContext,
  label: string,
  kind: "master" | "mac",
  message: Buffer,
): Promise<Uint8Array> {
  const { uses, macBytes } = MECHANISMS[kind];
  requireMechanism(context, uses);
  const key = symmetricKey(context, label, kind);
  context.binding.C_SignInit(context.session, { mechanism: CKM[uses] }, key);
  const made = await context.binding.C_SignAsync(context.session, message, Buffer.alloc(macBytes));
  if (made.length !== macBytes) {
    throw new CodedError("HSM_UNAVAILABLE", `Cannot compute MAC: the token gave ${made.length} bytes`);
  }
  return taken(made); // a diversified key: one copy is enough
}

/** AES-256-GCM: IV (12) || ciphertext || tag (16). */
export async function aesGcmSeal(
  context: SessionContext,
  label: string,
  message: Buffer,
  associated: Buffer,
): Promise<Uint8Array> {
  requireMechanism(context, "AES_GCM");
  const key = symmetricKey(context, label, "storage");
  const iv = SYSTEM_RANDOM(GCM_IV_BYTES);
  context.binding.C_EncryptInit(context.session, gcmMechanism(iv, associated), key);
  const room = Buffer.alloc(message.length + GCM_TAG_BYTES);
  const sealed = await context.binding.C_EncryptAsync(context.session, message, room);
  if (sealed.length !== room.length) {
    throw new CodedError("HSM_UNAVAILABLE", `Cannot seal: the token gave ${sealed.length} bytes`);
  }
  return concat(iv, new Uint8Array(sealed));
}

/** Inverse of `aesGcmSeal`. @throws {CodedError} `HSM_SEALED`. */
export async function aesGcmOpen(
  context: SessionContext,
  label: string,
  sealed: Buffer,
  associated: Buffer,
): Promise<Uint8Array> {
  requireMechanism(context, "AES_GCM");
  const key = symmetricKey(context, label, "storage");
  const damaged = () =>
    new CodedError("HSM_SEALED", `Cannot open message under key ${label}: it was not sealed so`, { label });
  if (sealed.length < GCM_IV_BYTES + GCM_TAG_BYTES) throw damaged();
  const iv = new Uint8Array(sealed.subarray(0, GCM_IV_BYTES));
  context.binding.C_DecryptInit(context.session, gcmMechanism(iv, associated), key);
  try {
    return taken(
      await context.binding.C_DecryptAsync(
        context.session,
        sealed.subarray(GCM_IV_BYTES),
        Buffer.alloc(sealed.length),
      ),
    );
  } catch (error) {
    const value = returnValue(error);
    if (value === undefined || !WRONG_TAG.has(value)) throw error;
    // SoftHSM answers GENERAL_ERROR to a wrong tag, which elsewhere means a dead token: one that lives answers this.
    context.binding.C_GetSessionInfo(context.session);
    throw damaged();
  }
}

const WRONG_TAG: ReadonlySet<number> = new Set([
  CKR.ENCRYPTED_DATA_INVALID,
  CKR.ENCRYPTED_DATA_LEN_RANGE,
  CKR.GENERAL_ERROR,
  CKR.FUNCTION_FAILED,
]);

function gcmMechanism(iv: Uint8Array, associated: Buffer) {
  return {
    mechanism: CKM.AES_GCM,
    parameter: {
      type: CK_PARAMS_AES_GCM_V240,
      iv: Buffer.from(iv),
      ivBits: 8 * iv.length,
      aad: associated,
      tagBits: 8 * GCM_TAG_BYTES,
    },
  };
}

/** A copy; the library's own is wiped. */
function taken(bytes: Buffer): Uint8Array {
  const copy = new Uint8Array(bytes);
  bytes.fill(0);
  return copy;
}
