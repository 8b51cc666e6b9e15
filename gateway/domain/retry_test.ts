import assert from "node:assert/strict";
import { maySendAgain } from "./retry.ts";

Deno.test("maySendAgain() every combination", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"]) {
    for (const hasIdempotencyKey of [false, true]) {
      for (const sent of [false, true]) {
        const plain = method === "POST" || method === "PATCH";
        const expected = !(plain && sent && !hasIdempotencyKey);
        assert.equal(
          maySendAgain({ method, hasIdempotencyKey, sent }),
          expected,
          `${method} ${hasIdempotencyKey} ${sent}`,
        );
      }
    }
  }
});
