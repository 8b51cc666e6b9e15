/**
 * The card maker of a local spine: virtual blank cards whose issuer-domain keys are diversified from the transport master in
 * the HSM, as a card maker delivers them. Keys go to the card process over its standard input, never into an argument.
 */

import { toHex } from "shared/base/bytes.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { RELEASE_LABEL, TRANSPORT_MASTER_LABEL } from "factory/domain/factory_keys.ts";
import type { CardOptions } from "device/card/options.ts";

export { TRANSPORT_MASTER_LABEL };
const ISD_AID_HEX = "A000000151000000";
/** Key version of the transport keys on a blank card. */
export const TRANSPORT_KEY_VERSION = "30";

/**
 * Options of one blank card: issuer domain only, AES-256 transport keys, fresh key diversification data (10), and mandated
 * DAP: it loads nothing that the release key did not sign.
 */
export async function blankCard(hsm: Hsm, random: RandomSource): Promise<CardOptions> {
  const keyDiversificationData = random(10);
  const keys = await diversifyKdf3(
    (input) => hsm.cmac(TRANSPORT_MASTER_LABEL, input),
    keyDiversificationData,
    32,
  );
  try {
    return {
      keyDiversificationData: toHex(keyDiversificationData),
      isdKeys: {
        version: TRANSPORT_KEY_VERSION,
        enc: toHex(keys.enc.reveal()),
        mac: toHex(keys.mac.reveal()),
        dek: toHex(keys.dek.reveal()),
      },
      dapKey: { aid: ISD_AID_HEX, key: { point: toHex(await hsm.publicKey(RELEASE_LABEL)) } },
    };
  } finally {
    for (const key of [keys.enc, keys.mac, keys.dek]) key.wipe();
  }
}

/** Blank cards with the files that keep their memories, one after the other: a token's queue is bounded. */
export async function blankCards(
  hsm: Hsm,
  random: RandomSource,
  folder: string,
  name: string,
  count: number,
): Promise<{ stateFile: string; options: CardOptions }[]> {
  const cards: { stateFile: string; options: CardOptions }[] = [];
  for (let i = 1; i <= count; i++) {
    cards.push({ stateFile: `${folder}/${name}-${i}.card`, options: await blankCard(hsm, random) });
  }
  return cards;
}
