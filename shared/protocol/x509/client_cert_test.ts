import assert from "node:assert/strict";
import { clientCertificate } from "./client_cert.ts";

Deno.test("clientCertificate() reads one byte sequence", () => {
  assert.deepEqual(clientCertificate(":AQID:"), Uint8Array.of(1, 2, 3));
  assert.equal(clientCertificate(`:${new Uint8Array(6_000).fill(7).toBase64()}:`)?.length, 6_000);
});

Deno.test("clientCertificate() takes nothing else for a certificate", () => {
  const others = [
    "",
    "AQID",
    '"AQID"',
    ":AQID",
    ":AQ*D:",
    ":AQID:, :AQID:",
    "1",
    "?1",
    "(:AQID:)",
    "a=:AQID:",
  ];
  for (const value of others) assert.equal(clientCertificate(value), undefined, value);
  assert.equal(clientCertificate(undefined), undefined);
  assert.equal(clientCertificate(`:${new Uint8Array(6_200).toBase64()}:`), undefined, "longer than is read");
});
