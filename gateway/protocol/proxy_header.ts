/** The header of the PROXY protocol, version 2 (HAProxy's specification, section 2.2), as bytes: who connected to the proxy. */

/** What stands at the beginning: CR LF CR LF NUL CR LF "QUIT" LF. */
export const PROXY_SIGNATURE = new Uint8Array([13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]);
/** Signature, version and command, family, length. */
export const PROXY_FIXED_BYTES = 16;
/** Longest rest that is taken: addresses and additional vectors. */
export const PROXY_MAX_REST_BYTES = 4_096;

/** What bytes say. */
export type ProxyHeader =
  | { readonly kind: "more" }
  | { readonly kind: "malformed" }
  /** `address` is undefined when the proxy speaks for itself, as in a health check. */
  | { readonly kind: "header"; readonly bytes: number; readonly address: string | undefined };

/** Reads a header from the beginning of `bytes`. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader {
  const known = Math.min(bytes.length, PROXY_SIGNATURE.length);
  for (let i = 0; i < known; i++) if (bytes[i] !== PROXY_SIGNATURE[i]) return { kind: "malformed" };
  if (bytes.length < PROXY_FIXED_BYTES) return { kind: "more" };
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 15;
  if (version !== 2 || command > 1) return { kind: "malformed" };
  const rest = bytes[14]! * 256 + bytes[15]!;
  if (rest > PROXY_MAX_REST_BYTES) return { kind: "malformed" };
  const total = PROXY_FIXED_BYTES + rest;
  if (bytes.length < total) return { kind: "more" };
  if (command === 0) return { kind: "header", bytes: total, address: undefined };
  const body = bytes.subarray(PROXY_FIXED_BYTES, total);
  // Family and transport: 0x11 TCP over IPv4, 0x21 TCP over IPv6. Whoever proxies something else is set up wrongly.
  if (bytes[13] === 0x11 && rest >= 12) {
    return { kind: "header", bytes: total, address: body.subarray(0, 4).join(".") };
  }
  if (bytes[13] === 0x21 && rest >= 36) {
    const groups = Array.from({ length: 8 }, (_, i) => (body[2 * i]! * 256 + body[2 * i + 1]!).toString(16));
    return { kind: "header", bytes: total, address: groups.join(":") };
  }
  return { kind: "malformed" };
}
