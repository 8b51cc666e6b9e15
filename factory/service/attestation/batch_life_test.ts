import assert from "node:assert/strict";
import { jwsKeyOfPoint, verifyJws } from "shared/protocol/wire/jws.ts";
import { codeOf } from "shared/base/errors.ts";
import type { BatchCard } from "shared/protocol/wire/batch.ts";
import type { CreateBatchRequest } from "shared/protocol/wire/attestation.ts";
import { MANIFEST_TYPE } from "../../domain/batch_record/manifest.ts";
import { BatchVerifier, verifyManifest } from "../../domain/batch_record/verifier.ts";
import { LABELS, openBackends } from "tests/environment/attestation/backends.ts";
import {
  accepted,
  batchRequest,
  cardAnswer,
  closureOf,
  freshChip,
  makeSender,
  makeService,
  reasonOf,
  stamp,
} from "tests/environment/attestation/service.ts";

const STATION = await makeSender("line-1", "station");
const OTHER = await makeSender("line-2", "station");
const MANAGER = await makeSender("office", "batch-manager");
const SENDERS = [STATION, OTHER, MANAGER];

for (const kind of ["pglite and software HSM", "PostgreSQL and SoftHSM"] as const) {
  Deno.test(`closeBatch(), openBatch() and judgeBatch() over ${kind}`, async (t) => {
    await using backends = await openBackends(kind);
    const { database: { sql }, database, hsm } = backends;
    const service = await makeService(database, hsm, { senders: SENDERS });
    const key = await jwsKeyOfPoint(await hsm.publicKey(LABELS.record));
    const newBatch = async (quantity: number, change: Partial<CreateBatchRequest> = {}) =>
      accepted(await service.createBatch(stamp(MANAGER), batchRequest(quantity, change))).batch;
    const report = async (batch: string) => accepted(await service.batchReport(stamp(MANAGER), { batch }));
    const closing = (
      batch: string,
      missing: "none" | "all" | string[] = "none",
      reason: string | null = null,
      giveUpUnused = true,
    ) =>
      service.closeBatch(stamp(MANAGER), {
        batch,
        missing,
        giveUpUnused,
        reason: reason ?? (giveUpUnused ? "the order is done" : null),
      });
    /** A card as far as `until`. */
    const card = async (
      batch: string,
      until: "reserved" | "attested" | "good" | "scrapped",
      station = STATION,
    ) => {
      const reserved = accepted(await service.reserve(stamp(station), { batch, chip: freshChip() }));
      if (until === "reserved") return reserved.serial;
      let certificate: string | null = null;
      if (until !== "scrapped") {
        const { request } = await cardAnswer(reserved, station);
        certificate = accepted(await service.attest(stamp(station), request)).certificateSha256;
      }
      if (until === "attested") return reserved.serial;
      const closure = closureOf(reserved.reservation, until, certificate);
      accepted(await service.close(stamp(station), { ...closure, reader: "ACS 1" }));
      return reserved.serial;
    };

    await t.step("a held batch gives out nothing until it is opened with a reason, on record", async () => {
      const batch = await newBatch(3, { held: true });
      const ask = { batch, chip: freshChip() };
      assert.equal(reasonOf(await service.reserve(stamp(STATION), ask)), "ATTEST_BATCH_HELD");
      const keys = { ...ask, keyLengthBytes: 16 as const };
      assert.equal(reasonOf(await service.cardKeys(stamp(STATION), keys)), "ATTEST_BATCH_HELD");
      const opening = { batch, reason: "the samples are fine" };
      assert.equal(reasonOf(await service.openBatch(stamp(STATION), opening)), "ATTEST_ROLE");
      accepted(await service.openBatch(stamp(MANAGER), opening));
      assert.equal(reasonOf(await service.openBatch(stamp(MANAGER), opening)), "ATTEST_BATCH_NOT_HELD");
      accepted(await service.reserve(stamp(STATION), ask));
      const { journal, state } = await report(batch);
      assert.equal(state, "open");
      assert.deepEqual(journal.map(({ event, sender, reason }) => [event, sender, reason]), [
        ["create-held", "office", null],
        ["open", "office", "the samples are fine"],
      ]);
    });

    await t.step(
      "a batch closes when every card is named, and its records verify with the public key",
      async () => {
        const batch = await newBatch(9);
        for (const until of ["good", "good", "scrapped", "good"] as const) await card(batch, until);
        const waiting = [await card(batch, "reserved"), await card(batch, "attested", OTHER)];
        const refused = accepted(await closing(batch));
        assert.deepEqual([refused.closed, refused.inFlight], [false, 2]);
        assert.deepEqual(refused.cards.map(({ serial, state }) => [serial, state]), [
          [waiting[0], "reserved"],
          [waiting[1], "attested"],
        ]);
        assert.equal(reasonOf(await closing(batch, "all", null, false)), "ATTEST_BATCH_REASON");
        assert.equal(reasonOf(await closing(batch, "all", "lost", false)), "ATTEST_BATCH_UNUSED");
        assert.equal(reasonOf(await closing(batch, ["FFFFFFFF"], "lost")), "ATTEST_BATCH_SERIALS");
        assert.equal(
          accepted(await closing(batch, [waiting[0]!], "lost")).inFlight,
          2,
          "one of two: nothing changes",
        );
        assert.equal((await report(batch)).state, "open");
        const closed = accepted(await closing(batch, waiting, "not in the tray, not in the box"));
        assert.ok(closed.closed && closed.manifest !== null);
        assert.deepEqual(accepted(await closing(batch, "all", "again")), closed, "closed is closed");

        const { manifest, findings } = await verifyManifest(closed.manifest, key, null);
        assert.deepEqual(findings, []);
        assert.deepEqual(manifest?.totals, { reserved: 6, good: 3, scrapped: 1, missing: 2 });
        assert.equal(manifest?.unused?.cards, 3);
        const verifier = new BatchVerifier(manifest!, key);
        const { records } = accepted(
          await service.batchRecords(stamp(MANAGER), { batch, after: null, limit: 500 }),
        );
        const taken = [];
        for (const [i, { record }] of records.entries()) {
          {
            taken.push(verifier.take(record, i + 1, await verifier.signatureOf(record)).record);
          }
        }
        verifier.finish();
        assert.deepEqual(verifier.findings, []);
        const [first, , scrapped, , lost, revoked] = taken;
        assert.deepEqual([first?.reader, first?.operator, first?.certificateRevoked], [
          "ACS 1",
          "ada",
          false,
        ]);
        assert.deepEqual([scrapped?.reason, scrapped?.certificateSha256], ["CARD_REMOVED", null]);
        assert.deepEqual([lost?.reason, lost?.operator], ["not in the tray, not in the box", "office"]);
        assert.deepEqual([revoked?.station, revoked?.certificateRevoked], ["line-2", true]);
        const [row] = await sql`SELECT count(*) FILTER (WHERE state = 'good')::int AS good,
        count(*) FILTER (WHERE state = 'scrapped')::int AS scrapped,
        count(*) FILTER (WHERE state = 'missing')::int AS missing, count(*)::int AS reserved
        FROM reservations WHERE batch = ${batch}`;
        assert.deepEqual({ ...row }, manifest?.totals);
        const ask = { batch, chip: freshChip() };
        assert.equal(reasonOf(await service.reserve(stamp(STATION), ask)), "ATTEST_BATCH_CLOSED");
        assert.equal(
          reasonOf(await service.openBatch(stamp(MANAGER), { batch, reason: "more" })),
          "ATTEST_BATCH_CLOSED",
        );
        assert.equal((await report(batch)).journal.at(-1)?.event, "close");
      },
    );

    await t.step("the database holds what a closed batch is", async () => {
      const batch = await newBatch(2);
      await card(batch, "good");
      accepted(await closing(batch));
      const refuses = async (work: Promise<unknown>) =>
        await assert.rejects(work, (error) => codeOf(error) === "DATABASE_CONSTRAINT");
      await refuses(sql`UPDATE batches SET state = 'open', entries = entries + 1 WHERE name = ${batch}`);
      await refuses(sql`UPDATE batches SET next_serial = next_serial + 1 WHERE name = ${batch}`);
      await refuses(sql`DELETE FROM card_records WHERE batch = ${batch}`);
      await refuses(sql`UPDATE batch_manifests SET good = 0 WHERE batch = ${batch}`);
      await refuses(sql`UPDATE batch_journal SET reason = 'x' WHERE batch = ${batch}`);
      const open = await newBatch(2);
      await card(open, "good");
      await refuses(database.transaction(async (one) => {
        await one`UPDATE batches SET state = 'closed', entries = 2 WHERE name = ${open}`;
        await one`INSERT INTO batch_journal (batch, entry, event, from_state, to_state, sender)
          VALUES (${open}, 2, 'close', 'open', 'closed', 'office')`;
      }));
      await refuses(sql`UPDATE batches SET state = 'held', entries = 2 WHERE name = ${open}`);
    });

    await t.step("closings, reservations and closures at once: one manifest, nothing lost", async () => {
      const batch = await newBatch(12);
      const flying = await Promise.all(
        [1, 2, 3, 4].map(() => service.reserve(stamp(STATION), { batch, chip: freshChip() }).then(accepted)),
      );
      const work = flying.map(({ reservation }) =>
        service.close(stamp(STATION), closureOf(reservation, "scrapped", null)).then(reasonOf)
      );
      const more = [1, 2, 3].map(() =>
        service.reserve(stamp(OTHER), { batch, chip: freshChip() }).then(reasonOf)
      );
      const closings = [1, 2, 3].map(() => closing(batch, "all", "end of shift").then(accepted));
      const [ended, reserved, answers] = await Promise.all([
        Promise.all(work),
        Promise.all(more),
        Promise.all(closings),
      ]);
      assert.ok(answers.every(({ closed }) => closed));
      assert.equal(new Set(answers.map(({ manifest }) => manifest)).size, 1);
      const { manifest } = await verifyManifest(answers[0]!.manifest!, key, null);
      const scrapped = ended.filter((each) => each === "accepted").length;
      const late = reserved.filter((each) => each === "accepted").length;
      assert.deepEqual(manifest?.totals, {
        reserved: 4 + late,
        good: 0,
        scrapped,
        missing: 4 + late - scrapped,
      });
    });

    await t.step(
      "judgement stops a batch and says what the failures share; opening it begins anew",
      async () => {
        const limits = { scrappedInRow: 3, yieldPercent: 50, yieldAfterCards: 8, yieldWindowCards: 20 };
        const batch = await newBatch(40, { limits });
        for (const until of ["good", "scrapped", "scrapped"] as const) await card(batch, until);
        assert.equal((await report(batch)).state, "open");
        await card(batch, "scrapped");
        const stopped = await report(batch);
        assert.equal(stopped.state, "held");
        const stop = stopped.journal.at(-1);
        assert.equal(stop?.event, "stop");
        assert.match(stop?.reason ?? "", /3 cards in a row/);
        assert.ok(
          stop?.shared.some((line) => line.startsWith("all 3 have reason CARD_REMOVED")),
          stop?.shared.join(),
        );
        const ask = { batch, chip: freshChip() };
        assert.equal(reasonOf(await service.reserve(stamp(STATION), ask)), "ATTEST_BATCH_HELD");
        accepted(await service.openBatch(stamp(MANAGER), { batch, reason: "the reader was cleaned" }));
        for (const until of ["scrapped", "good", "scrapped", "scrapped"] as const) await card(batch, until);
        assert.equal((await report(batch)).state, "open", "what was before counts no more");
        for (const until of ["good", "scrapped", "good"] as const) await card(batch, until);
        await card(batch, "scrapped");
        const yielded = await report(batch);
        assert.equal(yielded.state, "held");
        assert.match(yielded.journal.at(-1)?.reason ?? "", /3 of the last 8 cards are good: 37\.5 %/);
        assert.ok(accepted(await closing(batch)).closed, "a held batch can be closed");
      },
    );

    await t.step("pages list every card once, and the record key is that of the token", async () => {
      const batch = await newBatch(5);
      const serials = [];
      for (let i = 0; i < 5; i++) serials.push(await card(batch, i === 2 ? "reserved" : "scrapped"));
      const seen = [];
      for (let after: string | null = null;;) {
        const page: BatchCard[] = accepted(
          await service.batchCards(stamp(MANAGER), { batch, after, limit: 2, inFlight: false }),
        ).cards;
        if (page.length === 0) break;
        seen.push(...page.map(({ serial }) => serial));
        after = page.at(-1)!.serial;
      }
      assert.deepEqual(seen, serials);
      assert.deepEqual(accepted(await service.recordKey(stamp(MANAGER))), { ...key });
      assert.equal(reasonOf(await service.recordKey(stamp(STATION))), "ATTEST_ROLE");
      const strange = { batch: "nothing", after: null, limit: 1 };
      assert.equal(reasonOf(await service.batchRecords(stamp(MANAGER), strange)), "ATTEST_BATCH_UNKNOWN");
      const wrongKind = await verifyJws((await report(batch)).manifest ?? "", MANIFEST_TYPE, key);
      assert.equal(wrongKind.kind, "bad", "an open batch has no manifest");
    });
  });
}
