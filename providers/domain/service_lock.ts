/** Whether the service may do anything: a signed document says so (LOCK in the system's promises). Pure. */

/** The document's content, once its signature was checked. */
export interface ServiceStatus {
  readonly state: "open" | "locked";
  /** Grows with every document. */
  readonly sequence: number;
  /** Seconds since 1970: what is older counts as locked. */
  readonly notAfter: number;
}

/**
 * Why the service is locked; undefined when it is open. Confidentiality before availability: no document, an old one or one
 * that goes back behind another locks it.
 * @param newest the highest sequence that was seen.
 */
export function lockedBecause(
  status: ServiceStatus | undefined,
  newest: number,
  nowSeconds: number,
): "no-document" | "set-back" | "expired" | "locked" | undefined {
  if (status === undefined) return "no-document";
  if (status.sequence < newest) return "set-back";
  if (nowSeconds > status.notAfter) return "expired";
  return status.state === "open" ? undefined : "locked";
}
