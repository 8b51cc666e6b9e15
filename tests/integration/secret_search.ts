/** Looks for secrets in whatever a run left behind, in every form in which software writes bytes. */

import { toHex } from "shared/base/bytes.ts";

/** A secret by a name that may be printed. */
export interface NamedSecret {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Something that was written. */
export interface Artifact {
  readonly name: string;
  readonly content: Uint8Array;
}

const ENCODER = new TextEncoder();

/** The forms in which bytes are written: as they are, hex of either case, base64 of either alphabet, JSON arrays. */
function forms(bytes: Uint8Array): Uint8Array[] {
  const texts = [
    toHex(bytes),
    toHex(bytes).toLowerCase(),
    bytes.toBase64({ omitPadding: true }),
    bytes.toBase64({ alphabet: "base64url", omitPadding: true }),
    [...bytes].join(","),
  ];
  return [bytes, ...texts.map((text) => ENCODER.encode(text))];
}

/** Every place where a secret stands, as `artifact: secret`. */
export function findSecrets(secrets: readonly NamedSecret[], artifacts: readonly Artifact[]): string[] {
  const found: string[] = [];
  for (const { name, content } of artifacts) {
    const haystack = latin1(content);
    for (const secret of secrets) {
      if (forms(secret.bytes).some((form) => haystack.includes(latin1(form)))) {
        found.push(`${name}: ${secret.name}`);
      }
    }
  }
  return found;
}

/** One character a byte, so that text search finds bytes. */
function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}

/** Files below a folder, as artifacts. */
export async function filesOf(folder: string): Promise<Artifact[]> {
  const artifacts: Artifact[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) artifacts.push(...await filesOf(path));
    else if (entry.isFile) artifacts.push({ name: path, content: await Deno.readFile(path) });
  }
  return artifacts;
}

/** Command line and environment of every process that names a folder. */
export async function processesNaming(folder: string): Promise<Artifact[]> {
  const artifacts: Artifact[] = [];
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const commandLine = await Deno.readTextFile(`/proc/${entry.name}/cmdline`);
      if (!commandLine.includes(folder)) continue;
      artifacts.push({ name: `command line of ${entry.name}`, content: ENCODER.encode(commandLine) });
      artifacts.push({
        name: `environment of ${entry.name}`,
        content: await Deno.readFile(`/proc/${entry.name}/environ`),
      });
    } catch {
      // It has ended.
    }
  }
  return artifacts;
}
