/** Files with a DAP signature. */

import { z } from "zod";
import { fromHex, fromUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { isAid } from "shared/protocol/gp/aid.ts";
import type { DapBlock } from "shared/protocol/gp/load.ts";
import "./errors.ts";

/** Longest signature, in bytes: RSA of 4096 bits. */
export const DAP_SIGNATURE_BYTES_MAX = 512;

const FILE = z.object({
  securityDomainAid: z.string().regex(/^([0-9A-Fa-f]{2}){5,16}$/),
  signature: z.string().regex(/^([0-9A-Fa-f]{2})+$/),
});

function fault(what: string): CodedError {
  return new CodedError("CARDTOOL_DAP", `Cannot use DAP: ${what}`);
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes).trim();
  } catch {
    return undefined;
  }
}

/**
 * Reads a DAP: JSON with domain and signature, or the signature alone in hex or in bytes.
 * @param domain the security domain that verifies, for a signature alone; it must agree with the file's.
 * @throws {CodedError} `CARDTOOL_DAP`.
 */
export function parseDapFile(bytes: Uint8Array, domain: Uint8Array | undefined): DapBlock {
  const text = textOf(bytes);
  let signature = bytes;
  let securityDomainAid = domain;
  if (text?.startsWith("{")) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw fault("the file is not JSON");
    }
    const parsed = FILE.safeParse(value);
    if (!parsed.success) throw fault("the file does not hold securityDomainAid and signature in hex");
    signature = fromHex(parsed.data.signature);
    const named = fromHex(parsed.data.securityDomainAid);
    if (domain !== undefined && domain.join() !== named.join()) {
      throw fault("--dap-domain and the file name different security domains");
    }
    securityDomainAid = named;
  } else if (text !== undefined && /^([0-9A-Fa-f]{2})+$/.test(text)) {
    signature = fromHex(text);
  }
  if (securityDomainAid === undefined || !isAid(securityDomainAid)) {
    throw fault("it is not known which security domain verifies it");
  }
  if (signature.length === 0 || signature.length > DAP_SIGNATURE_BYTES_MAX) {
    throw fault(`a signature of ${signature.length} bytes`);
  }
  return { securityDomainAid, signature };
}
