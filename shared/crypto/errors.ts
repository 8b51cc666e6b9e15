/** Codes of shared/crypto. */

import { defineErrors } from "../base/errors.ts";

/** Rows of the `CRYPTO_` codes. */
export const CRYPTO_ERRORS = defineErrors({
  CRYPTO_LENGTH: { fault: "bug", retry: false, http: 500, next: "Report it." },
  CRYPTO_PADDING: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "The message is damaged or was sealed with another key: start a new session.",
  },
  CRYPTO_KEY: {
    fault: "configuration",
    retry: false,
    http: 500,
    next: "Give a private key of the curve: 32 bytes.",
  },
  CRYPTO_POINT: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "The other side sent a public key that is not on secp256k1: do not trust it.",
  },
  CRYPTO_SIGNATURE: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "The signature is not strict DER: the device that made it is faulty.",
  },
});
