import assert from "node:assert/strict";
import { errorTable } from "../../base/errors.ts";
import { RESULT, type ResultName } from "./constants.ts";
import { isServiceGone, resultError } from "./results.ts";
import "../card_channel.ts";

Deno.test("resultError() maps by phase", () => {
  const code = (phase: Parameters<typeof resultError>[0], name: ResultName) =>
    resultError(phase, "try", RESULT[name]).code;
  assert.equal(code("connecting", "SCARD_E_NO_SMARTCARD"), "CARD_ABSENT");
  assert.equal(code("connected", "SCARD_E_NO_SMARTCARD"), "CARD_REMOVED");
  assert.equal(code("connecting", "SCARD_E_SHARING_VIOLATION"), "CARD_BUSY");
  assert.equal(code("connecting", "SCARD_E_UNKNOWN_READER"), "READER_UNKNOWN");
  assert.equal(code("connected", "SCARD_E_READER_UNAVAILABLE"), "CARD_REMOVED");
  assert.equal(code("connected", "SCARD_W_RESET_CARD"), "CARD_NO_ANSWER");
  assert.equal(code("connected", "SCARD_E_NOT_TRANSACTED"), "CARD_NO_ANSWER");
  assert.equal(code("establishing", "SCARD_W_SECURITY_VIOLATION"), "PCSC_REFUSED");
  assert.equal(code("any", "SCARD_W_SECURITY_VIOLATION"), "PCSC_UNAVAILABLE");
  assert.equal(resultError("any", "try", 0x80100001).code, "PCSC_FAILED");
});

Deno.test("resultError() gives registered codes only, for every result in every phase", () => {
  for (const result of Object.values(RESULT)) {
    for (const phase of ["any", "establishing", "connecting", "connected"] as const) {
      assert.ok(errorTable().has(resultError(phase, "try", result).code));
    }
  }
});

Deno.test("isServiceGone() is true for what a restarted pcscd causes", () => {
  for (const name of ["SCARD_E_NO_SERVICE", "SCARD_E_SERVICE_STOPPED", "SCARD_E_INVALID_HANDLE"] as const) {
    assert.equal(isServiceGone(RESULT[name]), true);
  }
  assert.equal(isServiceGone(RESULT.SCARD_S_SUCCESS), false);
});
