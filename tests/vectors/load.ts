/**
 * Reads the vectors in `data/`: recorded exchanges with the genuine applet and public known answers.
 * Each file names its source inside; `data/README.md` says how they were made.
 */

const DATA = new URL("./data/", import.meta.url);

/** Bytes of a vector file, by its path inside `data/`. */
export function vectorBytes(name: string): Uint8Array {
  return Deno.readFileSync(new URL(name, DATA));
}

/** A JSON vector; the caller names its shape. */
export function loadVector<T>(name: string): T {
  return JSON.parse(new TextDecoder().decode(vectorBytes(name))) as T;
}
