/** Reads a typed YAML file. Every fault is named with file, line, column, key path and what was expected. */

import { dirname, isAbsolute, join } from "node:path";
import { isMap, isNode, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import "../transport/errors.ts";

/** One fault of a file; lines and columns count from 1. */
export interface ConfigFault {
  readonly line: number;
  readonly column: number;
  /** Such as `routes[0].methods`; empty for the whole file. */
  readonly key: string;
  readonly message: string;
}

/** Most aliases that a file may resolve: a "billion laughs" file is refused. */
const MAX_ALIASES = 50;

/**
 * Parses and checks a text.
 * @param name How errors call the file.
 * @throws {CodedError} `GATEWAY_CONFIG` with every fault, one a line; values are not repeated.
 */
export function parseConfig<S extends z.ZodType>(name: string, text: string, schema: S): z.infer<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (document.errors.length > 0) {
    throw faulty(
      name,
      document.errors.map((e) => ({ ...at(e.pos[0]), key: "", message: e.message.split("\n")[0]! })),
    );
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    throw faulty(name, [{ line: 1, column: 1, key: "", message: "expected fewer aliases" }]);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap((issue): ConfigFault[] => {
    const path = issue.path.filter((part) => typeof part !== "symbol");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        ...at(keyOffset(document.getIn(path, true), key)),
        key: keyPath([...path, key]),
        message: "unknown key",
      }));
    }
    return [{
      ...at(nearestOffset(document.contents, path)),
      key: keyPath(path),
      message: expectation(issue.message),
    }];
  });
  throw faulty(name, faults);
}

/** Reads, parses and checks a file. @throws {CodedError} `GATEWAY_FILE`, `GATEWAY_CONFIG`. */
export async function readConfig<S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S>> {
  return parseConfig(path, await readTextFile(path, "configuration"), schema);
}

/** Reads a text file that a configuration names. @throws {CodedError} `GATEWAY_FILE`. */
export async function readTextFile(path: string, what: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const why = error instanceof Error ? error.name : "unreadable";
    throw new CodedError("GATEWAY_FILE", `Cannot read ${what} ${path}: ${why}`, { path }, error);
  }
}

/** A path in a configuration file is relative to the file's folder. */
export function besideConfig(configPath: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(configPath), path);
}

function faulty(name: string, faults: readonly ConfigFault[]): CodedError {
  const text = faults.map(({ line, column, key, message }) =>
    `${name}:${line}:${column}: ${key === "" ? "" : `${key}: `}${message}`
  );
  return new CodedError("GATEWAY_CONFIG", `Cannot use the configuration:\n${text.join("\n")}`, { faults });
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
