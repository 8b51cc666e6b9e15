import { deepEqual, equal, notEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { readCap } from "./reader.ts";
import { PAYLOAD_BYTES_MAX, writeTestCap } from "./writer.ts";

Deno.test("writeTestCap() makes the Recovery Key's package by default", () => {
  const cap = readCap(writeTestCap(), { strict: true });
  equal(toHex(cap.packageAid), "A0000000624C4544474552303100");
  deepEqual(cap.applets.map(toHex), ["A0000000624C45444745523031"]);
  deepEqual(cap.version, { major: 1, minor: 0 });
});

Deno.test("readCap() strict reads whatever writeTestCap() writes", () => {
  const aid = () => fc.uint8Array({ minLength: 5, maxLength: 16 });
  const byte = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(
      aid(),
      fc.array(aid(), { maxLength: 4 }),
      fc.record({ major: byte, minor: byte }, { noNullPrototype: true }),
      fc.integer({ min: 0, max: 3000 }),
      fc.boolean(),
      (packageAid, appletAids, version, payloadBytes, compressed) => {
        const bytes = writeTestCap({ packageAid, appletAids, version, payloadBytes, compressed });
        const cap = readCap(bytes, { strict: true });
        deepEqual(cap.packageAid, packageAid);
        deepEqual(cap.applets, appletAids);
        deepEqual(cap.version, version);
        equal(cap.components.find(({ name }) => name === "Method")!.bytes.length, 4 + payloadBytes);
        equal(
          toHex(writeTestCap({ packageAid, appletAids, version, payloadBytes, compressed })),
          toHex(bytes),
        );
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("writeTestCap() stored and deflated hold the same load file; another version another one", () => {
  const hash = (cap: Parameters<typeof writeTestCap>[0]) => toHex(readCap(writeTestCap(cap)).sha256);
  equal(hash({ compressed: false }), hash({ compressed: true }));
  notEqual(hash({ version: { major: 1, minor: 1 } }), hash({}));
});

Deno.test("writeTestCap() gives the same bytes today and tomorrow", () => {
  // Stored, so that the compressor's version does not matter. Recorded from the first run.
  equal(
    toHex(readCap(writeTestCap({ compressed: false })).fileSha256),
    "8361959F7F4B77FDC6FB0E0E60183B66B8DA7A80B32E38625D349335DB134A40",
  );
});

Deno.test("writeTestCap() takes a payload as given, and the longest one", () => {
  const cap = readCap(writeTestCap({ payloadBytes: fromHex("AABB") }));
  equal(toHex(cap.components.find(({ name }) => name === "Method")!.bytes), "07000300AABB");
  readCap(writeTestCap({ payloadBytes: PAYLOAD_BYTES_MAX }), { strict: true });
});

Deno.test("writeTestCap() refuses what is out of range", () => {
  throws(() => writeTestCap({ packageAid: new Uint8Array(4) }), { code: "CAP_WRITE" });
  throws(() => writeTestCap({ appletAids: [new Uint8Array(17)] }), { code: "CAP_WRITE" });
  throws(() => writeTestCap({ version: { major: 256, minor: 0 } }), { code: "CAP_WRITE" });
  throws(() => writeTestCap({ payloadBytes: PAYLOAD_BYTES_MAX + 1 }), { code: "CAP_WRITE" });
  throws(() => writeTestCap({ payloadBytes: -1 }), { code: "CAP_WRITE" });
});
