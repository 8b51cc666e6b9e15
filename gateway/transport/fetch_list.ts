/**
 * Fetches a revocation list from an address that the configuration names, never one that a certificate names: who may choose the
 * address could make the gateway connect to anything. Bounded in time and size; redirects are not followed.
 */

/** Bounds of a fetch. */
export interface FetchBounds {
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/** What came, or why nothing did. */
export type FetchedList =
  | { readonly kind: "data"; readonly data: Uint8Array }
  | {
    readonly kind: "fault";
    readonly fault: "list-unreachable" | "list-too-large" | "list-status";
    readonly detail: string;
  };

/** Asks once; whatever goes wrong is an answer, not an exception. */
export async function fetchList(url: string, bounds: FetchBounds): Promise<FetchedList> {
  const patience = AbortSignal.timeout(bounds.timeoutMs);
  try {
    const response = await fetch(url, {
      redirect: "manual",
      headers: { accept: "application/pkix-crl" },
      signal: patience,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      return { kind: "fault", fault: "list-status", detail: `HTTP ${response.status}` };
    }
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of response.body ?? []) {
      size += part.length;
      // Leaving the loop cancels the body and with it the connection.
      if (size > bounds.maxBytes) {
        return { kind: "fault", fault: "list-too-large", detail: `more than ${bounds.maxBytes} bytes` };
      }
      parts.push(part);
    }
    const data = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      data.set(part, at);
      at += part.length;
    }
    return { kind: "data", data };
  } catch (error) {
    const detail = patience.aborted
      ? `no whole answer in ${bounds.timeoutMs} ms`
      : error instanceof Error
      ? error.name
      : "unreachable";
    return { kind: "fault", fault: "list-unreachable", detail };
  }
}
