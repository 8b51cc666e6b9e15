/** Moved to service/station/attestation_client.ts; here until its last importer has followed. */

export { AttestationClient } from "../service/station/attestation_client.ts";
