/** The transport keys of one card: diversified inside the HSM, sealed to the station that asks. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import type { CardKeysAnswer, CardKeysRequest, CardKeysSealed } from "shared/protocol/wire/attestation.ts";
import { batchIsOpen } from "../../domain/issuance/batch.ts";
import { chipIdentity } from "../../domain/issuance/chip.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import {
  type About,
  type AttestationContext,
  type Done,
  done,
  entryOf,
  furtherPart,
  signedRequest,
} from "./context.ts";
import { sealForStation } from "./station_seal.ts";

/** Gives a station the static keys of a card. Who asked for which chip is on record before they are told. */
export async function cardKeys(
  context: AttestationContext,
  stamp: RequestStamp,
  request: CardKeysRequest,
): Promise<CardKeysAnswer | Refusal> {
  const { key } = chipIdentity(request.chip, false);
  const about: About = {
    event: "attestation.keys-released",
    subject: { kind: "chip", identifier: request.chip.cplc ?? request.chip.keyDiversificationData },
  };
  const allowed = await signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) => transaction.batch(request.batch, false),
    async (transaction, found): Promise<Done<CardKeysAnswer | undefined> | Refusal> => {
      const open = batchIsOpen(found);
      if (open.kind === "refuse") return open;
      await transaction.noteCardKeys(request.batch, key, stamp.sender);
      return { answer: undefined, final: false, entries: [entryOf(stamp, about, "intended")] };
    },
    about,
  );
  if (allowed !== undefined) return allowed;
  const keys = await diversifyKdf3(
    context.transportMaster,
    fromHex(request.chip.keyDiversificationData),
    request.keyLengthBytes,
  );
  try {
    const plain: CardKeysSealed = {
      enc: toHex(keys.enc.reveal()),
      mac: toHex(keys.mac.reveal()),
      dek: toHex(keys.dek.reveal()),
    };
    const sealed = await sealForStation(context, stamp.sender, plain);
    return await furtherPart(
      context,
      stamp,
      () =>
        Promise.resolve(done({ sealed }, () =>
          context.log.info("card.keys-released", {
            batch: request.batch,
            keyDiversificationData: request.chip.keyDiversificationData,
            sender: stamp.sender,
          }), [entryOf(stamp, about)])),
      about,
    );
  } finally {
    for (const secret of [keys.enc, keys.mac, keys.dek]) secret.wipe();
  }
}
