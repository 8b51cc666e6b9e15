/**
 * JSON of which there is one reading: I-JSON (RFC 7493). Two programs may take different values of a key that stands twice,
 * round large numbers differently or fail over deep nesting; such a text is refused before anybody acts on it.
 */

/** Why a text is not such JSON. */
export type JsonFault =
  | "json-encoding"
  | "json-syntax"
  | "json-depth"
  | "json-duplicate-key"
  | "json-prototype-key"
  | "json-number"
  | "json-string";

/** What became of the reading. */
export type JsonReading =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "fault"; readonly fault: JsonFault };

/** Longest number in characters: an IEEE double needs at most 17 digits, a sign, a point and an exponent. */
const MAX_NUMBER_CHARACTERS = 40;
const NUMBER = /-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/**
 * Reads a text.
 * @param maxDepth most objects and arrays inside one another.
 */
export function readStrictJson(bytes: Uint8Array, maxDepth: number): JsonReading {
  let text: string;
  try {
    // A byte order mark stays, and is a syntax error: RFC 8259, 8.1.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { kind: "fault", fault: "json-encoding" };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "fault", fault: "json-syntax" };
  }
  const fault = walk(text, maxDepth);
  return fault === undefined ? { kind: "json", value } : { kind: "fault", fault };
}

/** An object or array that is open. */
interface Level {
  /** Undefined in an array. */
  readonly keys: Set<string> | undefined;
  /** Key under which it stands. */
  readonly name: string | undefined;
}

/** Looks at a text that is known to be JSON for what the parser does not tell. */
function walk(text: string, maxDepth: number): JsonFault | undefined {
  const levels: Level[] = [];
  let keyNext = false;
  let name: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    const level = levels.at(-1);
    if (character === "{" || character === "[") {
      if (levels.length >= maxDepth) return "json-depth";
      levels.push({ keys: character === "{" ? new Set() : undefined, name });
      keyNext = character === "{";
      name = undefined;
    } else if (character === "}" || character === "]") {
      levels.pop();
    } else if (character === ",") {
      keyNext = level?.keys !== undefined;
      name = undefined;
    } else if (character === '"') {
      const end = endOfString(text, at);
      const literal = text.slice(at, end);
      const escaped = literal.includes("\\");
      const string = escaped ? JSON.parse(literal) as string : literal.slice(1, -1);
      if (escaped && !string.isWellFormed()) return "json-string";
      if (keyNext && level?.keys !== undefined) {
        if (level.keys.has(string)) return "json-duplicate-key";
        if (isPrototypeKey(string, level.name)) return "json-prototype-key";
        level.keys.add(string);
        name = string;
        keyNext = false;
      }
      at = end - 1;
    } else if (character === "-" || character >= "0" && character <= "9") {
      NUMBER.lastIndex = at;
      const literal = NUMBER.exec(text)![0];
      if (!isExact(literal)) return "json-number";
      at += literal.length - 1;
    }
  }
  return undefined;
}

function endOfString(text: string, from: number): number {
  for (let at = from + 1;; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at + 1;
  }
}

/** `__proto__`, and `prototype` below `constructor`: a careless merge writes through them to every object of a program. */
function isPrototypeKey(key: string, parent: string | undefined): boolean {
  return key === "__proto__" || key === "prototype" && parent === "constructor";
}

/** Whether every program reads the same number: RFC 7493, 2.2. */
function isExact(literal: string): boolean {
  if (literal.length > MAX_NUMBER_CHARACTERS) return false;
  const value = Number(literal);
  return Number.isFinite(value) && (Math.abs(value) <= Number.MAX_SAFE_INTEGER);
}
