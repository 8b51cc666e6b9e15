/**
 * STORE DATA as the applet takes it from its domain. Card page, section 7 step 4; `d_errors.txt`, section 2.
 * QUIRK(recovery-key): only the first DGI of a command counts; a length byte that promises more than there is
 * passes (d_errors, "length byte 04 but only 2 bytes"). The chip then takes stale bytes, this card takes zeros.
 */

import { readUint } from "shared/base/bytes.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { AppletCall } from "./call.ts";
import { APPLET_LIFE_CYCLE } from "./volatile.ts";

const DGI_SERIAL = 0x0002;
const DGI_ISSUER_KEY = 0x0036;
const DGI_KEY_TEMPLATE = 0x00b9;
const DGI_ATTESTATION_KEY = 0x8137;

/** Level bits of C-MAC and C-ENC. */
const C_MAC_AND_C_ENC = 0x03;

/** Values that each tag of the key control reference template may have. */
const KEY_TEMPLATE_VALUES: ReadonlyMap<number, readonly number[]> = new Map([
  [0x95, [0x02, 0x80]],
  [0x80, [0xb1, 0xb0]],
  [0x81, [0x20, 0x41]],
  [0x82, [0x21]],
  [0x83, [0x01, 0x0b]],
]);

/**
 * Takes one DGI.
 * @param level security level of the domain's session.
 * @returns the status word.
 */
export function storeData(call: AppletCall, data: Uint8Array, level: number): number {
  if (call.memory.lifeCycle !== APPLET_LIFE_CYCLE.FABRICATION) return SW.CONDITIONS_NOT_SATISFIED;
  if ((level & C_MAC_AND_C_ENC) !== C_MAC_AND_C_ENC) return SW.SECURITY_STATUS_NOT_SATISFIED;
  if (data.length < 2) return SW.REFERENCED_DATA_NOT_FOUND;
  const dgi = readUint(data.subarray(0, 2));
  const rest = data.subarray(2);
  switch (dgi) {
    case DGI_KEY_TEMPLATE:
      return keyTemplateStatus(rest);
    case DGI_SERIAL: {
      const serial = fixedValue(rest, 4);
      if (serial === undefined) return SW.WRONG_DATA;
      call.change({ serial });
      return SW.OK;
    }
    case DGI_ATTESTATION_KEY: {
      const attestationKey = fixedValue(rest, 32);
      if (attestationKey === undefined) return SW.WRONG_DATA;
      call.change({ attestationKey });
      return SW.OK;
    }
    case DGI_ISSUER_KEY: {
      const issuerKey = fixedValue(rest, 65);
      if (issuerKey === undefined) return SW.WRONG_DATA;
      call.change({ issuerKey });
      return SW.OK;
    }
    default:
      return SW.REFERENCED_DATA_NOT_FOUND;
  }
}

/** Value after a length byte that must say `length`. */
function fixedValue(rest: Uint8Array, length: number): Uint8Array | undefined {
  if (rest[0] !== length) return undefined;
  const value = new Uint8Array(length);
  value.set(rest.subarray(1, 1 + length));
  return value;
}

/** The template has no length byte: TLVs of length 1 up to the end. An empty one passes. */
function keyTemplateStatus(rest: Uint8Array): number {
  for (let offset = 0; offset < rest.length; offset += 3) {
    const allowed = KEY_TEMPLATE_VALUES.get(rest[offset]!);
    const value = rest[offset + 2];
    if (allowed === undefined || rest[offset + 1] !== 1 || value === undefined || !allowed.includes(value)) {
      return SW.WRONG_DATA;
    }
  }
  return SW.OK;
}
