/** Reads a package's two files: the CAP file and its `.signed.json`. */

import { CodedError } from "shared/base/errors.ts";
import { type CapFile, readCap } from "shared/protocol/cap/reader.ts";
import { ZIP_BYTES_MAX } from "shared/protocol/cap/zip.ts";
import {
  parseSignedPackage,
  SIGNED_PACKAGE_BYTES_MAX,
  type SignedPackage,
} from "shared/protocol/signed_package/document.ts";

/** Bytes of a CAP file. @throws {CodedError} `PACKAGE_FILE`. */
export async function readCapBytes(path: string): Promise<Uint8Array> {
  return await readBounded(path, ZIP_BYTES_MAX, "CAP file");
}

/** A CAP file. @throws {CodedError} `PACKAGE_FILE`, and those of `readCap`. */
export async function readCapFile(path: string): Promise<CapFile> {
  return readCap(await readCapBytes(path));
}

/** A `.signed.json`. @throws {CodedError} `PACKAGE_FILE`, `PACKAGE_FORMAT`, `PACKAGE_UNSIGNED`. */
export async function readSignedPackageFile(path: string): Promise<SignedPackage> {
  const bytes = await readBounded(path, SIGNED_PACKAGE_BYTES_MAX, "signed package");
  return parseSignedPackage(new TextDecoder().decode(bytes));
}

async function readBounded(path: string, limitBytes: number, what: string): Promise<Uint8Array> {
  try {
    const { size } = await Deno.stat(path);
    if (size > limitBytes) {
      throw new CodedError("PACKAGE_FILE", `Cannot read ${what} ${path}: it has ${size} bytes`, { path });
    }
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    const reason = error instanceof Deno.errors.NotFound ? "there is no such file" : (error as Error).name;
    throw new CodedError("PACKAGE_FILE", `Cannot read ${what} ${path}: ${reason}`, { path });
  }
}
