/**
 * Curve arithmetic of one backup and one restore at one provider: the vault's own operations in the order in which it does them,
 * and the same number of operations by the best software that Debian has (libsecp256k1 and OpenSSL).
 */

import { Secret } from "shared/base/secret.ts";
import {
  ecdsaSign,
  ecdsaVerify,
  generatePrivateKey,
  isPublicKey,
  publicKeyOf,
} from "shared/crypto/secp256k1.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import {
  commitmentsOf,
  drawPolynomials,
  expectedShareCommitment,
  isConsistent,
  sharesOf,
} from "shared/protocol/recover/sharing.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { REPOSITORY } from "../home.ts";
import { rounded } from "./statistics.ts";

/** Milliseconds of curve arithmetic, and how far that is from the best. */
export interface CurveShare {
  readonly ours: Readonly<Record<"backup" | "restore", number>>;
  readonly best: Readonly<Record<"backup" | "restore", number>>;
  /** `ours` over `best`. */
  readonly timesSlower: Readonly<Record<"backup" | "restore", number>>;
  /** Which libraries `best` is; null where there is no python3-cryptography to ask them through. */
  readonly by: string | null;
}

interface Peer {
  readonly secp256k1: { readonly publicKey: number; readonly ecdh: number; readonly verify: number };
  readonly secp256k1By: string;
  /** Of the base point, and of another one. */
  readonly secp384r1: { readonly base: number; readonly other: number };
  readonly secp384r1By: string;
}

/** The vault's curve arithmetic of each act, to be timed in the same rounds as the acts: a busy machine is busy for both. */
export function curveWork(): Readonly<Record<"backup" | "restore", () => void>> {
  const key = generatePrivateKey(SYSTEM_RANDOM);
  const publicKey = publicKeyOf(key);
  const message = SYSTEM_RANDOM(80);
  const signature = ecdsaSign(key, message);
  const polynomials = drawPolynomials(new Secret(SYSTEM_RANDOM(32)), SYSTEM_RANDOM);
  const share = sharesOf(polynomials)[2]!;
  const commitments = commitmentsOf(polynomials);
  // The vault's: its ephemeral key, the device's two signatures, the channel, whose key the session keeps for later steps.
  const opening = () => {
    publicKeyOf(key);
    RecoverChannel.agree(key, publicKey).end();
    ecdsaVerify(publicKey, message, signature);
    ecdsaVerify(publicKey, message, signature);
  };
  const backup = () => {
    opening();
    isPublicKey(publicKey);
    isConsistent(share, commitments);
    expectedShareCommitment(commitments, share.index);
  };
  const restore = () => {
    opening();
    opening();
    isConsistent(share, commitments);
    expectedShareCommitment(commitments, share.index);
  };
  return { backup, restore };
}

/** Ours beside the best. @param ours milliseconds. */
export async function curveShares(ours: CurveShare["ours"]): Promise<CurveShare> {
  const peer = await peerTimes();
  if (peer === undefined) {
    return {
      ours,
      best: { backup: NaN, restore: NaN },
      timesSlower: { backup: NaN, restore: NaN },
      by: null,
    };
  }
  const { secp256k1, secp384r1 } = peer;
  const open = secp256k1.publicKey + secp256k1.ecdh + 2 * secp256k1.verify;
  const commit = secp384r1.base + secp384r1.other;
  const best = {
    backup: rounded(open + commit, 3),
    restore: rounded(2 * open + commit, 3),
  };
  return {
    ours,
    best,
    timesSlower: {
      backup: rounded(ours.backup / best.backup),
      restore: rounded(ours.restore / best.restore),
    },
    by: `${peer.secp256k1By} for secp256k1, ${peer.secp384r1By} for secp384r1`,
  };
}

async function peerTimes(): Promise<Peer | undefined> {
  const command = new Deno.Command("python3", {
    args: [`${REPOSITORY}/cli/bench/peers/curve.py`],
    stdin: "null",
    stderr: "null",
  });
  try {
    const { success, stdout } = await command.output();
    return success ? JSON.parse(new TextDecoder().decode(stdout)) as Peer : undefined;
  } catch {
    return undefined;
  }
}
