/** Reads CAP files as the Java Card converter writes them: a zip archive with one file for each component. */

import { createHash } from "node:crypto";
import { concat, fromUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { isAid } from "../gp/aid.ts";
import {
  COMPONENT_BYTES_MAX,
  COMPONENT_PREFIX_BYTES,
  type ComponentName,
  COMPONENTS,
  FLAG_EXTENDED,
  FORMAT_MAJOR,
  HEADER_MAGIC,
} from "./components.ts";
import { readZip, type ZipEntry } from "./zip.ts";

/** Version of a package or of the format. */
export interface CapVersion {
  readonly major: number;
  readonly minor: number;
}

/** One component as it is loaded: tag, size, info. */
export interface CapComponent {
  readonly name: ComponentName;
  readonly bytes: Uint8Array;
}

/** A package that another one uses. */
export interface CapImport {
  readonly aid: Uint8Array;
  readonly version: CapVersion;
}

/** A CAP file. */
export interface CapFile {
  readonly packageAid: Uint8Array;
  /**
   * Java name with dots: of the header (format 2.2 and later), else of the folder that the components are in. Of
   * printable characters; absent when there is none.
   */
  readonly packageName?: string;
  readonly version: CapVersion;
  /** Of the CAP format, `2.1` to `2.3`. */
  readonly format: CapVersion;
  /** Module AIDs, one for each applet; none in a library. */
  readonly applets: readonly Uint8Array[];
  readonly imports: readonly CapImport[];
  /** The components that are loaded, in the order of loading. */
  readonly components: readonly CapComponent[];
  /** Content of `C4`: the components joined. */
  readonly loadFileDataBlock: Uint8Array;
  /** SHA-256 of `loadFileDataBlock` (32 bytes): Load File Data Block Hash and what a DAP signs. GPC 2.3.1, C.2. */
  readonly sha256: Uint8Array;
  /** SHA-256 of the whole file (32 bytes), for records: two files may hold the same load file. */
  readonly fileSha256: Uint8Array;
  /** Components whose tag or size is not theirs: a card may refuse them. Empty in a file of the converter. */
  readonly irregularities: readonly ComponentName[];
}

/** How a file is read. */
export interface CapOptions {
  /** Refuse a file with irregularities (`CAP_COMPONENT`). Default `false`. */
  readonly strict?: boolean;
}

/** First minor format version whose header names the package. Section 6.4. */
const NAME_FORMAT_MINOR = 2;
const NO_NAME = new Uint8Array(0);

const COMPONENT_FILE = /(?:^|\/)javacard\/([^/]+)\.cap$/i;

function collect(entries: readonly ZipEntry[]): Map<string, ZipEntry> {
  const found = new Map<string, ZipEntry>();
  for (const entry of entries) {
    const name = COMPONENT_FILE.exec(entry.name)?.[1];
    if (name === undefined) continue;
    if (!COMPONENTS.some((kind) => kind.name === name)) {
      throw new CodedError(
        "CAP_FORMAT",
        "Cannot read CAP file: it holds a component that is not of format 2.1 to 2.3",
      );
    }
    if (found.has(name)) {
      throw new CodedError("CAP_DUPLICATE", `Cannot read CAP file: two ${name} components`);
    }
    found.set(name, entry);
  }
  return found;
}

/** Reads fields front to back, never past the end. */
class Cursor {
  #offset = COMPONENT_PREFIX_BYTES;
  constructor(readonly name: ComponentName, readonly bytes: Uint8Array) {}

  take(length: number): Uint8Array {
    const end = this.#offset + length;
    if (end > this.bytes.length) {
      const code = this.name === "Header" ? "CAP_HEADER" : "CAP_COMPONENT";
      throw new CodedError(code, `Cannot read CAP file: ${this.name} ends too early`);
    }
    const part = this.bytes.slice(this.#offset, end);
    this.#offset = end;
    return part;
  }
  byte(): number {
    return this.take(1)[0]!;
  }
  get ended(): boolean {
    return this.#offset >= this.bytes.length;
  }
  /** Minor comes first. */
  version(): CapVersion {
    const minor = this.byte();
    return { minor, major: this.byte() };
  }
  aid(): Uint8Array {
    const aid = this.take(this.byte());
    if (!isAid(aid)) {
      throw new CodedError(
        "CAP_COMPONENT",
        `Cannot read CAP file: ${this.name} holds an AID of ${aid.length} bytes`,
      );
    }
    return aid;
  }
}

/** Section 6.4. */
function readHeader(
  bytes: Uint8Array,
): { format: CapVersion; version: CapVersion; packageAid: Uint8Array; name: Uint8Array } {
  const cursor = new Cursor("Header", bytes);
  const magic = new DataView(cursor.take(4).buffer).getUint32(0);
  if (bytes[0] !== 1 || magic !== HEADER_MAGIC) {
    throw new CodedError("CAP_HEADER", "Cannot read CAP file: its header does not begin with DECAFFED");
  }
  const format = cursor.version();
  const flags = cursor.byte();
  if (format.major !== FORMAT_MAJOR || (flags & FLAG_EXTENDED) !== 0) {
    throw new CodedError(
      "CAP_FORMAT",
      `Cannot read CAP file: format ${format.major}.${format.minor}, flags ${flags}`,
    );
  }
  const version = cursor.version();
  const packageAid = cursor.aid();
  const name = format.minor >= NAME_FORMAT_MINOR && !cursor.ended ? cursor.take(cursor.byte()) : NO_NAME;
  return { format, version, packageAid, name };
}

/** The package's name; see {@link CapFile.packageName}. */
function packageName(inHeader: Uint8Array, headerFile: string): string | undefined {
  const folder = /^(.*?)\/?javacard\/[^/]+$/i.exec(headerFile)?.[1] ?? "";
  let name = folder.replaceAll("/", ".");
  if (inHeader.length > 0) {
    try {
      name = fromUtf8(inHeader).replaceAll("/", ".");
    } catch {
      return undefined;
    }
  }
  // It is shown to people: nothing that a terminal could take for a command.
  return /^[\x21-\x7e]{1,255}$/.test(name) ? name : undefined;
}

/** Section 6.6. */
function readApplets(bytes: Uint8Array | undefined): Uint8Array[] {
  if (bytes === undefined) return [];
  const cursor = new Cursor("Applet", bytes);
  return Array.from({ length: cursor.byte() }, () => {
    const aid = cursor.aid();
    cursor.take(2);
    return aid;
  });
}

/** Section 6.7. */
function readImports(bytes: Uint8Array): CapImport[] {
  const cursor = new Cursor("Import", bytes);
  return Array.from({ length: cursor.byte() }, () => {
    const version = cursor.version();
    return { version, aid: cursor.aid() };
  });
}

function isRegular(tag: number, bytes: Uint8Array): boolean {
  return bytes.length >= COMPONENT_PREFIX_BYTES && bytes[0] === tag &&
    bytes[1]! * 256 + bytes[2]! === bytes.length - COMPONENT_PREFIX_BYTES;
}

/**
 * Reads a CAP file, stored or deflated. Entries that are no component (manifest, class files) are not inflated.
 * @throws {CodedError} `CAP_ZIP`, `CAP_CHECKSUM`, `CAP_TOO_LARGE`, `CAP_MISSING`, `CAP_DUPLICATE`, `CAP_HEADER`,
 * `CAP_FORMAT`, `CAP_COMPONENT`.
 */
export function readCap(bytes: Uint8Array, options: CapOptions = {}): CapFile {
  const files = collect(readZip(bytes));
  const components: CapComponent[] = [];
  const irregularities: ComponentName[] = [];
  for (const kind of COMPONENTS) {
    const entry = files.get(kind.name);
    if (entry === undefined && kind.required) {
      throw new CodedError("CAP_MISSING", `Cannot read CAP file: component ${kind.name} is missing`);
    }
    if (entry === undefined || !kind.load) continue;
    const content = entry.read(COMPONENT_BYTES_MAX);
    if (!isRegular(kind.tag, content)) irregularities.push(kind.name);
    components.push({ name: kind.name, bytes: content });
  }
  const component = (name: ComponentName) => components.find((c) => c.name === name)?.bytes;
  const { name, ...header } = readHeader(component("Header")!);
  const named = packageName(name, files.get("Header")!.name);
  if (options.strict && irregularities.length > 0) {
    throw new CodedError(
      "CAP_COMPONENT",
      `Cannot read CAP file: tag or size of ${irregularities.join(", ")} is wrong`,
    );
  }
  const loadFileDataBlock = concat(...components.map((c) => c.bytes));
  return {
    ...header,
    ...(named === undefined ? {} : { packageName: named }),
    applets: readApplets(component("Applet")),
    imports: readImports(component("Import")!),
    components,
    loadFileDataBlock,
    sha256: sha256(loadFileDataBlock),
    fileSha256: sha256(bytes),
    irregularities,
  };
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}
