/**
 * Small private files that are replaced whole: after a power cut there is the old content or the new, never a part. The
 * calls are synchronous on purpose: they take half a millisecond, less than their way through the asynchronous queue.
 */

/** Moments of a replacement at which power can fail, in order; tests stop it at each. */
export const REPLACE_STAGES = ["created", "half-written", "written", "synced", "renamed", "saved"] as const;
/** One of `REPLACE_STAGES`. */
export type ReplaceStage = (typeof REPLACE_STAGES)[number];

/** Mode of every file that is written here: its owner's alone. */
const PRIVATE = 0o600;

/**
 * Replaces a file (mode 0600): a temporary one beside it is written and synced, renamed, and the folder synced.
 * Throws what the system says; the old content is there then.
 * @param content wiped afterwards: it often holds keys.
 */
export function replaceFile(
  path: string,
  content: Uint8Array,
  onStage: (stage: ReplaceStage) => void = () => {},
): void {
  const temporary = temporaryOf(path);
  // A left-over of a cut replacement may be there with other rights.
  removeIfThere(temporary);
  const file = Deno.openSync(temporary, { write: true, createNew: true, mode: PRIVATE });
  try {
    onStage("created");
    const half = content.length >> 1;
    writeAll(file, content.subarray(0, half));
    onStage("half-written");
    writeAll(file, content.subarray(half));
    onStage("written");
    file.syncSync();
    onStage("synced");
  } finally {
    file.close();
    content.fill(0);
  }
  Deno.renameSync(temporary, path);
  onStage("renamed");
  syncFolder(path);
  onStage("saved");
}

/** Removes a file, and what a cut replacement left beside it. */
export function eraseFile(path: string): void {
  removeIfThere(temporaryOf(path));
  removeIfThere(path);
  syncFolder(path);
}

/** Removes what a cut replacement left: it holds keys and was never the content. */
export function removeLeftOver(path: string): void {
  removeIfThere(temporaryOf(path));
}

/**
 * Takes the lock of a file, `path.lock`, until it is closed; the kernel drops it when the process ends, however it ends.
 * @returns undefined when another process has it.
 */
export function lockFile(path: string): Disposable | undefined {
  const lock = Deno.openSync(`${path}.lock`, { write: true, create: true, mode: PRIVATE });
  if (lock.tryLockSync(true)) return lock;
  lock.close();
  return undefined;
}

/** What is known of a private file before it is read. */
export interface PrivateFile {
  readonly bytes: number;
  /** Whether group or others may read or write it. */
  readonly open: boolean;
}

/** Looks at a file; undefined when there is none. */
export function lookAtFile(path: string): PrivateFile | undefined {
  try {
    const { mode, size } = Deno.statSync(path);
    return { bytes: size, open: mode !== null && (mode & 0o077) !== 0 };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function temporaryOf(path: string): string {
  return `${path}.new`;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function syncFolder(path: string): void {
  const slash = path.lastIndexOf("/");
  using folder = Deno.openSync(slash < 0 ? "." : path.slice(0, slash) || "/", { read: true });
  folder.syncSync();
}
