/** The document that locks and unlocks the service: a JWS by the lock authority, whose key is pinned in the vault. */

import { compactVerify, importJWK, type JWK } from "jose";
import { z } from "zod";
import { fromUtf8 } from "shared/base/bytes.ts";
import type { ServiceStatus } from "../domain/service_lock.ts";

/** `typ` of the document. */
export const STATUS_TYPE = "recover-status+jwt";

const Status = z.strictObject({
  state: z.enum(["open", "locked"]),
  sequence: z.int().min(0),
  notAfter: z.int(),
});

/** The document's content; undefined when it is missing or was not signed by the authority. */
export async function readStatus(
  document: string | null,
  authority: JWK,
): Promise<ServiceStatus | undefined> {
  if (document === null) return undefined;
  try {
    const { payload, protectedHeader } = await compactVerify(document, await importJWK(authority, "ES256"), {
      algorithms: ["ES256"],
    });
    return protectedHeader.typ === STATUS_TYPE ? Status.parse(JSON.parse(fromUtf8(payload))) : undefined;
  } catch {
    return undefined;
  }
}
