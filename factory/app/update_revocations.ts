/** Where the update service gets the issuer's list of revoked cards. It only carries it: the vault checks who signed it and when. */

import { CodedError } from "shared/base/errors.ts";
import {
  REVOCATION_LIST_MAX,
  REVOCATION_LIST_MEDIA_TYPE,
} from "shared/protocol/recovery_key/revocation_list.ts";
import { HttpsExchange } from "shared/transport/https_exchange.ts";
import type { UpdateConfig } from "./update_config.ts";
import { readNamed } from "./update_config.ts";
import "shared/protocol/wire/update_errors.ts";

/** A list is asked for again after so long, in milliseconds. */
const KEEP_MS = 60_000;

/** The source. */
export interface RevocationSource extends Disposable {
  /** The newest list that can be had. @throws {CodedError} `UPDATE_REVOCATIONS`. */
  read(): Promise<string>;
}

/** Opens the source. @param now milliseconds, monotonic. */
export async function openRevocations(
  source: UpdateConfig["revocations"],
  now: () => number,
): Promise<RevocationSource> {
  const missing = (cause: unknown) =>
    new CodedError("UPDATE_REVOCATIONS", "Cannot get the list of revoked cards", {}, cause);
  if ("file" in source) {
    const read = async () => {
      try {
        const { size } = await Deno.stat(source.file);
        if (size > REVOCATION_LIST_MAX) throw new Error("too long");
        return await Deno.readTextFile(source.file);
      } catch (error) {
        throw missing(error);
      }
    };
    return { read, [Symbol.dispose]: () => {} };
  }
  const { addresses, tls } = source;
  const https = new HttpsExchange({
    ca: await readNamed(tls.authority),
    cert: await readNamed(tls.certificate),
    key: await readNamed(tls.key),
  });
  let kept: { readonly text: string; readonly untilMs: number } | undefined;
  return {
    async read() {
      if (kept !== undefined && now() < kept.untilMs) return kept.text;
      let failure: unknown;
      for (const address of addresses) {
        try {
          const url = new URL(address);
          const answer = await https.send(url, {
            method: "GET",
            path: url.pathname,
            headers: { accept: REVOCATION_LIST_MEDIA_TYPE },
            answerMaxBytes: REVOCATION_LIST_MAX,
          });
          if (answer.status !== 200) throw new Error(`it answers ${answer.status}`);
          kept = { text: new TextDecoder().decode(answer.body), untilMs: now() + KEEP_MS };
          return kept.text;
        } catch (error) {
          failure = error;
        }
      }
      // An older list does until its own end: the vault says when that is.
      if (kept !== undefined) return kept.text;
      throw missing(failure);
    },
    [Symbol.dispose]: () => https.close(),
  };
}
