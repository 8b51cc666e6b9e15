import assert from "node:assert/strict";
import { codesIn } from "./error_codes.ts";

Deno.test("codesIn() reads what a file throws and the rows that stand in it", () => {
  const source = [
    `throw new CodedError("CARD_GONE", "Cannot read card");`,
    `throw new CodedError(\n  "CARD_LATE",\n  "Cannot wait",\n);`,
    `defineErrors({`,
    `  CARD_GONE: { fault: "card", retry: true, next: "Put it back." },`,
    `});`,
  ].join("\n");
  assert.deepEqual(codesIn(source), { thrown: ["CARD_GONE", "CARD_LATE"], defined: ["CARD_GONE"] });
});
