/** Components of a CAP file. Java Card 3.0.5 VM specification, chapter 6, table 6-1 and section 6.3. */

/** A component: file name without `.cap`, tag, and what a load needs of it. */
export interface ComponentKind {
  readonly name: string;
  readonly tag: number;
  /** Part of the load file. */
  readonly load: boolean;
  /** A package without it is refused. */
  readonly required: boolean;
}

/**
 * In the order of loading (section 6.3). Descriptor is loaded only by cards that verify on card, which ours do not, and
 * Debug never.
 */
export const COMPONENTS = [
  { name: "Header", tag: 1, load: true, required: true },
  { name: "Directory", tag: 2, load: true, required: true },
  { name: "Import", tag: 4, load: true, required: true },
  { name: "Applet", tag: 3, load: true, required: false },
  { name: "Class", tag: 6, load: true, required: true },
  { name: "Method", tag: 7, load: true, required: true },
  { name: "StaticField", tag: 8, load: true, required: true },
  { name: "Export", tag: 10, load: true, required: false },
  { name: "ConstantPool", tag: 5, load: true, required: true },
  { name: "RefLocation", tag: 9, load: true, required: true },
  { name: "Descriptor", tag: 11, load: false, required: false },
  { name: "Debug", tag: 12, load: false, required: false },
] as const satisfies readonly ComponentKind[];

/** Name of a component. */
export type ComponentName = (typeof COMPONENTS)[number]["name"];

/** First four bytes of the header's info. */
export const HEADER_MAGIC = 0xdecaffed;
/** Flag of the extended format of Java Card 3.1, which has several packages in one file. */
export const FLAG_EXTENDED = 0x08;
/** Format that is read: major version 2. */
export const FORMAT_MAJOR = 2;
/** Tag and size in front of each component's info, in bytes. */
export const COMPONENT_PREFIX_BYTES = 3;
/** Longest component, in bytes, with its prefix. */
export const COMPONENT_BYTES_MAX = 0xffff + COMPONENT_PREFIX_BYTES;
