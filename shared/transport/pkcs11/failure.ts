/** What a PKCS#11 return value means: a refused PIN, a lost session, a dead token, or a failed call. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { CKR } from "./constants.ts";
import "../hsm.ts";

/**
 * - `pin`: the token refused the PIN; trying again may lock it.
 * - `session`: sessions or the login are gone, the token is there: open and log in again.
 * - `token`: the token or the library's view of it is gone: initialize the library again.
 * - `call`: this call failed, the token is well.
 */
export type FailureKind = "pin" | "session" | "token" | "call";

const KINDS: ReadonlyMap<number, FailureKind> = new Map<number, FailureKind>([
  [CKR.PIN_INCORRECT, "pin"],
  [CKR.PIN_INVALID, "pin"],
  [CKR.PIN_LEN_RANGE, "pin"],
  [CKR.PIN_EXPIRED, "pin"],
  [CKR.PIN_LOCKED, "pin"],
  [CKR.USER_PIN_NOT_INITIALIZED, "pin"],
  [CKR.SESSION_CLOSED, "session"],
  [CKR.SESSION_HANDLE_INVALID, "session"],
  [CKR.USER_NOT_LOGGED_IN, "session"],
  [CKR.OPERATION_ACTIVE, "session"],
  [CKR.OPERATION_NOT_INITIALIZED, "session"],
  [CKR.SLOT_ID_INVALID, "token"],
  [CKR.GENERAL_ERROR, "token"],
  [CKR.FUNCTION_FAILED, "token"],
  [CKR.DEVICE_ERROR, "token"],
  [CKR.DEVICE_MEMORY, "token"],
  [CKR.DEVICE_REMOVED, "token"],
  [CKR.TOKEN_NOT_PRESENT, "token"],
  [CKR.TOKEN_NOT_RECOGNIZED, "token"],
  [CKR.CRYPTOKI_NOT_INITIALIZED, "token"],
  // A handle that was good a moment ago: the library lost its view of the token, or somebody deleted the key.
  [CKR.KEY_HANDLE_INVALID, "token"],
  [CKR.OBJECT_HANDLE_INVALID, "token"],
]);

/** A return value other than CKR_OK, from the binding or from a direct call. */
export class Pkcs11Failure extends Error {
  /** CK_RV. */
  readonly value: number;

  constructor(value: number, call: string) {
    super(`${call}: CK_RV 0x${value.toString(16)}`);
    this.name = "Pkcs11Failure";
    this.value = value;
  }
}

/** The return value inside an error of the binding or of ours; undefined for any other error. */
export function returnValue(error: unknown): number | undefined {
  if (error instanceof Pkcs11Failure) return error.value;
  if (error instanceof Error && error.name === "Pkcs11Error") {
    const { code } = error as { code?: unknown };
    if (typeof code === "number") return code;
  }
  return undefined;
}

/** Sorts an error; undefined when it did not come from the token. */
export function failureKind(error: unknown): FailureKind | undefined {
  const value = returnValue(error);
  return value === undefined ? undefined : KINDS.get(value) ?? "call";
}

/** Turns an error of the token into one of the port's codes; errors with a code of ours stay as they are. */
export function toCodedError(error: unknown, action: string): CodedError {
  if (error instanceof CodedError) return error;
  const value = returnValue(error);
  const kind = failureKind(error);
  const returned = value === undefined ? undefined : `0x${value.toString(16)}`;
  if (kind === "pin") {
    return new CodedError("HSM_PIN", `Cannot log in to token: it refuses the PIN (CK_RV ${returned})`, {
      returned,
    });
  }
  return new CodedError(
    "HSM_UNAVAILABLE",
    returned
      ? `Cannot ${action}: the token answers CK_RV ${returned}`
      : `Cannot ${action}: the PKCS#11 binding fails`,
    { returned },
    error,
  );
}

defineErrors({
  HSM_TOKEN: {
    fault: "configuration",
    retry: false,
    http: 503,
    next:
      "Give each token a label of its own and name it exactly (`pkcs11-tool --module LIBRARY -L` lists them).",
  },
  HSM_MECHANISM: {
    fault: "configuration",
    retry: false,
    http: 503,
    next: "The token cannot do what this key is for: take a token or a firmware that offers the mechanism.",
  },
  HSM_KEY_EXTRACTABLE: {
    fault: "configuration",
    retry: false,
    http: 503,
    next:
      "Somebody can read this key out of the token: make a new one with `rk hsm init` and retire this one.",
  },
  HSM_KEY_AMBIGUOUS: {
    fault: "configuration",
    retry: false,
    http: 503,
    next: "Several keys of the token have this label: delete or rename the ones that are not meant.",
  },
});
