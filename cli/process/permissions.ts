/**
 * The permission sets of our processes. deno.json holds one named set for each process, written for the standard
 * local deployment (fixed ports on 127.0.0.1, folders under .rk/spine). A process that is started with other
 * ports and folders gets the same set with those values exchanged, and nothing else.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { HOME, REPOSITORY } from "../home.ts";

/** One set as it stands in deno.json. `true` is never accepted: sets name what they allow. */
export type PermissionSet = Partial<Record<PermissionKind, readonly string[]>>;
/** Kinds of permission that our sets use. */
export type PermissionKind = "net" | "read" | "write" | "env" | "ffi" | "run" | "sys";

/** Standard value -> value of this deployment. */
export type Substitution = Readonly<Record<string, string | readonly string[]>>;

/** The set of a process, from deno.json. @throws {CodedError} `PERMISSION_SET_MISSING`. */
export function permissionSet(name: string): PermissionSet {
  const configuration = JSON.parse(Deno.readTextFileSync(`${REPOSITORY}/deno.json`)) as {
    permissions?: Record<string, PermissionSet>;
  };
  const set = configuration.permissions?.[name];
  if (!set) throw new CodedError("PERMISSION_SET_MISSING", `Cannot start ${name}: it has no permission set`);
  return set;
}

/** Command-line flags of a set, with the standard values exchanged. */
export function permissionFlags(set: PermissionSet, substitution: Substitution): string[] {
  const flags: string[] = ["--no-prompt"];
  for (const [kind, values] of Object.entries(set) as [PermissionKind, readonly string[]][]) {
    if (!Array.isArray(values)) {
      throw new CodedError("PERMISSION_SET_MISSING", `Cannot use permission set: ${kind} is not a list`);
    }
    const exchanged = values.flatMap((value) => exchange(value, kind, substitution));
    if (exchanged.length > 0) flags.push(`--allow-${kind}=${[...new Set(exchanged)].join(",")}`);
  }
  return flags;
}

function exchange(value: string, kind: PermissionKind, substitution: Substitution): string[] {
  const exact = substitution[value];
  if (exact !== undefined) return typeof exact === "string" ? [exact] : [...exact];
  if (kind === "read" || kind === "write") {
    // The longest standard folder that the value begins with is exchanged for this deployment's folder.
    const folder = Object.keys(substitution)
      .filter((key) => value.startsWith(`${key}/`))
      .sort((a, b) => b.length - a.length)[0];
    if (folder !== undefined) return [`${substitution[folder]}${value.slice(folder.length)}`];
    if (value.startsWith(".rk/")) return [`${HOME}/${value.slice(4)}`];
    if (!value.startsWith("/")) return [`${REPOSITORY}/${value}`];
  }
  return [value];
}

defineErrors({
  PERMISSION_SET_MISSING: {
    fault: "bug",
    retry: false,
    next: "deno.json needs a permission set of this name whose values are lists.",
  },
});
