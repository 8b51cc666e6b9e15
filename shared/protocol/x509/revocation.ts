/** Certificate revocation lists (RFC 5280, section 5), signed by the authority whose certificates they name. */

import { X509CrlGenerator } from "./library.ts";
import { type Authority, CERTIFICATE_SIGNATURE_ALGORITHM, DAY_MS } from "./authority.ts";

/** What to write into a list. */
export interface CrlOptions {
  /** Time of issue (thisUpdate), milliseconds since 1970. */
  readonly now: number;
  /** When the next list is due: a reader treats this list as stale after it. Default 30 days after `now`. */
  readonly nextUpdate?: number;
  /** Serial numbers in hex, as `Issued.serialNumber`. */
  readonly revoked: readonly string[];
}

/** Makes a revocation list, PEM with a final newline. */
export async function makeCrl(authority: Authority, options: CrlOptions): Promise<string> {
  const list = await X509CrlGenerator.create({
    issuer: authority.certificate.subjectName.toJSON(),
    thisUpdate: new Date(options.now),
    nextUpdate: new Date(options.nextUpdate ?? options.now + 30 * DAY_MS),
    entries: options.revoked.map((serialNumber) => ({ serialNumber, revocationDate: new Date(options.now) })),
    signingAlgorithm: CERTIFICATE_SIGNATURE_ALGORITHM,
    signingKey: authority.keys.privateKey,
  });
  return list.toString("pem") + "\n";
}
