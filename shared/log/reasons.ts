/**
 * Reason codes that an entry of the log may carry: short names from these lists, or an error code of the program. The lists of
 * the gateway stand here again, because a verifier runs without it; tests/log compares them with the gateway's own.
 */

/** Why a gateway refuses a request: the keys of its table of refusals. */
export const REQUEST_REASONS = [
  "malformed-message",
  "http-version",
  "method-unknown",
  "target-form",
  "target-characters",
  "target-encoding",
  "target-dot-segment",
  "target-empty-segment",
  "target-too-long",
  "host-missing",
  "host-duplicate",
  "host-malformed",
  "framing-conflict",
  "framing-malformed",
  "framing-http-1.0",
  "body-unexpected",
  "body-incomplete",
  "header-name",
  "header-lookalike",
  "header-value",
  "header-duplicate",
  "headers-too-many",
  "headers-too-large",
  "request-timeout",
  "expectation-unknown",
  "not-ready",
  "route-unknown",
  "method-not-allowed",
  "media-type",
  "network-not-allowed",
  "identity-not-allowed",
  "authority-not-allowed",
  "role-authority-not-allowed",
  "rate-limited",
  "rate-store-full",
  "body-too-large",
  "upstream-none",
  "upstream-lost",
  "upstream-deadline",
  "internal",
  "client-gone",
] as const;

/** Why an enrolment refuses a certificate: the keys of its table of refusals. */
export const ENROLMENT_REASONS = [
  "request-malformed",
  "request-incomplete",
  "request-key",
  "request-proof",
  "request-extension",
  "request-too-large",
  "request-media-type",
  "message-malformed",
  "names-not-granted",
  "names-changed",
  "path-unknown",
  "method-not-allowed",
  "bootstrap-not-granted",
  "certificate-not-issued-here",
  "device-proof-missing",
  "device-proof-wrong",
  "challenge-unknown",
  "bootstrap-used",
  "key-used",
  "request-replayed",
  "rate-limited",
  "not-ready",
  "store-unavailable",
  "token-unavailable",
  "internal",
] as const;

/** Why a certificate is refused. */
export const CERTIFICATE_REASONS = [
  "certificate-missing",
  "certificate-malformed",
  "certificate-not-v3",
  "certificate-is-authority",
  "certificate-critical-extension",
  "certificate-weak-signature",
  "authority-unknown",
  "certificate-expired",
  "certificate-not-yet-valid",
  "certificate-key-usage",
  "certificate-wrong-usage",
  "certificate-revoked",
  "revocation-missing",
  "revocation-stale",
  "identity-missing",
  "identity-ambiguous",
  "verification-fault",
] as const;

/** Why a gateway closes a connection before any request: the address, the handshake, the certificate. */
export const CONNECTION_REASONS = [
  ...CERTIFICATE_REASONS,
  "address-denied",
  "connections-full",
  "address-connections-full",
  "handshake-failed",
  "tls-unauthorized",
  "malformed-message",
  "headers-too-large",
  "request-timeout",
] as const;

/** Why the attestation service does not believe who sends: the certificate that the gateway hands on, or none of ours. */
export const SENDER_REASONS = [
  ...CERTIFICATE_REASONS,
  "client-cert-missing",
  "client-cert-malformed",
  "identity-foreign",
  "not-configured",
] as const;

/** What in a deployment is for demonstrations only. */
export const DEMONSTRATION_REASONS = [
  "software-hsm",
  "pglite",
  "database-without-tls",
  "host-certificates",
  "senders-from-file",
  "no-revocation-list",
] as const;
