/** What each verb of `rk log` does. */

import { CodedError, defineErrors, EXIT_CODES } from "../../base/errors.ts";
import { fromUtf8 } from "../../base/bytes.ts";
import { directorySource } from "../../transport/log_source/directory.ts";
import { httpsSource } from "../../transport/log_source/https.ts";
import { readSecretFile } from "../../transport/secret_file.ts";
import type { PseudonymKind } from "../events.ts";
import { PSEUDONYM_KINDS } from "../events.ts";
import { type LeafFilter, matches } from "../filter.ts";
import { type Leaf, parseLeaf } from "../leaf.ts";
import { hmacPseudonyms, PSEUDONYM, Pseudonyms } from "../pseudonym.ts";
import { type LogEntry, LogReader } from "../reader.ts";
import type { CheckpointPolicy } from "../signed_checkpoint.ts";
import type { LogSource } from "../source.ts";
import { TILE_WIDTH } from "../tile.ts";
import { parseTrust, trustPolicy } from "../trust.ts";
import { verifyLog } from "../verify.ts";
import { verifyTlogProof } from "../verify_proof.ts";
import { entryLine, faultLine, timeOf, verificationLines } from "./print.ts";
import type { LogRequest } from "./request.ts";

type Of<V extends LogRequest["verb"]> = Extract<LogRequest, { verb: V }>;

/** Does what a request asks, prints, and returns the exit code. @throws {CodedError} of the reader and its sources. */
export async function runRequest(request: LogRequest): Promise<number> {
  switch (request.verb) {
    case "show":
      return await show(request);
    case "follow":
      return await follow(request);
    case "verify":
      return request.proof === undefined ? await verify(request) : await verifyProof(request, request.proof);
    case "prove":
      return await prove(request);
    case "export":
      return await exportEntries(request);
  }
}

function isAddress(log: string): boolean {
  return /^https?:\/\//i.test(log);
}

async function sourceOf({ log, authority }: { log?: string | undefined; authority?: string | undefined }) {
  if (log === undefined) throw new CodedError("LOG_MISSING", "Cannot read log: none was named");
  if (!isAddress(log)) return directorySource(log);
  return httpsSource(log, authority === undefined ? undefined : await Deno.readTextFile(authority));
}

async function policyOf(
  { trust, trustFile }: Pick<LogRequest, "trust" | "trustFile">,
): Promise<CheckpointPolicy> {
  if (trust !== undefined) return trustPolicy(trust);
  if (trustFile === undefined) {
    throw new CodedError("LOG_KEY_MISSING", "Cannot verify log: no key was given");
  }
  return trustPolicy(parseTrust(await readText(trustFile)));
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw new CodedError("LOG_FILE", `Cannot read ${path}`, {}, error);
  }
}

async function readText(path: string): Promise<string> {
  return fromUtf8(await readBytes(path));
}

/** Filters with pseudonyms in the place of identifiers. */
async function filterOf(
  { filter, pseudonymKey }: Pick<Of<"show">, "filter" | "pseudonymKey">,
  origin: string,
): Promise<LeafFilter> {
  const { actor, subject, ...rest } = filter;
  const plain = [actor, subject].filter((name) => name !== undefined && !PSEUDONYM.test(name));
  if (plain.length === 0) return filter as LeafFilter;
  if (pseudonymKey === undefined) {
    throw new CodedError("LOG_PSEUDONYM_KEY", "Cannot find an identifier without the log's pseudonym key");
  }
  using key = readSecretFile(pseudonymKey);
  const pseudonyms = new Pseudonyms(origin, hmacPseudonyms(key));
  const known = async (name: string | undefined) => {
    if (name === undefined || PSEUDONYM.test(name)) return name;
    const kind = name.slice(0, Math.max(0, name.indexOf(":"))) as PseudonymKind;
    if (!PSEUDONYM_KINDS.includes(kind)) {
      throw new CodedError("LOG_PSEUDONYM_KIND", "Cannot find an identifier without its kind");
    }
    return await pseudonyms.of(kind, name.slice(kind.length + 1));
  };
  const [by, on] = [await known(actor), await known(subject)];
  return {
    ...rest,
    ...(by === undefined ? {} : { actor: by }),
    ...(on === undefined ? {} : { subject: on }),
  } as LeafFilter;
}

/** An entry as it is shown: its leaf, or the code of what keeps it from being one (a newer program may know more events). */
interface Shown {
  readonly index: number;
  readonly leaf?: Leaf;
  readonly fault?: string;
}

function readable({ bytes, index }: LogEntry): Shown {
  try {
    return { index, leaf: parseLeaf(bytes) };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { index, fault: error.code };
  }
}

/** What cannot be read is always shown: nobody could ask for it. */
function isAskedFor({ leaf }: Shown, filter: LeafFilter): boolean {
  return leaf === undefined || matches(leaf, filter);
}

function print(json: boolean, { index, leaf, fault }: Shown): void {
  if (json) console.log(JSON.stringify(leaf === undefined ? { index, fault } : { index, ...leaf }));
  else console.log(leaf === undefined ? faultLine(index, fault!) : entryLine(index, leaf));
}

/** 4 when something was shown that is no entry of ours: it is in the log, and does not belong there. */
function exitCode(faults: number): number {
  return faults === 0 ? EXIT_CODES.ok : EXIT_CODES.peer;
}

function headOf({ checkpoint }: LogReader) {
  return { origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root.toBase64() };
}

async function show(request: Of<"show">): Promise<number> {
  const reader = await LogReader.open(await sourceOf(request), await policyOf(request));
  const filter = await filterOf(request, reader.checkpoint.origin);
  const found: Shown[] = [];
  const bundles = Math.ceil(reader.checkpoint.size / TILE_WIDTH);
  for (let bundle = bundles - 1; bundle >= 0 && found.length < request.last; bundle--) {
    for (const entry of (await reader.bundle(bundle)).reverse()) {
      const shown = readable(entry);
      if (found.length < request.last && isAskedFor(shown, filter)) found.push(shown);
    }
  }
  for (const shown of found.reverse()) print(request.json, shown);
  const head = headOf(reader);
  const faults = found.filter(({ fault }) => fault !== undefined).length;
  if (request.json) {
    console.log(JSON.stringify({ ...head, shown: found.length, faults, verified: faults === 0 }));
  } else {
    console.log(`${found.length} shown, each in the signed tree of ${head.origin}, ${head.size} entries`);
    if (faults > 0) console.log(`${faults} of them are no entries of ours`);
  }
  return exitCode(faults);
}

async function follow(request: Of<"follow">): Promise<number> {
  const source = await sourceOf(request);
  const policy = await policyOf(request);
  let reader = await LogReader.open(source, policy);
  const filter = await filterOf(request, reader.checkpoint.origin);
  let next = request.from ?? reader.checkpoint.size;
  let faults = 0;
  const stop = new AbortController();
  const end = () => stop.abort();
  Deno.addSignalListener("SIGINT", end);
  Deno.addSignalListener("SIGTERM", end);
  if (!request.json) console.log(`following ${policy.origin}, ${reader.checkpoint.size} entries`);
  else console.log(JSON.stringify({ ready: true, ...headOf(reader) }));
  while (!stop.signal.aborted) {
    for await (const entry of reader.entries(next, reader.checkpoint.size)) {
      const shown = readable(entry);
      if (shown.fault !== undefined) faults++;
      if (isAskedFor(shown, filter)) print(request.json, shown);
    }
    next = Math.max(next, reader.checkpoint.size);
    await pause(request.intervalMs, stop.signal);
    if (stop.signal.aborted) break;
    reader = await newer(reader, source, policy);
  }
  if (request.json) console.log(JSON.stringify({ ...headOf(reader), faults, verified: faults === 0 }));
  return exitCode(faults);
}

/** The log at its newest checkpoint, which must go on from the one before. */
async function newer(before: LogReader, source: LogSource, policy: CheckpointPolicy): Promise<LogReader> {
  const reader = await LogReader.open(source, policy);
  await reader.compareWith(before.checkpoint);
  return reader;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

async function verify(request: Of<"verify">): Promise<number> {
  const found = await verifyLog(await sourceOf(request), await policyOf(request), {
    now: Date.now(),
    seen: await Promise.all(request.seen.map(readBytes)),
    ...(request.maxAgeMs === undefined ? {} : { maxAgeMs: request.maxAgeMs }),
  });
  if (request.json) console.log(JSON.stringify({ ...found, root: found.root?.toBase64() }));
  else for (const line of verificationLines(found)) console.log(line);
  return found.ok ? EXIT_CODES.ok : EXIT_CODES.peer;
}

async function verifyProof(request: Of<"verify">, proof: string): Promise<number> {
  const { index, entry, checkpoint } = verifyTlogProof(
    await readBytes(proof),
    await policyOf(request),
    request.entry === undefined ? undefined : await readBytes(request.entry),
  );
  const { leaf, fault } = readable({ index, bytes: entry });
  const { origin, size, cosignatures } = checkpoint;
  if (request.json) {
    console.log(JSON.stringify({ ok: fault === undefined, origin, size, index, leaf, fault, cosignatures }));
  } else {
    print(false, { index, ...(leaf === undefined ? { fault: fault! } : { leaf }) });
    console.log(`verified: entry ${index} of ${origin}, which had ${size} entries`);
    for (const { name, timestamp } of cosignatures) {
      console.log(`  cosigned by ${name} at ${timeOf(timestamp)}`);
    }
  }
  return exitCode(fault === undefined ? 0 : 1);
}

async function prove(request: Of<"prove">): Promise<number> {
  const reader = await LogReader.open(await sourceOf(request), await policyOf(request));
  const proof = fromUtf8(await reader.prove(request.index));
  if (request.json) console.log(JSON.stringify({ ...headOf(reader), index: request.index, proof }));
  // Byte for byte, without a newline of console.log behind it.
  else await new Blob([proof]).stream().pipeTo(Deno.stdout.writable);
  return EXIT_CODES.ok;
}

async function exportEntries(request: Of<"export">): Promise<number> {
  const reader = await LogReader.open(await sourceOf(request), await policyOf(request));
  const filter = await filterOf(request, reader.checkpoint.origin);
  let exported = 0;
  let faults = 0;
  for await (const entry of reader.entries(0, reader.checkpoint.size)) {
    const shown = readable(entry);
    if (!isAskedFor(shown, filter)) continue;
    if (shown.fault !== undefined) faults++;
    print(true, shown);
    exported++;
  }
  const head = { ...headOf(reader), exported, faults, verified: faults === 0 };
  if (request.json) console.log(JSON.stringify(head));
  else console.error(`${exported} of ${head.size} entries of ${head.origin}, ${faults} of them none of ours`);
  return exitCode(faults);
}

defineErrors({
  LOG_MISSING: { fault: "usage", retry: false, next: "Name the log's folder or its https address." },
  LOG_KEY_MISSING: {
    fault: "usage",
    retry: false,
    next: "Give `--vkey KEY` or `--trust FILE`: a log cannot vouch for itself.",
  },
  LOG_FILE: { fault: "usage", retry: false, next: "Check the path." },
  LOG_PSEUDONYM_KEY: {
    fault: "usage",
    retry: false,
    next: "Give `--pseudonym-key FILE`, or the pseudonym itself as `rk log show` prints it.",
  },
  LOG_PSEUDONYM_KIND: {
    fault: "usage",
    retry: false,
    next: "Write `<kind>:<identifier>`, for instance `card:00C0FFEE`; docs/log.md names the kinds.",
  },
});
