/** Where a witness keeps evidence: one file for each contradiction, named by what contradicts. */

import { sha256 } from "@noble/hashes/sha2.js";
import { toHex, toUtf8 } from "../../base/bytes.ts";
import type { Logger } from "../../base/log.ts";
import { type Evidence, formatEvidence } from "./evidence.ts";

/** Most files of a folder before open cases are not kept any more. */
export const EVIDENCE_FILES_MAX = 1000;
/** Most files of a folder: proofs are kept beyond the first bound, but a log that forks on purpose must not fill the disk. */
export const PROVEN_FILES_MAX = 2000;

/** Keeps evidence. */
export interface EvidenceKeeper {
  /**
   * Keeps a contradiction; one that is there already is kept once. Never throws: the refusal does not depend on it.
   * @param proven whether the two signatures prove it.
   * @returns the file, or undefined when it could not be written or the folder is full.
   */
  keep(evidence: Evidence, proven: boolean): string | undefined;
  /** Number of files. */
  count(): number;
}

/** Opens a folder, making it (mode 0700). */
export function openEvidenceFolder(folder: string, log: Logger): EvidenceKeeper {
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const files = new Set(
    [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".json")),
  );
  return {
    count: () => files.size,
    keep(evidence, proven) {
      const name = fileName(evidence);
      const path = `${folder}/${name}`;
      if (files.has(name)) return path;
      // Whoever holds two genuine checkpoints can make any number of these; signatures of a log in two ways are rare.
      if (files.size >= (proven ? PROVEN_FILES_MAX : EVIDENCE_FILES_MAX)) {
        log.error("witness.evidence-full", { origin: evidence.origin, kind: evidence.kind });
        return undefined;
      }
      try {
        writeDurably(folder, path, formatEvidence(evidence));
        files.add(name);
        return path;
      } catch (error) {
        log.error("witness.evidence-not-written", { origin: evidence.origin, kind: evidence.kind, error });
        return undefined;
      }
    },
  };
}

/** The texts contradict, whatever proof or signatures of others came with them. */
function fileName({ kind, origin, first = "", second }: Evidence): string {
  const texts = [kind, origin, first, second].map((note) => note.split("\n\n— ")[0]).join("\n\n");
  return `${kind}-${toHex(sha256(toUtf8(texts))).slice(0, 32).toLowerCase()}.json`;
}

function writeDurably(folder: string, path: string, bytes: Uint8Array): void {
  const temporary = `${path}.new`;
  const file = Deno.openSync(temporary, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
    file.syncSync();
  } finally {
    file.close();
  }
  Deno.renameSync(temporary, path);
  const directory = Deno.openSync(folder, { read: true });
  try {
    directory.syncSync();
  } finally {
    directory.close();
  }
}
