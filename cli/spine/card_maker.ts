/**
 * The card maker of a local spine: virtual blank cards as a card maker delivers them, the issuer domain's keys diversified
 * from the transport master in the HSM and those of the domain that may upgrade from the upgrade master. Keys go to the card process over its standard input, never into an argument.
 */

import { toHex } from "shared/base/bytes.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { RandomSource } from "shared/transport/random.ts";
import {
  DEFAULT_UPGRADE_DOMAIN_AID_HEX,
  UPGRADE_KEY_VERSION,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { RELEASE_LABEL, TRANSPORT_MASTER_LABEL, UPGRADE_MASTER_LABEL } from "factory/domain/factory_keys.ts";
import type { CardOptions } from "device/card/options.ts";

export { TRANSPORT_MASTER_LABEL };
const ISD_AID_HEX = "A000000151000000";
/** Key version of the transport keys on a blank card. */
export const TRANSPORT_KEY_VERSION = "30";

/** AES-256 keys of one card under one of the factory's masters, as an option file has them. */
async function cardKeys(hsm: Hsm, master: string, keyDiversificationData: Uint8Array, version: string) {
  const keys = await diversifyKdf3((input) => hsm.cmac(master, input), keyDiversificationData, 32);
  try {
    return {
      version,
      enc: toHex(keys.enc.reveal()),
      mac: toHex(keys.mac.reveal()),
      dek: toHex(keys.dek.reveal()),
    };
  } finally {
    for (const key of [keys.enc, keys.mac, keys.dek]) key.wipe();
  }
}

/**
 * Options of one blank card: issuer domain and the domain that may upgrade, AES-256 keys for both, fresh key
 * diversification data (10), and mandated DAP: it loads nothing that the release key did not sign.
 */
export async function blankCard(hsm: Hsm, random: RandomSource): Promise<CardOptions> {
  const data = random(10);
  return {
    keyDiversificationData: toHex(data),
    isdKeys: await cardKeys(hsm, TRANSPORT_MASTER_LABEL, data, TRANSPORT_KEY_VERSION),
    preloaded: {
      upgradeDomain: {
        aid: DEFAULT_UPGRADE_DOMAIN_AID_HEX,
        keys: await cardKeys(hsm, UPGRADE_MASTER_LABEL, data, toHex(Uint8Array.of(UPGRADE_KEY_VERSION))),
      },
    },
    dapKey: { aid: ISD_AID_HEX, key: { point: toHex(await hsm.publicKey(RELEASE_LABEL)) } },
  };
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
