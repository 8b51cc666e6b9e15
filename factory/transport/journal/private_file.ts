/** Small files of the state folder that only the station may read (mode 0600), replaced as a whole. */

/** The file's text, or undefined when there is none. A file that others may read counts as none: it is made anew. */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  try {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o077) !== 0) return undefined;
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes beside the file, then takes its place: after a crash the old one or the new one is there, whole. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  // A leftover of a crash keeps its mode when it is opened again.
  await Deno.remove(beside).catch(() => {});
  const file = await Deno.open(beside, { write: true, createNew: true, mode: 0o600 });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
    await file.sync();
  } finally {
    file.close();
  }
  await Deno.rename(beside, path);
}
