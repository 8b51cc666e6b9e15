/** Which product a card is, by its target ID: what releases name (spec/card.md, section 1), and why none is offered. */

import { toHex } from "shared/base/bytes.ts";
import type { AppletStatus } from "shared/protocol/recovery_key/status.ts";
import type { CardFacts as ReleaseCardFacts, NotOffered } from "shared/protocol/release/target.ts";

/** Product, chip and operating system. */
export type Product = Pick<ReleaseCardFacts, "product" | "chip" | "os">;

/** Name of the product in releases. */
export const RECOVERY_KEY = "recovery-key";

const PRODUCTS: Readonly<Record<string, Product>> = {
  "33400004": { product: RECOVERY_KEY, chip: "P71D600", os: "JCOP 4.5" },
};

/** What a release is compared with. A card of another target is no product of ours, and no release is for it. */
export function releaseFacts({ targetId, version }: AppletStatus): ReleaseCardFacts {
  const { major, minor, patch } = version;
  const product = PRODUCTS[toHex(targetId)] ?? { product: `target-${toHex(targetId).toLowerCase()}` };
  return { ...product, version: `${major}.${minor}.${patch}` };
}

/** Why nothing is offered to a card, for people. */
export const REASON_WORDS: Readonly<Record<NotOffered | "no-release" | "no-applet", string>> = {
  "no-release": "nothing is released for it",
  "no-applet": "it has no Recovery Key applet",
  "other-product": "the release is for another product",
  "already-newest": "it has the newest version",
  "security-counter-lower": "the release is older in what it protects against",
  "not-replaceable": "the release does not replace its version",
  "other-chip": "the release is for another chip",
  "halted": "the rollout was halted",
};
