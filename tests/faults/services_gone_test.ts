/** The database, the services or the gateways die under a station: it says what to do, and the card keeps its serial. */

import assert from "node:assert/strict";
import { genuineCheckSpec } from "cli/commands/wallet.ts";
import { runSpec } from "cli/commands/station.ts";
import { startFeeder } from "cli/demo/feeder.ts";
import { demoProfile } from "cli/demo/profile.ts";
import { HOME } from "cli/home.ts";
import { writePrivate } from "cli/paths.ts";
import { runCollected } from "cli/process/foreground.ts";
import { createBatch } from "cli/spine/batch.ts";
import { blankCards } from "cli/spine/card_maker.ts";
import { freePort } from "cli/spine/ports.ts";
import { startSpine } from "cli/spine/spine.ts";
import type { CardReport } from "factory/service/station/events.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";

Deno.test("a service that dies costs a clear failure and no serial; the same card is attested when it is back", async (t) => {
  await Deno.mkdir(HOME, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: HOME, prefix: "gone-" });
  const spine = await startSpine({ folder });
  const { descriptor } = spine;
  const address = `127.0.0.1:${freePort()}`;
  const feeder = await startFeeder({
    cards: `${folder}/cards`,
    slots: [address],
    logFile: `${folder}/logs/cards.log`,
  });
  const batchFile = `${folder}/batch.json`;
  // What is tested is what happens when the card has waited long enough.
  const station = await Deno.readTextFile(descriptor.stationFile);
  await Deno.writeTextFile(descriptor.stationFile, `${station}\nwaitForServiceSeconds: 1\n`);
  try {
    const profile = await demoProfile(folder, spine.token.hsm, SYSTEM_RANDOM);
    const batch = await createBatch(descriptor.batchManagerFile, profile, 3);
    await writePrivate(batchFile, encodeBatchFile(batch));
    const cards = await blankCards(spine.token.hsm, SYSTEM_RANDOM, `${folder}/cards`, "gone", 3);

    /** One presentation of a card to a station of its own. */
    const present = async ({ stateFile, options }: (typeof cards)[number], isNew: boolean) => {
      const spec = runSpec(
        { batch: batchFile, json: true, once: true, virtualReaders: address },
        descriptor.stationFile,
        batchFile,
        descriptor,
      );
      const inserted = feeder.insert(0, stateFile, isNew ? options : undefined);
      const { code, output, errors } = await runCollected(spec);
      // A station that cannot even start never opens the reader, and the card never attaches.
      inserted.catch(() => {});
      if (output.includes('"card-inserted"')) await inserted;
      await feeder.remove(0);
      const last = JSON.parse(output.trimEnd().split("\n").at(-1)!) as {
        cards?: CardReport[];
        error?: unknown;
      };
      return { code, report: last.cards?.[0], last, errors };
    };

    const outages: Record<string, readonly string[]> = {
      "the database": ["database"],
      "both attestation services": ["attestation-a", "attestation-b"],
      "both gateways": ["gateway-a", "gateway-b"],
    };
    for (const [i, [name, processes]] of Object.entries(outages).entries()) {
      await t.step(`${name} killed`, async () => {
        for (const each of processes) await spine.children.get(each)!.kill();
        const during = await present(cards[i]!, true);
        assert.notEqual(during.code, 0);
        const told = during.report ?? (during.last.error as { code: string; next: string });
        assert.ok(told.next && told.next.length > 15, `says what to do: ${JSON.stringify(during.last)}`);
        assert.notEqual(during.report?.outcome, "scrapped");

        for (const each of processes) await spine.restart(each);
        const after = await present(cards[i]!, false);
        assert.equal(after.code, 0, `${after.errors}\n${JSON.stringify(after.last)}`);
        assert.equal(after.report?.outcome, "attested");
        if (during.report?.serial) assert.equal(after.report?.serial, during.report.serial);

        const inserted = feeder.insert(0, cards[i]!.stateFile);
        const checked = await runCollected(genuineCheckSpec({
          reader: "Reader",
          trust: `${folder}/station/wallet-trust.json`,
          virtualReaders: address,
          json: true,
        }));
        await inserted;
        await feeder.remove(0);
        assert.equal(checked.code, 0, checked.errors);
      });
    }
    await t.step("the batch is full: a fourth card is refused, and told why", async () => {
      const [fourth] = await blankCards(spine.token.hsm, SYSTEM_RANDOM, `${folder}/cards`, "fourth", 1);
      const { code, last } = await present(fourth!, true);
      assert.notEqual(code, 0);
      const told = last.cards?.[0];
      assert.deepEqual(
        [told?.outcome, told?.reason],
        ["refused", "ATTEST_QUOTA_EXHAUSTED"],
        JSON.stringify(last),
      );
    });
  } finally {
    await feeder.stop();
    await spine.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
