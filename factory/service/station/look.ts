/** What a card says of itself before anybody authenticates. Nothing is changed on it. spec/card.md, section 7, step 1. */

import { CodedError } from "shared/base/errors.ts";
import { toHex } from "shared/base/bytes.ts";
import { formatStatus, SW } from "shared/protocol/apdu/status_words.ts";
import { getCardDataCommand, parseCardData } from "shared/protocol/gp/card_data.ts";
import { type Cplc, CPLC_LAYOUT, getCplcCommand, parseCplc } from "shared/protocol/gp/cplc.ts";
import {
  getKeyInformationCommand,
  keyVersions,
  parseKeyInformation,
} from "shared/protocol/gp/key_information.ts";
import { getStatusCommand } from "shared/protocol/recovery_key/commands.ts";
import { type AppletStatus, parseStatus } from "shared/protocol/recovery_key/status.ts";
import type { Profile } from "../../domain/profile.ts";
import type { CardLink } from "./card_link.ts";
import "factory/domain/personalization/errors.ts";
import "factory/domain/profile_errors.ts";

/** What was read. */
export interface CardLook {
  readonly cplc: Uint8Array | null;
  readonly keyVersions: readonly number[] | null;
  /** Undefined: no applet. */
  readonly applet: AppletStatus | undefined;
}

/** A fact that cards may lack: undefined when the card does not have it or says it in another way. */
function optional<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Fields of the profile's mask, by the field of the CPLC that each is compared with. */
const CPLC_FIELDS = {
  icFabricator: "icFabricator",
  icType: "icType",
  osId: "operatingSystemId",
  osReleaseDate: "operatingSystemReleaseDate",
  osReleaseLevel: "operatingSystemReleaseLevel",
} as const satisfies Record<keyof NonNullable<Profile["expectedCplc"]>, keyof Cplc>;

/** Compares the chip with the profile. @throws {CodedError} `PROFILE_CARD` naming the field. */
export function checkCplc(profile: Profile, cplc: Cplc | undefined): void {
  const expected = profile.expectedCplc;
  if (expected === null) return;
  if (cplc === undefined) {
    throw new CodedError(
      "PROFILE_CARD",
      "Cannot use card: it has no CPLC, and the profile's expectedCplc needs one",
    );
  }
  for (const [field, where] of Object.entries(CPLC_FIELDS) as [keyof typeof CPLC_FIELDS, keyof Cplc][]) {
    const wanted = expected[field];
    if (wanted !== null && toHex(cplc[where]) !== wanted) {
      throw new CodedError(
        "PROFILE_CARD",
        `Cannot use card: its ${field} is ${toHex(cplc[where])}, expectedCplc.${field} says ${wanted}`,
      );
    }
  }
}

/** Reads the card; at the end the applet is selected, or the ISD when there is none. */
export async function lookAtCard(link: CardLink, profile: Profile): Promise<CardLook> {
  await link.selectExisting(profile.aids.isd, "the ISD");
  const cplcAnswer = await link.transmit(getCplcCommand());
  const cplc = cplcAnswer.sw === SW.OK ? optional(() => parseCplc(cplcAnswer.data)) : undefined;
  checkCplc(profile, cplc);

  const cardDataAnswer = await link.transmit(getCardDataCommand());
  const cardData = cardDataAnswer.sw === SW.OK
    ? optional(() => parseCardData(cardDataAnswer.data))
    : undefined;
  const protocols = cardData?.secureChannels ?? [];
  if (protocols.length > 0 && !protocols.some(({ scp }) => scp === 3)) {
    throw new CodedError("PROFILE_CARD", "Cannot use card: its card data offers no SCP03");
  }

  const keyAnswer = await link.transmit(getKeyInformationCommand());
  const versions = keyAnswer.sw === SW.OK
    ? optional(() => keyVersions(parseKeyInformation(keyAnswer.data)))
    : undefined;

  return {
    cplc: cplc === undefined ? null : CPLC_LAYOUT.encode(cplc),
    keyVersions: versions ?? null,
    applet: await readApplet(link, profile),
  };
}

/** GET STATUS in the clear: the one command that the applet answers to anybody. Undefined when it is not there. */
export async function readApplet(link: CardLink, profile: Profile): Promise<AppletStatus | undefined> {
  if ((await link.select(profile.aids.appletInstance)).sw !== SW.OK) return undefined;
  const answer = await link.transmit(getStatusCommand());
  if (answer.sw !== SW.OK) {
    throw new CodedError("CARD_STATUS_WORD", `Cannot read the applet's status: ${formatStatus(answer.sw)}`, {
      sw: formatStatus(answer.sw),
    });
  }
  return parseStatus(answer.data);
}
