/**
 * Writes CAP files for tests and demonstrations: whole and well-formed in every component that a loader reads, with
 * filler where a converter would put code. No card can run them; virtual cards load them.
 */

import { zipSync } from "fflate";
import { concat, fromHex, writeUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { isAid, lengthValue } from "../gp/aid.ts";
import { type ComponentName, COMPONENTS, HEADER_MAGIC } from "./components.ts";
import type { CapVersion } from "./reader.ts";
import "./errors.ts";

/** Package and applet of the Recovery Key. Card page, section 1. */
export const DEFAULT_PACKAGE_AID_HEX = "A0000000624C4544474552303100";
/** Module AID of the Recovery Key, which is the default instance AID too. */
export const DEFAULT_APPLET_AID_HEX = "A0000000624C45444745523031";

/** Longest payload, in bytes: what a Method component holds beside its handler count. */
export const PAYLOAD_BYTES_MAX = 0xffff - 1;

/** What the package shall be. */
export interface TestCap {
  readonly packageAid?: Uint8Array;
  /** Default: the Recovery Key's. Empty: a library. */
  readonly appletAids?: readonly Uint8Array[];
  /** Default 1.0. */
  readonly version?: CapVersion;
  /** Length of the filler in the Method component, default 1024; or the filler itself. */
  readonly payloadBytes?: number | Uint8Array;
  /** Default `true`: deflated; else stored. */
  readonly compressed?: boolean;
}

/** Filler that differs between versions and does not compress to nothing. */
function filler(length: number, version: CapVersion): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (version.major << 8 | version.minor) + 1;
  for (let i = 0; i < length; i++) {
    // Numerical Recipes' congruence: reproducible, and nothing here needs more.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/**
 * Writes a package. The same input gives the same bytes.
 * @throws {CodedError} `CAP_WRITE` for an AID that is none, a version beyond a byte, a payload over 65,534 bytes, more
 * than 255 applets.
 */
export function writeTestCap(cap: TestCap = {}): Uint8Array {
  const packageAid = cap.packageAid ?? fromHex(DEFAULT_PACKAGE_AID_HEX);
  const appletAids = cap.appletAids ?? [fromHex(DEFAULT_APPLET_AID_HEX)];
  const version = cap.version ?? { major: 1, minor: 0 };
  const payload = cap.payloadBytes ?? 1024;
  const payloadLength = typeof payload === "number" ? payload : payload.length;
  const isByte = (n: number) => Number.isInteger(n) && n >= 0 && n <= 0xff;
  if (
    ![packageAid, ...appletAids].every(isAid) || !isByte(version.major) || !isByte(version.minor) ||
    !isByte(appletAids.length) || !(payloadLength >= 0 && payloadLength <= PAYLOAD_BYTES_MAX)
  ) {
    throw new CodedError("CAP_WRITE", "Cannot write CAP file: an AID, version or length is out of range");
  }

  const info = new Map<ComponentName, Uint8Array>([
    // Format 2.1; flag 04: has applets.
    [
      "Header",
      concat(
        writeUint(HEADER_MAGIC, 4),
        Uint8Array.of(1, 2, appletAids.length > 0 ? 0x04 : 0, version.minor, version.major),
        lengthValue(packageAid),
      ),
    ],
    // javacard.framework 1.6.
    ["Import", concat(Uint8Array.of(1, 6, 1), lengthValue(fromHex("A0000000620101")))],
    ["Class", fromHex("0000800000FF000100000000")],
    ["Method", concat(Uint8Array.of(0), typeof payload === "number" ? filler(payload, version) : payload)],
    ["StaticField", new Uint8Array(10)],
    ["ConstantPool", new Uint8Array(2)],
    ["RefLocation", new Uint8Array(4)],
    ["Descriptor", new Uint8Array(3)],
  ]);
  if (appletAids.length > 0) {
    const applets = appletAids.map((aid) => concat(lengthValue(aid), Uint8Array.of(0, 1)));
    info.set("Applet", concat(Uint8Array.of(appletAids.length), ...applets));
  }
  info.set("Directory", directory(info, appletAids.length));

  const files: Record<string, Uint8Array> = {};
  for (const { name, tag } of COMPONENTS) {
    const content = info.get(name);
    if (content === undefined) continue;
    files[`test/javacard/${name}.cap`] = concat(Uint8Array.of(tag), writeUint(content.length, 2), content);
  }
  // A fixed date, in local time as zip keeps it: reproducible in every time zone.
  return zipSync(files, { level: cap.compressed === false ? 0 : 6, mtime: new Date(1980, 0, 1) });
}

/** Java Card VM specification, section 6.5: sizes of the 11 components of format 2.1, by tag. */
function directory(info: ReadonlyMap<ComponentName, Uint8Array>, applets: number): Uint8Array {
  const ownBytes = 31;
  const sizes = [...COMPONENTS].sort((a, b) => a.tag - b.tag).filter(({ name }) => name !== "Debug");
  return concat(
    ...sizes.map(({ name }) => writeUint(name === "Directory" ? ownBytes : info.get(name)?.length ?? 0, 2)),
    new Uint8Array(6),
    Uint8Array.of(1, applets, 0),
  );
}
