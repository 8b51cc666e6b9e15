/**
 * Which clients a route accepts, by the names of their certificates: URI (`urn:recovery-key:station:*`), DNS
 * (`dns:*.line.example`) or subject (`subject:CN=*,O=Factory`). No regular expressions: a pattern is exact, and a star stands for
 * one whole segment, label or attribute value, so that nothing is accepted that was not meant.
 */

import type { CertificateNames } from "shared/protocol/x509/names.ts";
import { compileIdentityPattern, isIdentityPattern } from "./identity.ts";

/** Decides on a client. */
export type ClientMatcher = (names: CertificateNames) => boolean;

/** One attribute of a subject pattern; the value `undefined` is a star. */
interface SubjectPart {
  readonly type: string;
  readonly value: string | undefined;
}

/** Attribute types by which a subject may be named (RFC 4514, section 3, and SN of RFC 4519). */
const SUBJECT_TYPES = new Set([
  "CN",
  "O",
  "OU",
  "L",
  "ST",
  "C",
  "DC",
  "STREET",
  "UID",
  "SN",
  "G",
  "SERIALNUMBER",
]);
const DNS_LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const DNS = "dns:";
const SUBJECT = "subject:";

/** Whether a text is a pattern that `compileClientPatterns` takes. */
export function isClientPattern(text: string): boolean {
  if (text.startsWith(DNS)) return dnsLabels(text) !== undefined;
  if (text.startsWith(SUBJECT)) return subjectParts(text) !== undefined;
  return isIdentityPattern(text);
}

/** Compiles a list: one match is enough, an empty list accepts nobody. A text that is no pattern matches nobody. */
export function compileClientPatterns(patterns: readonly string[]): ClientMatcher {
  const matchers = patterns.map(compileClientPattern);
  return (names) => matchers.some((matches) => matches(names));
}

function compileClientPattern(pattern: string): ClientMatcher {
  if (pattern.startsWith(DNS)) {
    const wanted = dnsLabels(pattern) ?? [];
    return ({ dns }) => dns.some((name) => matchesLabels(wanted, name.split(".")));
  }
  if (pattern.startsWith(SUBJECT)) {
    const wanted = subjectParts(pattern) ?? [];
    return ({ subject }) => matchesSubject(wanted, subject);
  }
  const matches = compileIdentityPattern(pattern);
  return ({ uris }) => uris.some(matches);
}

/** Labels in lower case, `*` for any one; undefined when the pattern is malformed or nothing but stars. */
function dnsLabels(pattern: string): string[] | undefined {
  const labels = pattern.slice(DNS.length).toLowerCase().split(".");
  const good = labels.every((label) => label === "*" || DNS_LABEL.test(label));
  return good && labels.filter((label) => label === "*").length <= 1 && labels.some((label) => label !== "*")
    ? labels
    : undefined;
}

function matchesLabels(wanted: readonly string[], given: readonly string[]): boolean {
  // A wildcard that stands in the certificate is no label, and so is matched by no star of ours.
  return wanted.length > 0 && wanted.length === given.length &&
    wanted.every((label, i) => DNS_LABEL.test(given[i]!) && (label === "*" || label === given[i]));
}

/** Attributes as written; a backslash takes the next character as it stands (RFC 4514, 2.4). */
function subjectParts(pattern: string): SubjectPart[] | undefined {
  const parts: SubjectPart[] = [];
  for (const text of splitUnescaped(pattern.slice(SUBJECT.length))) {
    const equals = text.indexOf("=");
    const type = text.slice(0, Math.max(0, equals)).trim().toUpperCase();
    const raw = text.slice(equals + 1);
    if (equals < 0 || !SUBJECT_TYPES.has(type) || raw === "" || raw.endsWith("\\") && !raw.endsWith("\\\\")) {
      return undefined;
    }
    if (raw !== "*" && /(?<!\\)\*/.test(raw)) return undefined;
    parts.push({ type, value: raw === "*" ? undefined : raw.replace(/\\(.)/g, "$1") });
  }
  return parts.some(({ value }) => value !== undefined) ? parts : undefined;
}

function splitUnescaped(text: string): string[] {
  const parts = [""];
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === "\\") parts[parts.length - 1] += character + (text[++i] ?? "");
    else if (character === ",") parts.push("");
    else parts[parts.length - 1] += character;
  }
  return parts;
}

/** The whole subject, attribute by attribute in its own order; a relative name of several attributes matches nobody. */
function matchesSubject(wanted: readonly SubjectPart[], subject: CertificateNames["subject"]): boolean {
  if (wanted.length === 0 || wanted.length !== subject.length) return false;
  return wanted.every(({ type, value }, i) => {
    const entries = Object.entries(subject[i]!);
    const [name, values] = entries[0] ?? ["", []];
    if (entries.length !== 1 || values.length !== 1 || name.toUpperCase() !== type) return false;
    return value === undefined ? values[0] !== "" : values[0] === value;
  });
}
