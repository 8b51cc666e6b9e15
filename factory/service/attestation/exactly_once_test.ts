/** What must hold whatever goes wrong: no serial lost or doubled, one effect for one request, every change journaled. */

import type { Hsm } from "shared/transport/hsm.ts";
import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { readRevocationList } from "shared/protocol/recovery_key/revocation_list.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { type Backends, LABELS, openBackends } from "tests/environment/attestation/backends.ts";
import { type Cut, startDatabaseRelay } from "tests/environment/attestation/database_relay.ts";
import {
  accepted,
  batchRequest,
  cardAnswer,
  closureOf,
  freshChip,
  keyedStamp,
  makeSender,
  makeService,
  reasonOf,
  stamp,
  type TestSender,
} from "tests/environment/attestation/service.ts";

const STATIONS: TestSender[] = [];
for (let i = 1; i <= 16; i++) STATIONS.push(await makeSender(`line-${i}`, "station"));
const [STATION, OTHER] = STATIONS as [TestSender, TestSender];
const MANAGER = await makeSender("office", "batch-manager");
const SENDERS = [...STATIONS, MANAGER];

type Sql = Backends["database"]["sql"];

/** Whether every record is what its journal says, and the batch's serials have no gap. */
async function balanced(sql: Sql, batch: string): Promise<void> {
  const [row] = await sql<{ records: number; entries: number; written: number; serials: number }[]>`
    SELECT count(*)::int AS records, sum(r.entries)::int AS entries,
      (SELECT count(*)::int FROM issuance_journal j WHERE j.batch = ${batch}) AS written,
      (SELECT (next_serial - first_serial)::int FROM batches WHERE name = ${batch}) AS serials
    FROM reservations r WHERE r.batch = ${batch}`;
  assert.equal(row!.written, row!.entries);
  assert.equal(row!.serials, row!.records);
}

Deno.test("attestation service: exactly once, over PostgreSQL and SoftHSM", async (t) => {
  await using backends = await openBackends("PostgreSQL and SoftHSM");
  const { database, hsm } = backends;
  const { sql } = database;
  const service = await makeService(database, hsm, { senders: SENDERS });
  const newBatch = async (quantity: number, change = {}) =>
    accepted(await service.createBatch(stamp(MANAGER), batchRequest(quantity, change)));
  const attested = async (batch: string, chip = freshChip()) => {
    const reserved = accepted(await service.reserve(stamp(STATION), { batch, chip }));
    const { request } = await cardAnswer(reserved, STATION);
    return { reserved, certificate: accepted(await service.attest(stamp(STATION), request)), chip };
  };

  await t.step(
    "16 stations at once: no quota overrun, of the batch or of a station, and no serial twice",
    async () => {
      await using second = await backends.again();
      const other = await makeService(second.database, second.hsm, { senders: SENDERS });
      const quotas = STATIONS.map((_, i) => i % 4 === 0 ? 2 : 5);
      const batch = await newBatch(40, {
        stations: STATIONS.map(({ configured }, i) => ({ name: configured.name, quota: quotas[i]! })),
      });
      const results = await Promise.all(
        STATIONS.flatMap((station, i) =>
          Array.from({ length: 6 }, async (_, n) => {
            const one = n % 2 ? service : other;
            const result = await one.reserve(stamp(station), { batch: batch.batch, chip: freshChip() });
            return { station: i, result };
          })
        ),
      );
      const made = results.filter(({ result }) => reasonOf(result) === "accepted");
      assert.equal(made.length, 40);
      assert.equal(new Set(made.map(({ result }) => accepted(result).serial)).size, 40);
      const refusals = new Set(results.map(({ result }) => reasonOf(result)));
      assert.deepEqual([...refusals].sort(), [
        "ATTEST_QUOTA_EXHAUSTED",
        "ATTEST_STATION_QUOTA_EXHAUSTED",
        "accepted",
      ]);
      const taken = await sql<{ station: string; quota: number; reserved: number }[]>`
      SELECT station, quota, reserved FROM batch_stations WHERE batch = ${batch.batch}`;
      assert.equal(taken.reduce((sum, { reserved }) => sum + reserved, 0), 40);
      for (const { quota, reserved } of taken) assert.ok(reserved <= quota);
      await balanced(sql, batch.batch);
    },
  );

  await t.step("a batch names its stations; the same request answers the same batch", async () => {
    const facts = batchRequest(2, { stations: [{ name: "line-1" }] });
    const batch = accepted(await service.createBatch(stamp(MANAGER), facts));
    assert.deepEqual(accepted(await service.createBatch(stamp(MANAGER), facts)), batch);
    const others = { ...facts, stations: [{ name: "line-1", quota: 1 }] };
    assert.equal(reasonOf(await service.createBatch(stamp(MANAGER), others)), "ATTEST_BATCH_EXISTS");
    for (
      const stations of [[{ name: "nobody" }], [{ name: "office" }], [{ name: "line-1" }, { name: "line-1" }]]
    ) {
      const request = batchRequest(1, { stations });
      assert.equal(reasonOf(await service.createBatch(stamp(MANAGER), request)), "ATTEST_STATION_UNKNOWN");
    }
    const ask = { batch: batch.batch, chip: freshChip() };
    assert.equal(reasonOf(await service.reserve(stamp(OTHER), ask)), "ATTEST_STATION_NOT_IN_BATCH");
    assert.equal(reasonOf(await service.reserve(stamp(STATION), ask)), "accepted");
  });

  await t.step(
    "the same key: the same answer, once; another request: refused; all at once: one effect",
    async () => {
      const batch = await newBatch(3);
      const ask = { batch: batch.batch, chip: freshChip() };
      const key = crypto.randomUUID();
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => service.reserve(keyedStamp(STATION, key, ask), ask)),
      );
      const texts = answers.map((answer) => JSON.stringify(accepted(answer)));
      assert.equal(new Set(texts).size, 1);
      const reserved = accepted(answers[0]!);
      assert.equal(reserved.again, false);
      const other = { ...ask, chip: freshChip() };
      assert.equal(
        reasonOf(await service.reserve(keyedStamp(STATION, key, other), other)),
        "ATTEST_IDEMPOTENCY_REUSED",
      );
      // What a refusal answered is not kept: the next attempt is decided anew.
      const early = crypto.randomUUID();
      const closure = closureOf(reserved.reservation, "good", "AA".repeat(32));
      const close = () => service.close(keyedStamp(STATION, early, closure), closure);
      assert.equal(reasonOf(await close()), "ATTEST_NOT_ATTESTED");
      const { request } = await cardAnswer(reserved, STATION);
      accepted(await service.attest(stamp(STATION), request));
      assert.equal(reasonOf(await close()), "ATTEST_CERTIFICATE_MISMATCH");
      await balanced(sql, batch.batch);
    },
  );

  await t.step("a card that tears GET PUBLIC KEY gets another certificate in life cycle 0 only", async () => {
    const batch = await newBatch(1);
    const { reserved, certificate: first } = await attested(batch.batch);
    const { request } = await cardAnswer(reserved, STATION);
    for (const lifeCycle of [undefined, 1, 2, 3]) {
      const asked = { ...request, ...(lifeCycle === undefined ? { lifeCycle: undefined } : { lifeCycle }) };
      assert.equal(reasonOf(await service.attest(stamp(STATION), asked)), "ATTEST_LIFE_CYCLE");
    }
    const second = accepted(await service.attest(stamp(STATION), request));
    assert.equal(second.superseded, true);
    const report = { reservation: reserved.reservation, lifeCycle: 1 };
    const old = { ...report, certificateSha256: first.certificateSha256 };
    assert.equal(reasonOf(await service.install(stamp(STATION), old)), "ATTEST_CERTIFICATE_MISMATCH");
    const held = { ...report, certificateSha256: second.certificateSha256 };
    assert.equal(accepted(await service.install(stamp(STATION), held)).state, "installed");
    assert.equal(accepted(await service.install(stamp(STATION), held)).state, "installed");
    const { request: third } = await cardAnswer(reserved, STATION);
    assert.equal(reasonOf(await service.attest(stamp(STATION), third)), "ATTEST_INSTALLED");
    const closure = closureOf(reserved.reservation, "good", second.certificateSha256);
    accepted(await service.close(stamp(STATION), closure));
    assert.equal(accepted(await service.install(stamp(STATION), held)).state, "good");
    const events = await sql<{ event: string; to_state: string }[]>`
      SELECT event, to_state FROM issuance_journal WHERE reservation = ${reserved.reservation} ORDER BY sequence`;
    assert.deepEqual(events.map((row) => `${row.event} ${row.to_state}`), [
      "reserve reserved",
      "see-key key-seen",
      "attest attested",
      "see-key key-seen",
      "attest attested",
      "install installed",
      "close-good good",
    ]);
    await balanced(sql, batch.batch);
  });

  await t.step(
    "chips that share one part of their identity are refused in any batch, one after the other and at once",
    async () => {
      const [one, two, tests] = [
        await newBatch(4),
        await newBatch(4),
        await newBatch(4, { anonymousChips: true }),
      ];
      const chip = freshChip();
      const clones = [
        { ...freshChip(), keyDiversificationData: chip.keyDiversificationData },
        { ...chip, keyDiversificationData: freshChip().keyDiversificationData },
        { ...chip, cplc: null },
      ];
      accepted(await service.reserve(stamp(STATION), { batch: one.batch, chip }));
      for (const clone of clones) {
        for (const { batch } of [one, two]) {
          assert.equal(
            reasonOf(await service.reserve(stamp(OTHER), { batch, chip: clone })),
            "ATTEST_CHIP_TWIN",
          );
        }
        assert.equal(
          reasonOf(await service.reserve(stamp(OTHER), { batch: tests.batch, chip: clone })),
          "accepted",
        );
      }
      accepted(await service.reserve(stamp(OTHER), { batch: two.batch, chip }));
      const fresh = freshChip();
      const twin = { ...fresh, keyDiversificationData: freshChip().keyDiversificationData };
      const race = await Promise.all([
        service.reserve(stamp(STATION), { batch: one.batch, chip: fresh }),
        service.reserve(stamp(OTHER), { batch: two.batch, chip: twin }),
      ]);
      assert.deepEqual(race.map(reasonOf).sort(), ["ATTEST_CHIP_TWIN", "accepted"]);
    },
  );

  await t.step(
    "the list of revoked certificates has what was superseded and scrapped, and its number grows",
    async () => {
      const issuer = await hsm.publicKey(LABELS.issuer);
      const read = async () => readRevocationList((await service.revocations()).list, issuer);
      const before = await read();
      const batch = await newBatch(2);
      const torn = await attested(batch.batch);
      const scrapped = await attested(batch.batch);
      assert.deepEqual(await read(), before);
      const { request } = await cardAnswer(torn.reserved, STATION);
      accepted(await service.attest(stamp(STATION), request));
      accepted(
        await service.close(stamp(STATION), closureOf(scrapped.reserved.reservation, "scrapped", null)),
      );
      await using second = await backends.again();
      const other = await makeService(second.database, second.hsm, { senders: SENDERS });
      const lists = await Promise.all([service, other, service, other].map((one) => one.revocations()));
      assert.equal(new Set(lists.map(({ list }) => list)).size, 1);
      const after = await read();
      assert.ok(after.number > before.number);
      const known = new Set(before.revoked.map(({ certificateSha256 }) => certificateSha256));
      const added = after.revoked.filter(({ certificateSha256 }) => !known.has(certificateSha256));
      assert.deepEqual(
        added.map((entry) => [entry.certificateSha256, entry.serial, entry.reason]).sort(),
        [
          [torn.certificate.certificateSha256, torn.reserved.serial, "superseded"],
          [scrapped.certificate.certificateSha256, scrapped.reserved.serial, "scrapped"],
        ].sort(),
      );
      // The token is away: the list that holds serves on, and the next one lists what was revoked meanwhile.
      const last = await attested((await newBatch(1)).batch);
      accepted(await service.close(stamp(STATION), closureOf(last.reserved.reservation, "scrapped", null)));
      const away = await makeService(
        database,
        withSign(hsm, () => Promise.reject(new Error("token gone"))),
        { senders: SENDERS },
      );
      assert.equal((await away.revocations()).number, after.number);
      const next = await read();
      assert.equal(next.revoked.length, after.revoked.length + 1);
      assert.ok(next.number > after.number);
    },
  );

  for (const cut of ["before-commit", "after-commit"] as const satisfies readonly Cut[]) {
    await t.step(`the database's connection is lost ${cut}: the repetition gives one effect`, async () => {
      const batch = await newBatch(4);
      await using relay = startDatabaseRelay(backends.url);
      const away = openDatabase({ url: relay.url, applicationName: "cut", max: 2 });
      try {
        const through = await makeService(away, hsm, { senders: SENDERS });
        const ask = { batch: batch.batch, chip: freshChip() };
        const reserveKey = crypto.randomUUID();
        relay.cutNext(cut);
        await assert.rejects(
          through.reserve(keyedStamp(STATION, reserveKey, ask), ask),
          (error) => error instanceof CodedError && error.code === "DATABASE_UNAVAILABLE",
        );
        const [row] = await sql<{ cards: number }[]>`
          SELECT count(*)::int AS cards FROM reservations WHERE batch = ${batch.batch}`;
        assert.equal(row!.cards, cut === "after-commit" ? 1 : 0);
        const reserved = accepted(await through.reserve(keyedStamp(STATION, reserveKey, ask), ask));
        assert.deepEqual([reserved.serial, reserved.again], [batch.firstSerial, false]);
        const { request } = await cardAnswer(reserved, STATION);
        const attestKey = crypto.randomUUID();
        // First as the key is entered, then as the certificate is.
        for (const part of [1, 2]) {
          relay.cutNext(cut, part);
          await assert.rejects(through.attest(keyedStamp(STATION, attestKey, request), request));
        }
        const certificate = accepted(await through.attest(keyedStamp(STATION, attestKey, request), request));
        const [count] = await sql<{ certificates: number }[]>`
          SELECT count(*)::int AS certificates FROM certificates WHERE reservation = ${reserved.reservation}`;
        assert.equal(count!.certificates, 1);
        const closure = closureOf(reserved.reservation, "good", certificate.certificateSha256);
        const closeKey = crypto.randomUUID();
        relay.cutNext(cut);
        await assert.rejects(through.close(keyedStamp(STATION, closeKey, closure), closure));
        accepted(await through.close(keyedStamp(STATION, closeKey, closure), closure));
        await balanced(sql, batch.batch);
      } finally {
        await away.close();
      }
    });
  }

  await t.step("stored answers open nothing, and are forgotten when their time is over", async () => {
    const rows = await sql<{ answer: string | null }[]>`SELECT answer FROM idempotent_requests`;
    assert.ok(rows.length > 0);
    for (const { answer } of rows) assert.doesNotMatch(answer ?? "", /dgi8137|"enc"|"mac"/);
  });
});

/** A token that signs in another way, and is itself in everything else. */
function withSign(hsm: Hsm, sign: Hsm["sign"]): Hsm {
  return new Proxy(hsm, {
    get: (target, name) => {
      if (name === "sign") return sign;
      const member = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
