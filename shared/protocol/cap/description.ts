/** What a CAP file is, for people and programs: names, versions, sizes and hashes as texts. */

import { toHex } from "../../base/bytes.ts";
import type { CapFile, CapVersion } from "./reader.ts";

/** A description; AIDs and hashes in hex. */
export interface CapDescription {
  readonly packageAid: string;
  readonly packageName: string | null;
  /** `MAJOR.MINOR`, of the package and of the CAP format. */
  readonly version: string;
  readonly format: string;
  /** Module AIDs; none in a library. */
  readonly applets: readonly string[];
  readonly imports: readonly { readonly aid: string; readonly version: string }[];
  /** Bytes of each component that is loaded, in the order of loading. */
  readonly components: readonly { readonly name: string; readonly bytes: number }[];
  readonly loadFileDataBlockBytes: number;
  /** SHA-256 of what is loaded: the Load File Data Block Hash. */
  readonly loadFileDataBlockHash: string;
  /** SHA-256 of the file. */
  readonly capSha256: string;
  /** Components whose tag or size is not theirs. */
  readonly irregularities: readonly string[];
}

/** `MAJOR.MINOR`. */
export function versionText({ major, minor }: CapVersion): string {
  return `${major}.${minor}`;
}

/** Describes a package. */
export function describeCap(cap: CapFile): CapDescription {
  return {
    packageAid: toHex(cap.packageAid),
    packageName: cap.packageName ?? null,
    version: versionText(cap.version),
    format: versionText(cap.format),
    applets: cap.applets.map(toHex),
    imports: cap.imports.map(({ aid, version }) => ({ aid: toHex(aid), version: versionText(version) })),
    components: cap.components.map(({ name, bytes }) => ({ name, bytes: bytes.length })),
    loadFileDataBlockBytes: cap.loadFileDataBlock.length,
    loadFileDataBlockHash: toHex(cap.sha256),
    capSha256: toHex(cap.fileSha256),
    irregularities: cap.irregularities,
  };
}
