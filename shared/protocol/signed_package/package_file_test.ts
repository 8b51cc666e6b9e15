import { deepEqual, throws } from "node:assert/strict";
import { toUtf8 } from "../../base/bytes.ts";
import { codeOf } from "../../base/errors.ts";
import { readCap } from "../cap/reader.ts";
import { writeTestCap } from "../cap/writer.ts";
import { encodePackageFile, PACKAGE_FILE_BYTES_MAX, parsePackageFile } from "./package_file.ts";
import { packageStatement } from "./statement.ts";

const CAP = writeTestCap({ payloadBytes: 100 });
const signature = {
  keyLabel: "release",
  publicKey: "04".repeat(65),
  algorithm: "gp-dap-ecdsa-p256-sha256" as const,
  signature: "AB".repeat(64),
};
const SIGNED = {
  ...packageStatement(readCap(CAP), new Uint8Array([0xa0, 0, 0, 1, 0x51]), 0),
  signatures: [signature],
};

Deno.test("parsePackageFile() gives the CAP file and its signatures back, byte for byte", () => {
  const { capBytes, signed } = parsePackageFile(encodePackageFile(CAP, SIGNED));
  deepEqual(new Uint8Array(capBytes), new Uint8Array(CAP));
  deepEqual(signed, SIGNED);
});

Deno.test("parsePackageFile() refuses what is no package file", () => {
  const file = JSON.parse(new TextDecoder().decode(encodePackageFile(CAP, SIGNED)));
  const refused = (code: string, value: unknown) =>
    throws(
      () => parsePackageFile(toUtf8(typeof value === "string" ? value : JSON.stringify(value))),
      (error) => codeOf(error) === code,
    );
  refused("PACKAGE_FORMAT", "{");
  refused("PACKAGE_FORMAT", { ...file, format: "rk-package-2" });
  refused("PACKAGE_FORMAT", { ...file, more: 1 });
  refused("PACKAGE_FORMAT", { ...file, cap: ` ${file.cap}` });
  refused("PACKAGE_FORMAT", { ...file, signed: "{}" });
  refused("CAP_ZIP", { ...file, cap: "AAAA" });
  throws(
    () => parsePackageFile(new Uint8Array(PACKAGE_FILE_BYTES_MAX + 1)),
    (error) => codeOf(error) === "PACKAGE_FORMAT",
  );
});
