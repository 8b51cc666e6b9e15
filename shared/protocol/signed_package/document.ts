/** The signed package's file, `NAME.signed.json`: what is signed, by whom, as JSON. See docs/signed_package.md. */

import { z } from "zod";
import { canonicalJson } from "../../base/canonical_json.ts";
import { concat, fromHex, toUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** Largest file that is read, in bytes. */
export const SIGNED_PACKAGE_BYTES_MAX = 65_536;
/** Most signatures in a file. */
const SIGNATURES_MAX = 16;

/**
 * - `gp-dap-ecdsa-p256-sha256`: what the card verifies; over the Load File Data Block Hash alone. GPC 2.3.1, C.3, B.4.3.
 * - `statement-ecdsa-p256-sha256`: what hosts verify besides; over every field of the file.
 */
export const SIGNATURE_ALGORITHMS = ["gp-dap-ecdsa-p256-sha256", "statement-ecdsa-p256-sha256"] as const;
/** One of {@link SIGNATURE_ALGORITHMS}. */
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

/** Hex of exactly one spelling: upper case, no spaces. */
const hex = (from: number, to = from) => z.string().regex(new RegExp(`^([0-9A-F]{2}){${from},${to}}$`));

const Signature = z.strictObject({
  keyLabel: z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/),
  publicKey: hex(65),
  algorithm: z.enum(SIGNATURE_ALGORITHMS),
  signature: hex(64),
});

const Document = z.strictObject({
  format: z.literal("recovery-key-signed-package"),
  formatVersion: z.literal(1),
  capSha256: hex(32),
  loadFileDataBlockHash: hex(32),
  packageAid: hex(5, 16),
  packageName: z.string().regex(/^[\x21-\x7e]{1,255}$/).optional(),
  version: z.string().regex(/^(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})$/),
  securityDomainAid: hex(5, 16),
  signatures: z.array(Signature).max(SIGNATURES_MAX),
  signedAt: z.iso.datetime({ precision: 3 }),
});

/** One signature of the file. */
export type PackageSignature = z.infer<typeof Signature>;
/** The file's content. */
export type SignedPackage = z.infer<typeof Document>;
/** Everything in the file but the signatures. */
export type PackageStatement = Omit<SignedPackage, "signatures">;

/** First bytes of a signed statement: no other message that the release key signs begins so. */
const STATEMENT_PREFIX = "recovery-key signed package, version 1\n";

/**
 * Bytes of the statement signature: the prefix and the canonical JSON (RFC 8785) of every field, with the signer's label
 * and public key in place of the signatures.
 */
export function statementBytes(
  statement: PackageStatement,
  signer: Pick<PackageSignature, "keyLabel" | "publicKey">,
): Uint8Array {
  const { format, formatVersion, capSha256, loadFileDataBlockHash, packageAid, packageName } = statement;
  const { version, securityDomainAid, signedAt } = statement;
  const text = canonicalJson({
    format,
    formatVersion,
    capSha256,
    loadFileDataBlockHash,
    packageAid,
    ...(packageName === undefined ? {} : { packageName }),
    version,
    securityDomainAid,
    signedAt,
    signer: { keyLabel: signer.keyLabel, publicKey: signer.publicKey },
  });
  return concat(toUtf8(STATEMENT_PREFIX), toUtf8(text));
}

/** Bytes of the DAP signature: the Load File Data Block Hash (32). GPC 2.3.1, C.3. */
export function dapBytes(statement: Pick<PackageStatement, "loadFileDataBlockHash">): Uint8Array {
  return fromHex(statement.loadFileDataBlockHash);
}

/** Reads the text of a file. @throws {CodedError} `PACKAGE_FORMAT` naming the fields, `PACKAGE_UNSIGNED` without signatures. */
export function parseSignedPackage(text: string): SignedPackage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CodedError("PACKAGE_FORMAT", "Cannot read signed package: it is not JSON");
  }
  const parsed = Document.safeParse(value);
  if (!parsed.success) {
    const fields = [...new Set(parsed.error.issues.map((issue) => issue.path.join(".") || "file"))];
    throw new CodedError(
      "PACKAGE_FORMAT",
      `Cannot read signed package: missing, wrong or unknown in ${fields.join(", ")}`,
      { fields },
    );
  }
  if (parsed.data.signatures.length === 0) {
    throw new CodedError("PACKAGE_UNSIGNED", "Cannot use package: its .signed.json holds no signature");
  }
  return parsed.data;
}

/** Text of a file. */
export function encodeSignedPackage(signed: SignedPackage): string {
  return JSON.stringify(signed, null, 2) + "\n";
}
