/**
 * Pedersen verifiable secret sharing, 2 of 3, over secp384r1 (spec/recover.md, section 3). Scalars are 48 bytes, points
 * x (48) || y (48), a share F(i) || G(i).
 *
 * The curve's own arithmetic is a library's; its big integers take no constant time, which is bounded by the fact that
 * every polynomial is used once.
 */

import { p384 } from "@noble/curves/nist.js";
import { concat, equal } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AUXILIARY_POINT, LENGTH, PROVIDERS } from "./constants.ts";
import "./errors.ts";

const { Point } = p384;
const Fn = Point.Fn;
const ORDER = Fn.ORDER;
const UNCOMPRESSED = Uint8Array.of(0x04);
/** Bytes drawn for a scalar: 16 more than it has, so that the remainder is even to 2^-128 (FIPS 186-5, A.2.1). */
const DRAW_LENGTH = LENGTH.SCALAR + 16;

/** Bits of a window of precomputed multiples: 8 take some 4 MB and are the library's own choice for base points. */
const WINDOW_BITS = 8;

type CurvePoint = InstanceType<typeof Point>;

/** The two polynomials: secret and F1, t and G1. */
export interface Polynomials {
  readonly secret: Secret;
  readonly f1: Secret;
  readonly t: Secret;
  readonly g1: Secret;
}

/** A share as a provider holds it. */
export interface Share {
  /** 1, 2 or 3: fixed by provider. */
  readonly index: number;
  /** F(i) || G(i), 96 bytes. */
  readonly value: Secret;
}

function toNumber(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/** A scalar below the order. @throws {CodedError} `RECOVER_SCALAR`. */
function readScalar(bytes: Uint8Array): bigint {
  const value = toNumber(bytes);
  if (bytes.length !== LENGTH.SCALAR || value >= ORDER) {
    throw new CodedError("RECOVER_SCALAR", "Cannot use number: it is not below the group's order");
  }
  return value;
}

function writeScalar(value: bigint): Uint8Array {
  return Fn.toBytes(value);
}

/** A point of 96 bytes that is on the curve. @throws {CodedError} `RECOVER_POINT`. */
function readPoint(bytes: Uint8Array): CurvePoint {
  try {
    if (bytes.length !== LENGTH.POINT) throw new Error("length");
    const point = Point.fromBytes(concat(UNCOMPRESSED, bytes));
    point.assertValidity();
    return point;
  } catch {
    throw new CodedError(
      "RECOVER_POINT",
      `Cannot use point: ${bytes.length} bytes that are not one of secp384r1`,
    );
  }
}

function writePoint(point: CurvePoint): Uint8Array {
  if (point.is0()) throw new CodedError("RECOVER_POINT", "Cannot write point: it is the one at infinity");
  return point.toBytes(false).slice(UNCOMPRESSED.length);
}

/** Multiples of it are kept from its first use on, as the library keeps those of the base point. */
const Q = readPoint(AUXILIARY_POINT).precompute(WINDOW_BITS);

/** Commit(a, b) = aP + bQ. */
function commit(a: bigint, b: bigint): CurvePoint {
  const part = (base: CurvePoint, factor: bigint) => factor === 0n ? Point.ZERO : base.multiply(factor);
  return part(Point.BASE, a).add(part(Q, b));
}

/** Whether the other side's auxiliary point is the constant: anybody who knows the logarithm of another can open commitments at will. */
export function isAuxiliaryPoint(bytes: Uint8Array): boolean {
  return equal(bytes, AUXILIARY_POINT);
}

/**
 * Draws polynomials for a secret.
 * @param secret 32 bytes, the encrypted entropy.
 * @param random source of `length` fresh bytes.
 */
export function drawPolynomials(secret: Secret, random: (length: number) => Uint8Array): Polynomials {
  const draw = () => {
    const bytes = random(DRAW_LENGTH);
    try {
      return new Secret(writeScalar(toNumber(bytes) % ORDER));
    } finally {
      bytes.fill(0);
    }
  };
  const padded = new Uint8Array(LENGTH.SCALAR);
  padded.set(secret.reveal(), LENGTH.SCALAR - secret.length);
  return { secret: new Secret(padded), f1: draw(), t: draw(), g1: draw() };
}

/** Wipes polynomials. */
export function wipePolynomials(polynomials: Polynomials): void {
  for (const secret of Object.values(polynomials)) secret.wipe();
}

/** The share of each provider, in order of index. */
export function sharesOf({ secret, f1, t, g1 }: Polynomials): Share[] {
  const line = (start: Secret, slope: Secret, at: bigint) =>
    writeScalar(Fn.create(readScalar(start.reveal()) + readScalar(slope.reveal()) * at));
  return Array.from({ length: PROVIDERS }, (_, i) => ({
    index: i + 1,
    value: new Secret(concat(line(secret, f1, BigInt(i + 1)), line(t, g1, BigInt(i + 1)))),
  }));
}

/** Commitments to the coefficients: E0 || E1, 192 bytes. */
export function commitmentsOf({ secret, f1, t, g1 }: Polynomials): Uint8Array {
  const point = (a: Secret, b: Secret) => writePoint(commit(readScalar(a.reveal()), readScalar(b.reveal())));
  return concat(point(secret, t), point(f1, g1));
}

/** Both numbers of a share. @throws {CodedError} `RECOVER_SHARE`, `RECOVER_SCALAR`. */
function readShare(value: Secret): { f: bigint; g: bigint } {
  if (value.length !== LENGTH.SHARE) {
    throw new CodedError("RECOVER_SHARE", `Cannot use share: ${value.length} bytes, not ${LENGTH.SHARE}`);
  }
  const bytes = value.reveal();
  return { f: readScalar(bytes.subarray(0, LENGTH.SCALAR)), g: readScalar(bytes.subarray(LENGTH.SCALAR)) };
}

/** Commitment to a share, 96 bytes: what a provider proves receipt with. @throws {CodedError} `RECOVER_SHARE`, `RECOVER_SCALAR`. */
export function shareCommitment(value: Secret): Uint8Array {
  const { f, g } = readShare(value);
  return writePoint(commit(f, g));
}

/**
 * The commitment that share `index` must have: E0 + index E1, 96 bytes.
 * @param commitments 192 bytes. @throws {CodedError} `RECOVER_POINT`, `RECOVER_SHARE` for an index that no provider has.
 */
export function expectedShareCommitment(commitments: Uint8Array, index: number): Uint8Array {
  if (!Number.isInteger(index) || index < 1 || index > PROVIDERS) {
    throw new CodedError("RECOVER_SHARE", "Cannot check share: no provider has this index");
  }
  if (commitments.length !== LENGTH.COMMITMENTS) {
    throw new CodedError("RECOVER_POINT", `Cannot use commitments: ${commitments.length} bytes`);
  }
  const e0 = readPoint(commitments.subarray(0, LENGTH.POINT));
  const e1 = readPoint(commitments.subarray(LENGTH.POINT));
  // The index is public, and a small number: no constant time, and no whole ladder.
  return writePoint(e0.add(e1.multiplyUnsafe(BigInt(index))));
}

/** Whether a share is consistent with the commitments: Commit(share i) = E0 + i E1. Malformed input is not consistent. */
export function isConsistent(share: Share, commitments: Uint8Array): boolean {
  try {
    return equal(shareCommitment(share.value), expectedShareCommitment(commitments, share.index));
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
}

/**
 * Recombines two shares of different index. Check each with `isConsistent` first: two numbers always lie on a line.
 * @returns the secret, 32 bytes.
 * @throws {CodedError} `RECOVER_SHARES_SAME`; `RECOVER_SHARE` when what they give is no encrypted entropy.
 */
export function recombine(a: Share, b: Share): Secret {
  if (a.index === b.index) {
    throw new CodedError("RECOVER_SHARES_SAME", "Cannot restore: both shares are the same one");
  }
  const [x1, x2] = [BigInt(a.index), BigInt(b.index)];
  const [f1, f2] = [readShare(a.value).f, readShare(b.value).f];
  // Lagrange at zero: F(0) = (f1 x2 - f2 x1) / (x2 - x1).
  const secret = Fn.mul(Fn.create(f1 * x2 - f2 * x1), Fn.inv(Fn.create(x2 - x1)));
  const bytes = writeScalar(secret);
  try {
    const zeros = LENGTH.SCALAR - LENGTH.CHANNEL_KEY;
    if (bytes.subarray(0, zeros).some((byte) => byte !== 0)) {
      throw new CodedError("RECOVER_SHARE", "Cannot restore: the shares do not belong together");
    }
    return new Secret(bytes.slice(zeros));
  } finally {
    bytes.fill(0);
  }
}
