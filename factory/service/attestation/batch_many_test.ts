import assert from "node:assert/strict";
import { jwsKeyOfPoint } from "shared/protocol/wire/jws.ts";
import type { CloseBatchAnswer } from "shared/protocol/wire/batch.ts";
import { verifyManifest } from "../../domain/batch_record/verifier.ts";
import { MISSING_WITH_CLOSING } from "../../domain/issuance/batch_closing.ts";
import { enterManyCards } from "../../transport/issuance_store/testing/many_cards.ts";
import { LABELS, openBackends } from "tests/environment/attestation/backends.ts";
import {
  accepted,
  batchRequest,
  freshChip,
  makeSender,
  makeService,
  reasonOf,
  stamp,
} from "tests/environment/attestation/service.ts";
import { DECLARE_PER_REQUEST } from "./batch_closings.ts";

/** More than two requests declare missing. */
const MISSING = 2 * DECLARE_PER_REQUEST + MISSING_WITH_CLOSING;
const CARDS = MISSING + 60;
const REASON = "the container was lost at sea";

Deno.test("closeBatch() declares thousands of cards missing in steps, goes on after an interruption, and balances", async (t) => {
  const station = await makeSender("line-1", "station");
  const manager = await makeSender("office", "batch-manager");
  await using backends = await openBackends("PostgreSQL and SoftHSM");
  const { database, hsm } = backends;
  const { sql } = database;
  const service = await makeService(database, hsm, { senders: [station, manager] });
  const { batch } = accepted(await service.createBatch(stamp(manager), batchRequest(CARDS + 5)));
  await enterManyCards(database, {
    batch,
    station: "line-1",
    cards: CARDS,
    inFlight: MISSING,
    scrapEvery: 3,
  });
  const close = (missing: "none" | "all" | string[], giveUpUnused = true) =>
    service.closeBatch(stamp(manager), { batch, missing, giveUpUnused, reason: REASON });
  const states = async () => {
    const rows = await sql<{ state: string; cards: number }[]>`
      SELECT state, count(*)::int AS cards FROM reservations WHERE batch = ${batch} GROUP BY state`;
    return Object.fromEntries(rows.map(({ state, cards }) => [state, cards]));
  };
  const report = async () => accepted(await service.batchReport(stamp(manager), { batch }));
  const before = await states();
  assert.equal(before["reserved"], MISSING);

  await t.step("nothing is declared unless everything is accounted for", async () => {
    assert.equal(accepted(await close("none")).inFlight, MISSING);
    assert.equal(reasonOf(await close("all", false)), "ATTEST_BATCH_UNUSED");
    assert.deepEqual(await states(), before);
    assert.equal((await report()).state, "open");
  });

  let answer: CloseBatchAnswer | undefined;
  await t.step(
    "a request does its share and holds the batch, so that no new card is lost with the others",
    async () => {
      answer = accepted(await close("all"));
      assert.equal(answer.closed, false);
      assert.equal(answer.missingToDeclare, MISSING - DECLARE_PER_REQUEST);
      assert.equal((await states())["missing"], DECLARE_PER_REQUEST);
      assert.equal((await report()).journal.at(-1)?.reason, `it is being closed: ${REASON}`);
      const ask = { batch, chip: freshChip() };
      assert.equal(reasonOf(await service.reserve(stamp(station), ask)), "ATTEST_BATCH_HELD");
    },
  );

  await t.step(
    "a manager who opens the batch meanwhile is respected: the next request holds it anew",
    async () => {
      accepted(await service.openBatch(stamp(manager), { batch, reason: "a mistake?" }));
      assert.equal(accepted(await close("none")).inFlight, MISSING - DECLARE_PER_REQUEST);
      assert.equal((await report()).state, "open");
    },
  );

  await t.step(
    "two requests at once share the rest; then records are signed and the batch closes once",
    async () => {
      const both = await Promise.all([close("all"), close("all")].map((one) => one.then(accepted)));
      assert.ok(both.every(({ closed }) => !closed));
      for (let i = 0; !answer!.closed; i++) {
        assert.ok(i < 20, `it makes no progress: ${JSON.stringify(answer)}`);
        answer = accepted(await close("all"));
      }
      const expected = { good: before["good"], scrapped: before["scrapped"], missing: MISSING };
      assert.deepEqual(await states(), expected);
      const [journal] = await sql<{ entries: number; cards: number }[]>`
      SELECT count(*)::int AS entries, count(DISTINCT reservation)::int AS cards
      FROM issuance_journal WHERE batch = ${batch} AND event = 'lose' AND reason = ${REASON}`;
      assert.deepEqual({ ...journal }, { entries: MISSING, cards: MISSING });
      const key = await jwsKeyOfPoint(await hsm.publicKey(LABELS.record));
      const { manifest, findings } = await verifyManifest(answer!.manifest!, key, null);
      assert.deepEqual(findings, []);
      assert.deepEqual(manifest?.totals, { reserved: CARDS, ...expected });
      assert.equal(manifest?.unused?.cards, 5);
      assert.deepEqual(accepted(await close("all")), answer, "closed is closed");
    },
  );

  await t.step("named serials that the interrupted request declared missing may be named again", async () => {
    const { batch: other } = accepted(await service.createBatch(stamp(manager), batchRequest(300)));
    await enterManyCards(database, {
      batch: other,
      station: "line-1",
      cards: 300,
      inFlight: 300,
      scrapEvery: 300,
    });
    const rows = await sql<{ serial: bigint }[]>`SELECT serial FROM reservations WHERE batch = ${other}`;
    const named = rows.map(({ serial }) => serial.toString(16).toUpperCase().padStart(8, "0"));
    const request = { batch: other, missing: named, reason: REASON };
    let last = accepted(await service.closeBatch(stamp(manager), request));
    assert.equal(last.closed, false, "the cards are declared, and there was no time to sign");
    last = accepted(await service.closeBatch(stamp(manager), request));
    assert.ok(last.closed);
  });
});
