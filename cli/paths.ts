/** Paths and small files, for wiring. */

/** File path of a `file:` URL. */
export function fromFileUrl(url: URL): string {
  return decodeURIComponent(url.pathname);
}

/** Absolute form of a path that a person gave, relative to the folder where `rk` was called. */
export function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

/** The same for an option that may be left out. */
export function absoluteIfGiven(path: string | undefined): string | undefined {
  return path === undefined ? undefined : absolute(path);
}

/** Writes a file that only its owner can read (mode 0600), replacing it whole. */
export async function writePrivate(path: string, content: string | Uint8Array): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const temporary = `${path}.new`;
  await Deno.writeFile(temporary, bytes, { mode: 0o600 });
  await Deno.chmod(temporary, 0o600);
  await Deno.rename(temporary, path);
}

/** True when a path exists. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
