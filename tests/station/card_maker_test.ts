/** Blank cards as the card maker delivers them: what is on one, and which keys open it. */

import assert from "node:assert/strict";
import { blankCard } from "cli/spine/card_maker.ts";
import { cardBench } from "device/card/testing/bench.ts";
import { TRANSPORT_MASTER_LABEL, UPGRADE_MASTER_LABEL } from "factory/domain/factory_keys.ts";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { listStatus } from "shared/protocol/gp/get_status.ts";
import {
  DEFAULT_UPGRADE_DOMAIN_AID_HEX,
  parseUpgradeAnswer,
  UPGRADE_KEY_VERSION,
  upgradeStatus,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";

Deno.test("a blank card has the domain that may upgrade, opened by the keys of the upgrade master alone", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-card-maker-" });
  const passphrase = `${folder}/passphrase`;
  ensureSecretFile(passphrase);
  const hsm = await openSoftwareHsm({
    file: `${folder}/keys.json`,
    passphraseFile: passphrase,
    logger: createLogger("test", { write: () => {} }),
  });
  try {
    await hsm.generateMasterKey(TRANSPORT_MASTER_LABEL);
    await hsm.generateMasterKey(UPGRADE_MASTER_LABEL);
    await hsm.generateSigningKey("release", "p256");
    const options = await blankCard(hsm, SYSTEM_RANDOM);
    const keys = (master: string) =>
      diversifyKdf3((input) => hsm.cmac(master, input), fromHex(options.keyDiversificationData!), 32);
    const bench = await cardBench(options);
    const domain = fromHex(DEFAULT_UPGRADE_DOMAIN_AID_HEX);

    await bench.select(fromHex("A000000151000000"));
    const issuer = await bench.open(await keys(TRANSPORT_MASTER_LABEL));
    const listed = await listStatus((c) => issuer.send(c), 0x40);
    assert.deepEqual(
      listed.map(({ aid, privileges }) => [toHex(aid), privileges]),
      [[DEFAULT_UPGRADE_DOMAIN_AID_HEX, PRIVILEGE.SECURITY_DOMAIN | PRIVILEGE.AUTHORIZED_MANAGEMENT]],
    );

    await bench.select(domain);
    await assert.rejects(
      bench.open(await keys(TRANSPORT_MASTER_LABEL), 0x01, { keyVersion: UPGRADE_KEY_VERSION }),
      { code: "SCP03_CARD_CRYPTOGRAM" },
    );
    const upgrader = await bench.open(await keys(UPGRADE_MASTER_LABEL), 0x01, {
      keyVersion: UPGRADE_KEY_VERSION,
    });
    const answer = await upgrader.send(upgradeStatus());
    assert.equal(formatStatus(answer.sw), "9000");
    assert.deepEqual(parseUpgradeAnswer(answer.data), { status: "none" });
  } finally {
    await hsm.close();
    await Deno.remove(folder, { recursive: true });
  }
});
