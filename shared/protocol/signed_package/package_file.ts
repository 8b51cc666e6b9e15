/** A package in one file, `NAME.rkpkg`, for repositories: the CAP file and its `.signed.json` together, as JSON. */

import { z } from "zod";
import { fromStrictBase64 } from "../../base/base64.ts";
import { fromUtf8, toUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { type CapFile, readCap } from "../cap/reader.ts";
import { encodeSignedPackage, parseSignedPackage, type SignedPackage } from "./document.ts";
import "./errors.ts";

/** Largest file, in bytes: a CAP file of 1 MiB in base64, and its signatures. */
export const PACKAGE_FILE_BYTES_MAX = 1_600_000;

const PackageFile = z.strictObject({
  format: z.literal("rk-package-1"),
  /** The CAP file, base64 (RFC 4648, section 4). */
  cap: z.string(),
  /** Text of the `.signed.json`. */
  signed: z.string(),
});

/** Both parts of a package. Nothing is verified: `verifySignedPackage` does. */
export interface PackageParts {
  readonly cap: CapFile;
  /** Bytes of the CAP file as it was. */
  readonly capBytes: Uint8Array;
  readonly signed: SignedPackage;
}

/** Bytes of a `.rkpkg`. */
export function encodePackageFile(capBytes: Uint8Array, signed: SignedPackage): Uint8Array {
  const text = JSON.stringify({
    format: "rk-package-1",
    cap: capBytes.toBase64(),
    signed: encodeSignedPackage(signed),
  });
  return toUtf8(`${text}\n`);
}

/** Reads a `.rkpkg`. @throws {CodedError} `PACKAGE_FORMAT`, `PACKAGE_UNSIGNED`, and those of `readCap`. */
export function parsePackageFile(bytes: Uint8Array): PackageParts {
  if (bytes.length > PACKAGE_FILE_BYTES_MAX) throw wrong(`it has ${bytes.length} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch {
    throw wrong("it is not JSON");
  }
  const parsed = PackageFile.safeParse(value);
  if (!parsed.success) throw wrong("missing, wrong or unknown fields");
  const capBytes = fromStrictBase64(parsed.data.cap);
  if (capBytes === undefined) throw wrong("its CAP file is not base64");
  return { cap: readCap(capBytes), capBytes, signed: parseSignedPackage(parsed.data.signed) };
}

function wrong(state: string): CodedError {
  return new CodedError("PACKAGE_FORMAT", `Cannot read package file: ${state}`);
}
