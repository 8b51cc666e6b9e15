/**
 * The list of revoked certificates for `genuine-check`: from a file or an address, checked against the trust file's issuer, the
 * clock, and the newest number that this wallet has used of that issuer. The number is on disk before the list is relied on, so
 * nobody can show an older list afterwards. The list is signed: where it comes from needs no trust.
 */

import { CodedError } from "shared/base/errors.ts";
import {
  issuerKeyId,
  mayUseList,
  readRevocationList,
  REVOCATION_LIST_MAX,
  REVOCATION_LIST_MEDIA_TYPE,
  type RevocationList,
} from "shared/protocol/recovery_key/revocation_list.ts";
import "./wallet_errors.ts";

const FETCH_MS = 10_000;

/** Where the list comes from, and where the newest number is kept. */
export interface RevocationSource {
  /** Path of a file, or an http(s) address. */
  readonly from: string;
  /** Folder of the wallet's memory: one file for each issuer. */
  readonly memory: string;
}

/**
 * Reads a list that may be used, and remembers its number.
 * @param issuerPublicKey 65 bytes.
 * @param now Seconds since 1970.
 * @throws {CodedError} `WALLET_REVOCATIONS`, and those of the list: `REVOCATION_LIST_STALE` and others.
 */
export async function readRevocations(
  { from, memory }: RevocationSource,
  issuerPublicKey: Uint8Array,
  now: number,
): Promise<RevocationList> {
  const list = readRevocationList(await textOf(from), issuerPublicKey);
  const file = `${memory}/${issuerKeyId(issuerPublicKey).slice(0, 32)}.number`;
  const newest = await readNewest(file);
  const decision = mayUseList(list, now, newest);
  if (decision.kind === "refuse") {
    throw new CodedError(decision.code, `Cannot use revocation list ${list.number}: ${WHY[decision.code]}`, {
      number: list.number,
      newest,
    });
  }
  if (list.number > newest) await writeNewest(file, list.number);
  return list;
}

const WHY = {
  REVOCATION_LIST_STALE: "it is past its nextUpdate",
  REVOCATION_LIST_FUTURE: "it is of a later time than this machine's clock",
  REVOCATION_LIST_ROLLED_BACK: "a newer one was used before",
} as const;

function cannot(what: string, cause?: unknown): CodedError {
  return new CodedError("WALLET_REVOCATIONS", `Cannot read revocation list: ${what}`, {}, cause);
}

async function textOf(from: string): Promise<string> {
  try {
    if (!/^https?:\/\//.test(from)) {
      const { size } = await Deno.stat(from);
      if (size > REVOCATION_LIST_MAX) throw cannot(`${from} is too long`);
      return await Deno.readTextFile(from);
    }
    const answer = await fetch(from, {
      headers: { accept: REVOCATION_LIST_MEDIA_TYPE },
      redirect: "error",
      signal: AbortSignal.timeout(FETCH_MS),
    });
    if (answer.status !== 200 || answer.body === null) {
      await answer.body?.cancel();
      throw cannot(`${from} answers ${answer.status}`);
    }
    return await boundedText(answer.body, from);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw cannot(`${from} is not there, or this process may not read it`, error);
  }
}

async function boundedText(body: ReadableStream<Uint8Array>, from: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > REVOCATION_LIST_MAX) throw cannot(`${from} is too long`);
  }
  return text;
}

async function readNewest(file: string): Promise<number> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw cannot(`the number of the last one cannot be read (${file})`, error);
  }
  const number = Number(text);
  if (!/^\d{1,15}\n$/.test(text)) throw cannot(`${file} does not hold a number`);
  return number;
}

async function writeNewest(file: string, number: number): Promise<void> {
  const next = `${file}.next`;
  try {
    const handle = await Deno.open(next, { write: true, create: true, truncate: true, mode: 0o600 });
    try {
      await handle.write(new TextEncoder().encode(`${number}\n`));
      await handle.syncData();
    } finally {
      handle.close();
    }
    await Deno.rename(next, file);
  } catch (error) {
    throw cannot(`its number cannot be kept (${file})`, error);
  }
}
