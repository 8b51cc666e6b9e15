/** Reads and replaces the software HSM's file: whole or not at all, mode 0600, one writer at a time. */

import { dirname } from "node:path";
import { CodedError } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import {
  deriveSealingKey,
  KEY_FILE_LIMIT_BYTES,
  type KeyFile,
  makeKeyFile,
  parseKeyFile,
} from "./key_file.ts";

/** The file, or undefined when there is none. @throws {CodedError} `SOFTWARE_HSM_FILE`. */
export async function readKeyFile(path: string): Promise<KeyFile | undefined> {
  let size: number;
  try {
    ({ size } = await Deno.stat(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  if (size > KEY_FILE_LIMIT_BYTES) {
    throw new CodedError("SOFTWARE_HSM_FILE", `Cannot read software HSM ${path}: it is too large`, { path });
  }
  return parseKeyFile(await Deno.readTextFile(path), path);
}

/** Opens the file, making it when there is none; of two processes that start at once, one makes it. */
export async function openOrMakeKeyFile(
  path: string,
  passphrase: Secret,
): Promise<{ file: KeyFile; sealingKey: Secret; made: boolean }> {
  const there = await readKeyFile(path);
  if (there) return { file: there, sealingKey: await deriveSealingKey(passphrase, there), made: false };
  return await withWriterLock(path, async () => {
    const meanwhile = await readKeyFile(path);
    if (meanwhile) {
      return { file: meanwhile, sealingKey: await deriveSealingKey(passphrase, meanwhile), made: false };
    }
    const made = await makeKeyFile(passphrase);
    await replaceKeyFile(path, made.file);
    return { ...made, made: true };
  });
}

/** Runs `change` on the file as it is now, and writes what it gives back. */
export async function changeKeyFile(path: string, change: (file: KeyFile) => KeyFile): Promise<KeyFile> {
  return await withWriterLock(path, async () => {
    const file = await readKeyFile(path);
    if (!file) {
      throw new CodedError("SOFTWARE_HSM_FILE", `Cannot change software HSM ${path}: it is gone`, { path });
    }
    const changed = change(file);
    await replaceKeyFile(path, changed);
    return changed;
  });
}

/** The lock is the system's (flock): it ends with the process that held it. */
async function withWriterLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  using lock = await Deno.open(`${path}.lock`, { create: true, write: true, mode: 0o600 });
  await lock.lock(true);
  try {
    return await work();
  } finally {
    await lock.unlock();
  }
}

async function replaceKeyFile(path: string, file: KeyFile): Promise<void> {
  const next = `${path}.next`; // only the holder of the lock writes it
  const bytes = new TextEncoder().encode(JSON.stringify(file, undefined, 2) + "\n");
  await Deno.remove(next).catch(() => {});
  {
    using written = await Deno.open(next, { createNew: true, write: true, mode: 0o600 });
    for (let offset = 0; offset < bytes.length;) offset += await written.write(bytes.subarray(offset));
    await written.sync();
  }
  await Deno.rename(next, path);
  using folder = await Deno.open(dirname(path), { read: true });
  await folder.sync();
}
