/** The content of a load file as the card reads it: CAP components. Java Card VM specification, chapter 6. */

import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { readUint } from "shared/base/bytes.ts";

const COMPONENT_HEADER = 1;
const COMPONENT_APPLET = 3;
const COMPONENT_IMPORT = 4;
const HEADER_MAGIC = 0xdecaffed;

/** What a card keeps of a package. */
export interface LoadedPackage {
  readonly packageAid: Uint8Array;
  readonly version: { readonly major: number; readonly minor: number };
  readonly modules: Uint8Array[];
  /** Packages that it uses. */
  readonly imports: Uint8Array[];
}

/**
 * Reads the components of a load file data block, the Header component first.
 * @returns undefined when they are not a package.
 */
export function readPackage(content: Uint8Array): LoadedPackage | undefined {
  const components = readComponents(content);
  const header = components?.get(COMPONENT_HEADER);
  if (components === undefined || header === undefined || content[0] !== COMPONENT_HEADER) return undefined;
  // magic (4), CAP minor major, flags, package minor major, AID length, AID.
  const aidLength = header[9];
  if (aidLength === undefined || readUint(header.subarray(0, 4)) !== HEADER_MAGIC) return undefined;
  const packageAid = header.slice(10, 10 + aidLength);
  if (packageAid.length !== aidLength) return undefined;
  const modules = readModules(components.get(COMPONENT_APPLET));
  const imports = readImports(components.get(COMPONENT_IMPORT));
  if (modules === undefined || imports === undefined) return undefined;
  return { packageAid, version: { major: header[8]!, minor: header[7]! }, modules, imports };
}

function readComponents(content: Uint8Array): Map<number, Uint8Array> | undefined {
  const components = new Map<number, Uint8Array>();
  for (let offset = 0; offset < content.length;) {
    if (offset + 3 > content.length) return undefined;
    const tag = content[offset]!;
    const end = offset + 3 + readUint(content.subarray(offset + 1, offset + 3));
    if (end > content.length || components.has(tag)) return undefined;
    components.set(tag, content.subarray(offset + 3, end));
    offset = end;
  }
  return components;
}

/** Applet component: count, then for each applet AID length, AID, install method offset (2). */
function readModules(component: Uint8Array | undefined): Uint8Array[] | undefined {
  if (component === undefined) return [];
  const modules: Uint8Array[] = [];
  let offset = 1;
  for (let i = 0; i < (component[0] ?? 0); i++) {
    const length = component[offset] ?? 0;
    const aid = component.slice(offset + 1, offset + 1 + length);
    if (aid.length !== length || length < 5) return undefined;
    modules.push(aid);
    offset += 1 + length + 2;
  }
  return modules;
}

/** Import component: count, then for each package minor, major, AID length, AID. */
function readImports(component: Uint8Array | undefined): Uint8Array[] | undefined {
  if (component === undefined) return [];
  const imports: Uint8Array[] = [];
  let offset = 1;
  for (let i = 0; i < (component[0] ?? 0); i++) {
    const length = component[offset + 2] ?? 0;
    const aid = component.slice(offset + 3, offset + 3 + length);
    if (aid.length !== length || length < 5) return undefined;
    imports.push(aid);
    offset += 3 + length;
  }
  return imports;
}

/** The digest of a load file data block by the length of the announced one: SHA-1 (20) or SHA-256 (32). */
export function loadFileHash(content: Uint8Array, length: number): Uint8Array {
  return length === 20 ? sha1(content) : sha256(content);
}
