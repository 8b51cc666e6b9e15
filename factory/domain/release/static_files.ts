/** What of a repository is served, how long it may be kept, and which part of it was asked for. Tables and decisions only. */

/** How a file may be kept by those on the way. */
export type Keeping = "for-ever" | "ask-again";

interface Served {
  readonly pattern: RegExp;
  readonly keeping: Keeping;
  readonly type: string;
}

const NAME = "[A-Za-z0-9%_-][A-Za-z0-9.%_-]{0,200}";

/** Everything that is served: nothing else of the folder is. */
const SERVED: readonly Served[] = [
  { pattern: /^metadata\/timestamp\.json$/, keeping: "ask-again", type: "application/json" },
  {
    pattern: new RegExp(`^metadata/\\d{1,9}\\.${NAME}\\.json$`),
    keeping: "for-ever",
    type: "application/json",
  },
  {
    pattern: new RegExp(`^targets/${NAME}/${NAME}/[0-9a-f]{64}\\.${NAME}$`),
    keeping: "for-ever",
    type: "application/octet-stream",
  },
  { pattern: /^log\/checkpoint$/, keeping: "ask-again", type: "text/plain; charset=utf-8" },
  // A partial tile stays as it is under its width; a full one always.
  { pattern: /^log\/tile\/[0-9a-z.\/]{1,64}$/, keeping: "for-ever", type: "application/octet-stream" },
  { pattern: /^log\/proofs\/[0-9a-f]{64}$/, keeping: "ask-again", type: "text/plain; charset=utf-8" },
  { pattern: /^halt\.json$/, keeping: "ask-again", type: "application/json" },
];

/** A file of the repository, by the path of a request without its first slash; undefined: it is not served. */
export function servedFile(path: string): Omit<Served, "pattern"> | undefined {
  if (path.includes("..") || path.includes("//")) return undefined;
  return SERVED.find(({ pattern }) => pattern.test(path));
}

/** First and last byte of a part. */
export interface Part {
  readonly first: number;
  readonly last: number;
}

/**
 * Which part a Range header asks for (RFC 9110, 14.1.2).
 * @returns undefined: the whole file (no header, or one that is not a single range of bytes); `"outside"`: status 416.
 */
export function partOf(range: string | null, size: number): Part | "outside" | undefined {
  const [, from, to] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range ?? "") ?? [];
  if (from === undefined || to === undefined || from === "" && to === "") return undefined;
  if (from === "") {
    const length = Math.min(Number(to), size);
    return length === 0 ? "outside" : { first: size - length, last: size - 1 };
  }
  const first = Number(from);
  const last = Math.min(to === "" ? size - 1 : Number(to), size - 1);
  if (to !== "" && Number(to) < first) return undefined;
  return first >= size ? "outside" : { first, last };
}
