/** A log on a web server, laid out as C2SP tlog-tiles says. Only https, or http of this machine. */

import { CodedError, defineErrors } from "../../base/errors.ts";
import type { LogSource } from "../../log/source.ts";
import { readBounded } from "./bounded.ts";

/** Longest wait for one file in milliseconds. */
const DEADLINE_MS = 20_000;
const LOOPBACK = new Set(["127.0.0.1", "[::1]", "localhost"]);

/**
 * Makes the source of an address.
 * @param prefix `https://log.example/a/`; a slash at its end does not matter.
 * @param authority certificate authority of the server, PEM, when it is none that the system knows.
 * @param identity client certificate and its key, PEM, for a server that wants one.
 * @throws {CodedError} `LOG_SOURCE_ADDRESS`.
 */
export function httpsSource(
  prefix: string,
  authority?: string,
  identity?: { readonly cert: string; readonly key: string },
): LogSource & Disposable {
  const base = parseAddress(prefix);
  const client = authority === undefined && identity === undefined ? undefined : Deno.createHttpClient({
    ...(authority === undefined ? {} : { caCerts: [authority] }),
    ...identity,
  });
  return {
    name: base.href,
    [Symbol.dispose]: () => client?.close(),
    async read(path, maxBytes) {
      const address = new URL(path, base);
      const unavailable = (state: string, cause?: unknown) =>
        new CodedError("LOG_SOURCE_UNAVAILABLE", `Cannot read ${address.href}: ${state}`, {}, cause);
      let response: Response;
      try {
        response = await fetch(address, {
          redirect: "error",
          signal: AbortSignal.timeout(DEADLINE_MS),
          ...(client === undefined ? {} : { client }),
        });
      } catch (error) {
        throw unavailable("the server does not answer", error);
      }
      if (response.status === 404 || response.status === 410) {
        await response.body?.cancel();
        return undefined;
      }
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        throw unavailable(`status ${response.status}`);
      }
      try {
        return await readBounded(response.body, maxBytes, path);
      } catch (error) {
        throw error instanceof CodedError ? error : unavailable("the answer broke off", error);
      }
    },
  };
}

/** The address of a log with a slash at its end. @throws {CodedError} `LOG_SOURCE_ADDRESS`. */
export function parseAddress(prefix: string): URL {
  const address = URL.parse(prefix.endsWith("/") ? prefix : `${prefix}/`);
  const safe = address?.protocol === "https:" ||
    (address?.protocol === "http:" && LOOPBACK.has(address.hostname));
  if (address === null || !safe || address.search !== "" || address.hash !== "" || address.username !== "") {
    throw new CodedError("LOG_SOURCE_ADDRESS", "Cannot use address: it is not https://<host>/<path>");
  }
  return address;
}

defineErrors({
  LOG_SOURCE_ADDRESS: {
    fault: "usage",
    retry: false,
    next: "Give the prefix of the log's files as https://<host>/<path>/.",
  },
});
