/**
 * Is this card genuine? Off line, with nothing but the trust file: SELECT, the wallet channel, GET STATUS, full mutual
 * authentication, and GET STATUS again. spec/card.md, sections 2 to 6. A card that is not genuine is an error with a code;
 * the check never answers "perhaps".
 */

import { createHash } from "node:crypto";
import { equal, toHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { formatStatus, SW } from "shared/protocol/apdu/status_words.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { getStatusCommand } from "shared/protocol/recovery_key/commands.ts";
import { CLA_RECOVERY_KEY, LIFE_CYCLE, TRANSIENT } from "shared/protocol/recovery_key/constants.ts";
import { mutualAuthenticate } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { type AppletStatus, parseStatus } from "shared/protocol/recovery_key/status.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { RandomSource } from "shared/transport/random.ts";
import type { WalletTrust } from "./trust.ts";

/** Level of the wallet channel: both ways encrypted and authenticated. */
const LEVEL = 0x33;

/** What to check, and with what. */
export interface GenuineCheckOptions {
  readonly channel: CardChannel;
  readonly trust: WalletTrust;
  readonly random: RandomSource;
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
  /** SHA-256 (hex) of its certificate. */
  readonly certificateSha256: string;
  readonly apdus: number;
  readonly milliseconds: number;
}

/**
 * Checks a card. Afterwards the applet has to be selected again before a wallet uses it.
 * @throws {CodedError} `WALLET_NO_APPLET`, `WALLET_NOT_ATTESTED`, `WALLET_OTHER_TARGET`, `WALLET_STATUS`, those of SCP03
 * and of `mutualAuthenticate`, and those of the channel.
 */
export async function genuineCheck({ channel, trust, random }: GenuineCheckOptions): Promise<GenuineCard> {
  const begun = performance.now();
  let apdus = 0;
  const transmit = (command: CommandApdu) =>
    transceive((bytes) => {
      apdus++;
      return channel.transmit(bytes);
    }, command);

  const selected = await transmit(selectCommand(trust.appletAid));
  if (selected.sw !== SW.OK) {
    throw new CodedError(
      "WALLET_NO_APPLET",
      `Cannot check card: it has no Recovery Key applet ${toHex(trust.appletAid)} (${
        formatStatus(selected.sw)
      })`,
    );
  }
  const secure = await SecureChannel.open({
    transmit,
    keyVersion: trust.channelKeyVersion,
    keys: trust.channelKeys,
    level: LEVEL,
    random,
    wireCla: CLA_RECOVERY_KEY,
  });
  try {
    const before = await readStatus(secure);
    if (trust.targetId !== undefined && !equal(before.targetId, trust.targetId)) {
      throw new CodedError(
        "WALLET_OTHER_TARGET",
        `Cannot use card: it is for target ${toHex(before.targetId)}`,
      );
    }
    if (before.lifeCycle < LIFE_CYCLE.ATTESTED) {
      throw new CodedError(
        "WALLET_NOT_ATTESTED",
        `Cannot trust card: it was never attested (life cycle ${before.lifeCycle})`,
      );
    }
    const result = await mutualAuthenticate({
      send: (command) => secure.send(command),
      issuerPublicKey: trust.issuerPublicKey,
      host: trust.host,
      random,
      strict: trust.strict,
      expectedSerial: before.serial,
    });
    result.capsuleKeys.enc.wipe();
    result.capsuleKeys.mac.wipe();
    const after = await readStatus(secure);
    const same = equal(after.serial, before.serial) && after.lifeCycle === before.lifeCycle;
    if (!same || after.transient !== TRANSIENT.AUTHENTICATED) {
      throw new CodedError(
        "WALLET_STATUS",
        "Cannot trust card: its status after the check is not what it must be",
      );
    }
    const { major, minor, patch } = after.version;
    return {
      genuine: true,
      serial: toHex(after.serial),
      version: `${major}.${minor}.${patch}`,
      lifeCycle: after.lifeCycle,
      certificateSha256: toHex(createHash("sha256").update(result.cardCertificate.bytes).digest()),
      apdus,
      milliseconds: Math.round((performance.now() - begun) * 10) / 10,
    };
  } finally {
    secure.close();
  }
}

async function readStatus(secure: SecureChannel): Promise<AppletStatus> {
  const answer = await secure.send(getStatusCommand());
  if (answer.sw !== SW.OK) {
    throw new CodedError("WALLET_STATUS", `Cannot read the card's status: ${formatStatus(answer.sw)}`);
  }
  return parseStatus(answer.data);
}

defineErrors({
  WALLET_NO_APPLET: {
    fault: "card",
    retry: false,
    next: "This is no Recovery Key, or its applet has another AID: check appletAid in the trust file.",
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
