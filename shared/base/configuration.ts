/**
 * Configuration files: YAML (so JSON too), checked as a whole. Every fault is named with file, line, column, key path and what
 * was expected; values are not repeated, since one may be a secret in the wrong place.
 */

import { dirname, isAbsolute, join, resolve } from "node:path";
import { isMap, isNode, LineCounter, type Node, parseDocument } from "yaml";
import { z } from "zod";
import { CodedError } from "./errors.ts";

/** One fault of a file; lines and columns count from 1. */
export interface ConfigFault {
  readonly line: number;
  readonly column: number;
  /** Such as `routes[0].methods`; empty for the whole file. */
  readonly key: string;
  readonly message: string;
}

/** What a schema alone cannot say: a fault at a place of the value. */
export interface Contradiction {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** How a configuration is checked. */
export interface CheckOptions<T> {
  /** Code of the error for faults: a row of the caller's table. */
  readonly code: string;
  /** Faults between fields, looked for when each field alone is right. */
  readonly contradictions?: (value: T) => readonly Contradiction[];
}

/** Most aliases that a file may resolve: a "billion laughs" file is refused. */
const MAX_ALIASES = 50;

/** `host:port`; port 0 takes a free one, which a ready line tells. */
export const Address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "not host:port");

/** Host and port of an `Address`; brackets of IPv6 are taken off. */
export function splitAddress(address: string): { readonly hostname: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  return {
    hostname: address.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(address.slice(colon + 1)),
  };
}

/** Whether an `Address` is of this machine only: what has no TLS listens nowhere else. */
export function isLoopback(address: string): boolean {
  const { hostname } = splitAddress(address);
  return hostname === "localhost" || hostname === "::1" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** A path in a configuration file is relative to the file's folder. */
export function besideConfig(configPath: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(configPath), path);
}

/** A path of 1 to 4096 characters that comes out absolute, relative ones counted from the configuration file's folder. */
export function pathFrom(configPath: string): z.ZodType<string> {
  return z.string().min(1).max(4096).transform((path) => besideConfig(resolve(configPath), path));
}

/**
 * Parses and checks a text.
 * @param name How errors call the file.
 * @throws {CodedError} `options.code` with every fault, one a line, and `details.faults`.
 */
export function parseConfig<S extends z.ZodType>(
  name: string,
  text: string,
  schema: S,
  options: CheckOptions<z.infer<S>>,
): z.infer<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const refuse = (faults: readonly ConfigFault[]) => {
    const words = faults.map(({ line, column, key, message }) =>
      `${name}:${line}:${column}: ${key === "" ? "" : `${key}: `}${message}`
    );
    return new CodedError(options.code, `Cannot use the configuration:\n${words.join("\n")}`, { faults });
  };
  if (document.errors.length > 0) {
    throw refuse(
      document.errors.map((e) => ({ ...at(e.pos[0]), key: "", message: syntaxFault(e.message) })),
    );
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    throw refuse([{ line: 1, column: 1, key: "", message: "expected fewer aliases" }]);
  }
  const result = schema.safeParse(value);
  const faultAt = ({ path, message }: Contradiction): ConfigFault => ({
    ...at(nearestOffset(document.contents, path)),
    key: keyPath(path),
    message: expectation(message),
  });
  if (!result.success) {
    throw refuse(
      result.error.issues.flatMap((issue) =>
        issue.code === "unrecognized_keys"
          ? issue.keys.map((key) => ({
            ...at(keyOffset(document.getIn(issue.path, true), key)),
            key: keyPath([...issue.path, key]),
            message: "unknown key",
          }))
          : [faultAt(issue)]
      ),
    );
  }
  const contradictions = options.contradictions?.(result.data) ?? [];
  if (contradictions.length > 0) throw refuse(contradictions.map(faultAt));
  return result.data;
}

/** The parser's words without the place, which stands before them. */
function syntaxFault(message: string): string {
  return message.split("\n")[0]!.replace(/ at line \d+, column \d+:?$/, "");
}

/** The schema library's words in ours. */
function expectation(message: string): string {
  const missing = /^Invalid input: (expected .*), received undefined$/.exec(message)?.[1];
  return missing === undefined ? message.replace(/^Invalid input: /, "") : `missing: ${missing}`;
}

function keyPath(path: readonly PropertyKey[]): string {
  return path.map((part, i) => typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${String(part)}`)
    .join("");
}

function startOf(node: Node | null | undefined): number {
  return node?.range?.[0] ?? 0;
}

function keyOffset(parent: unknown, key: string): number {
  if (!isMap(parent)) return 0;
  for (const pair of parent.items) {
    if (isNode(pair.key) && pair.key.toJSON() === key) return startOf(pair.key);
  }
  return startOf(parent);
}

/** Where the value at a path stands, or, when it is missing, where the innermost value around it begins. */
function nearestOffset(root: Node | null, path: readonly PropertyKey[]): number {
  let node: Node | null = root;
  let offset = startOf(node);
  for (const part of path) {
    if (node === null || !("get" in node)) break;
    const next: unknown = (node as Node & { get(key: unknown, keep: boolean): unknown }).get(part, true);
    if (!isNode(next)) break;
    node = next;
    offset = startOf(node);
  }
  return offset;
}
