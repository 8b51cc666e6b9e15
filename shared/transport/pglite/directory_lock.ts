/**
 * One process to a data folder. PGlite takes no lock itself, and two processes on one folder lose data. The system keeps the
 * lock (flock): it ends with the process, however that ends.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/** Holds the lock until it is disposed of. */
export interface DirectoryLock extends Disposable {
  /** The lock file. */
  readonly path: string;
}

/**
 * Takes the lock file `DIRECTORY/lock`, in which the holder writes its process id for people to read.
 * @throws {CodedError} `PGLITE_LOCKED`.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const path = `${directory}/lock`;
  const file = await Deno.open(path, { create: true, read: true, write: true, mode: 0o600 });
  if (!await file.tryLock(true)) {
    const holder = (await Deno.readTextFile(path).catch(() => "")).trim();
    file.close();
    throw new CodedError(
      "PGLITE_LOCKED",
      `Cannot open embedded database ${directory}: process ${/^\d+$/.test(holder) ? holder : "?"} has it`,
      { directory },
    );
  }
  await file.truncate(0);
  await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  return { path, [Symbol.dispose]: () => file.close() };
}

defineErrors({
  PGLITE_LOCKED: {
    fault: "usage",
    retry: false,
    next: "Use the embedded database that runs, or stop it, or name another folder.",
  },
});
