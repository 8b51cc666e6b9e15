/**
 * Is this card genuine? Off line, with nothing but the trust file: SELECT, the wallet channel, GET STATUS, full mutual
 * authentication, and GET STATUS again. spec/card.md, sections 2 to 6. A card that is not genuine is an error with a code;
 * the check never answers "perhaps".
 */

import { toHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { RevocationList } from "shared/protocol/recovery_key/revocation_list.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { CardSession } from "./card_session.ts";
import type { WalletTrust } from "./trust.ts";

/** What to check, and with what. */
export interface GenuineCheckOptions {
  readonly channel: CardChannel;
  readonly trust: WalletTrust;
  readonly random: RandomSource;
  /** The list of revoked certificates, read and found usable; without one no certificate is looked up. */
  readonly revocations?: RevocationList;
}

/** A genuine card. */
export interface GenuineCard {
  readonly genuine: true;
  /** 4 bytes of hex. */
  readonly serial: string;
  /** `MAJOR.MINOR.PATCH` of the applet. */
  readonly version: string;
  /** 2 attested, 3 in use. */
  readonly lifeCycle: number;
  /**
   * SHA-256 (hex) of the load file that the card claims to run, to be compared with the published build; left out by applets
   * before 1.1.
   */
  readonly packageHash?: string;
  /** SHA-256 (hex) of its certificate. */
  readonly certificateSha256: string;
  /** Number of the list of revoked certificates that does not name it; left out when none was given. */
  readonly revocations?: number;
  readonly apdus: number;
  readonly milliseconds: number;
}

/**
 * Checks a card. Afterwards the applet has to be selected again before a wallet uses it.
 * @throws {CodedError} `WALLET_REVOKED`, `WALLET_NO_APPLET`, `WALLET_NOT_ATTESTED`, `WALLET_OTHER_TARGET`, `WALLET_STATUS`, those of SCP03
 * and of `mutualAuthenticate`, and those of the channel.
 */
export async function genuineCheck(
  { channel, trust, random, revocations }: GenuineCheckOptions,
): Promise<GenuineCard> {
  const begun = performance.now();
  const session = await CardSession.open({ channel, trust, random });
  session.close();
  refuseRevoked(session.certificateSha256, revocations);
  const { serial, version: { major, minor, patch }, lifeCycle, packageHash } = session.status;
  return {
    genuine: true,
    serial: toHex(serial),
    version: `${major}.${minor}.${patch}`,
    lifeCycle,
    ...(packageHash === undefined ? {} : { packageHash: toHex(packageHash) }),
    certificateSha256: session.certificateSha256,
    ...(revocations === undefined ? {} : { revocations: revocations.number }),
    apdus: session.apdus,
    milliseconds: Math.round((performance.now() - begun) * 10) / 10,
  };
}

/** Refuses a certificate that the list names. The card proved it, so the name is right. */
function refuseRevoked(certificateSha256: string, list: RevocationList | undefined): void {
  const entry = list?.revoked.find((one) => one.certificateSha256 === certificateSha256);
  if (entry === undefined) return;
  throw new CodedError("WALLET_REVOKED", `Cannot trust card: its certificate was revoked (${entry.reason})`, {
    reason: entry.reason,
    serial: entry.serial,
  });
}

defineErrors({
  WALLET_REVOKED: {
    fault: "card",
    retry: false,
    next: "The factory does not vouch for this card: do not use it, and tell whoever sold it.",
  },
  WALLET_NO_APPLET: {
    fault: "card",
    retry: false,
    next:
      "A card in the middle of an update has none either: `rk wallet update` goes on with it. Otherwise this is no Recovery Key, or its applet has another AID: check appletAid in the trust file.",
  },
  WALLET_NOT_ATTESTED: {
    fault: "card",
    retry: false,
    next: "The card did not leave the factory in order: do not use it, and tell whoever sold it.",
  },
  WALLET_OTHER_TARGET: {
    fault: "card",
    retry: false,
    next: "The card belongs to another product: use it with that one.",
  },
  WALLET_STATUS: {
    fault: "card",
    retry: false,
    next: "Do not use the card. Keep it for inspection.",
  },
});
