import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import { parseCardCertificate, verifyCardCertificate } from "shared/protocol/recovery_key/certificate.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { CardKeysSealed } from "shared/protocol/wire/attestation.ts";
import { unseal } from "shared/protocol/wire/sealed.ts";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Backends, LABELS, openBackends } from "tests/environment/attestation/backends.ts";
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
} from "tests/environment/attestation/service.ts";

const STATION = await makeSender("line-1", "station");
const OTHER = await makeSender("line-2", "station");
const MANAGER = await makeSender("office", "batch-manager");
const SENDERS = [STATION, OTHER, MANAGER];

for (const kind of ["pglite and software HSM", "PostgreSQL and SoftHSM"] as const) {
  Deno.test(`attestationService() over ${kind}`, async (t) => {
    await using backends = await openBackends(kind);
    const { database, hsm } = backends;
    const { sql } = database;
    const lines: string[] = [];
    const service = await makeService(database, hsm, { senders: SENDERS, write: (line) => lines.push(line) });
    const issuer = await hsm.publicKey(LABELS.issuer);
    const newBatch = async (quantity: number, change = {}) =>
      accepted(await service.createBatch(stamp(MANAGER), batchRequest(quantity, change)));

    await t.step("a card goes from reserved to good, with a certificate that verifies", async () => {
      const batch = await newBatch(3);
      assert.equal(batch.issuerPublicKey, toHex(issuer));
      const reserved = accepted(
        await service.reserve(stamp(STATION), { batch: batch.batch, chip: freshChip() }),
      );
      assert.equal(reserved.serial, batch.firstSerial);
      assert.equal(reserved.again, false);
      const { request } = await cardAnswer(reserved, STATION);
      const attested = accepted(await service.attest(stamp(STATION), request));
      const bytes = fromHex(attested.certificate);
      const certificate = parseCardCertificate(bytes, { strict: true });
      assert.equal(toHex(certificate.serial), reserved.serial);
      assert.equal(toHex(certificate.publicKey), request.publicKey);
      assert.equal(certificate.targetDevice, 5);
      assert.ok(verifyCardCertificate(certificate, issuer));
      assert.equal(toHex(sha256(bytes)), attested.certificateSha256);
      assert.equal(attested.superseded, false);
      const closure = closureOf(reserved.reservation, "good", attested.certificateSha256);
      assert.equal(accepted(await service.close(stamp(STATION), closure)).outcome, "good");
      const report = accepted(await service.readBatch("line-1", batch.batch));
      assert.deepEqual(report.counts, {
        reserved: 0,
        "key-seen": 0,
        attested: 0,
        installed: 0,
        good: 1,
        scrapped: 0,
        missing: 0,
      });
      assert.equal(report.state, "open");
    });

    await t.step("repeats answer the same and change nothing", async () => {
      const facts = batchRequest(2);
      const first = accepted(await service.createBatch(stamp(MANAGER), facts));
      assert.deepEqual(accepted(await service.createBatch(stamp(MANAGER), facts)), first);
      const changed = { ...facts, quantity: 3 };
      assert.equal(reasonOf(await service.createBatch(stamp(MANAGER), changed)), "ATTEST_BATCH_EXISTS");

      const ask = { batch: first.batch, chip: freshChip() };
      const one = accepted(await service.reserve(stamp(STATION), ask));
      const two = accepted(await service.reserve(stamp(STATION), ask));
      assert.deepEqual([two.reservation, two.serial, two.again], [one.reservation, one.serial, true]);
      const { request: stale } = await cardAnswer(one, STATION);
      assert.equal(reasonOf(await service.attest(stamp(STATION), stale)), "ATTEST_CARD_SIGNATURE");
      const { request } = await cardAnswer(two, STATION);
      const attested = accepted(await service.attest(stamp(STATION), request));
      assert.deepEqual(accepted(await service.attest(stamp(STATION), request)), attested);
      const closure = closureOf(two.reservation, "good", attested.certificateSha256);
      const closed = accepted(await service.close(stamp(STATION), closure));
      assert.deepEqual(accepted(await service.close(stamp(STATION), closure)), closed);
      assert.equal(reasonOf(await service.reserve(stamp(STATION), ask)), "ATTEST_CHIP_CLOSED");
      const scrap = closureOf(two.reservation, "scrapped", null);
      assert.equal(reasonOf(await service.close(stamp(STATION), scrap)), "ATTEST_CLOSED");
      assert.equal(reasonOf(await service.attest(stamp(STATION), request)), "ATTEST_CLOSED");
    });

    await t.step("a nonce serves once, for whatever it is used again, refused or not", async () => {
      const batch = await newBatch(2);
      const used = stamp(STATION);
      const ask = { batch: batch.batch, chip: freshChip() };
      accepted(await service.reserve(used, ask));
      assert.equal(reasonOf(await service.reserve(used, ask)), "ATTEST_REPLAY");
      assert.equal(reasonOf(await service.reserve({ ...used, sender: "line-2" }, ask)), "accepted");
      const refused = stamp(STATION);
      assert.equal(
        reasonOf(await service.reserve(refused, { ...ask, batch: "nothing" })),
        "ATTEST_BATCH_UNKNOWN",
      );
      assert.equal(reasonOf(await service.reserve(refused, ask)), "ATTEST_REPLAY");
      const together = stamp(STATION);
      const results = await Promise.all([1, 2, 3, 4].map(() => service.reserve(together, ask)));
      assert.deepEqual(results.map(reasonOf).sort(), [
        "ATTEST_REPLAY",
        "ATTEST_REPLAY",
        "ATTEST_REPLAY",
        "accepted",
      ]);
    });

    await t.step("roles and disabled senders", async () => {
      const batch = await newBatch(1);
      const ask = { batch: batch.batch, chip: freshChip() };
      assert.equal(reasonOf(await service.reserve(stamp(MANAGER), ask)), "ATTEST_ROLE");
      assert.equal(reasonOf(await service.createBatch(stamp(STATION), batchRequest(1))), "ATTEST_ROLE");
      assert.equal(reasonOf(await service.readBatch("stranger", batch.batch)), "ATTEST_SENDER_UNKNOWN");
      assert.equal(reasonOf(await service.readBatch("line-1", "nothing")), "ATTEST_BATCH_UNKNOWN");
      await sql`UPDATE senders SET disabled = true WHERE name = 'line-2'`;
      assert.equal(reasonOf(await service.reserve(stamp(OTHER), ask)), "ATTEST_SENDER_DISABLED");
      await makeService(database, hsm, { senders: SENDERS });
      assert.equal(reasonOf(await service.reserve(stamp(OTHER), ask)), "ATTEST_SENDER_DISABLED");
      await sql`UPDATE senders SET disabled = false WHERE name = 'line-2'`;
    });

    await t.step(
      "a torn card moves to another station, and its new certificate supersedes the old",
      async () => {
        const batch = await newBatch(1);
        const ask = { batch: batch.batch, chip: freshChip() };
        const here = accepted(await service.reserve(stamp(STATION), ask));
        const { request: first } = await cardAnswer(here, STATION);
        const old = accepted(await service.attest(stamp(STATION), first));
        const { request: second } = await cardAnswer(here, STATION);
        const newer = accepted(await service.attest(stamp(STATION), second));
        assert.equal(newer.superseded, true);
        assert.equal(reasonOf(await service.attest(stamp(STATION), first)), "ATTEST_KEY_SUPERSEDED");
        const stale = closureOf(here.reservation, "good", old.certificateSha256);
        assert.equal(reasonOf(await service.close(stamp(STATION), stale)), "ATTEST_CERTIFICATE_MISMATCH");

        const there = accepted(await service.reserve(stamp(OTHER), ask));
        assert.deepEqual([there.serial, there.again], [here.serial, true]);
        const { request: wrongStation } = await cardAnswer(there, OTHER);
        assert.equal(
          reasonOf(await service.attest(stamp(STATION), wrongStation)),
          "ATTEST_STATION_MISMATCH",
        );
        const last = accepted(await service.attest(stamp(OTHER), wrongStation));
        accepted(
          await service.close(stamp(OTHER), closureOf(there.reservation, "good", last.certificateSha256)),
        );
        const rows =
          await sql`SELECT sha256, revoked_at IS NOT NULL AS revoked, superseded_by FROM certificates
        WHERE reservation = ${here.reservation} ORDER BY issued_at`;
        assert.deepEqual(rows.map((row) => [row.sha256, row.revoked, row.superseded_by]), [
          [old.certificateSha256, true, newer.certificateSha256],
          [newer.certificateSha256, true, last.certificateSha256],
          [last.certificateSha256, false, null],
        ]);
        assert.equal(
          accepted(await service.readBatch("office", batch.batch)).state,
          "open",
          "a person closes a batch",
        );
      },
    );

    await t.step(
      "a scrapped card's certificate is revoked; the chip stays scrapped here and may go elsewhere",
      async () => {
        const [one, two] = [await newBatch(2), await newBatch(2)];
        const chip = freshChip();
        const reserved = accepted(await service.reserve(stamp(STATION), { batch: one.batch, chip }));
        const { request } = await cardAnswer(reserved, STATION);
        const attested = accepted(await service.attest(stamp(STATION), request));
        const elsewhere = { batch: two.batch, chip };
        assert.equal(reasonOf(await service.reserve(stamp(STATION), elsewhere)), "ATTEST_CHIP_ELSEWHERE");
        accepted(await service.close(stamp(STATION), closureOf(reserved.reservation, "scrapped", null)));
        const [row] = await sql`SELECT revoked_at IS NOT NULL AS revoked FROM certificates
        WHERE sha256 = ${attested.certificateSha256}`;
        assert.equal(row?.revoked, true);
        const again = { batch: one.batch, chip };
        assert.equal(reasonOf(await service.reserve(stamp(STATION), again)), "ATTEST_CHIP_CLOSED");
        assert.equal(accepted(await service.reserve(stamp(STATION), elsewhere)).again, false);
      },
    );

    await t.step("a chip that is reserved in two batches is attested in one of them only", async () => {
      const [one, two] = [await newBatch(1), await newBatch(1)];
      const chip = freshChip();
      const reservations = [
        accepted(await service.reserve(stamp(STATION), { batch: one.batch, chip })),
        accepted(await service.reserve(stamp(OTHER), { batch: two.batch, chip })),
      ];
      const answers = await Promise.all([
        cardAnswer(reservations[0]!, STATION),
        cardAnswer(reservations[1]!, OTHER),
      ]);
      const results = await Promise.all([
        service.attest(stamp(STATION), answers[0].request),
        service.attest(stamp(OTHER), answers[1].request),
      ]);
      assert.deepEqual(results.map(reasonOf).sort(), ["ATTEST_CHIP_ELSEWHERE", "accepted"]);
    });

    await t.step("one public key has one card", async () => {
      const batch = await newBatch(2);
      const ask = () => service.reserve(stamp(STATION), { batch: batch.batch, chip: freshChip() });
      const [one, two] = [accepted(await ask()), accepted(await ask())];
      const { request } = await cardAnswer(one, STATION);
      accepted(await service.attest(stamp(STATION), request));
      const { request: other } = await cardAnswer(two, STATION);
      const clone = { ...other, publicKey: request.publicKey };
      assert.equal(reasonOf(await service.attest(stamp(STATION), clone)), "ATTEST_KEY_REUSED");
    });

    await t.step("cards that cannot be told apart go through one after the other", async () => {
      const batch = await newBatch(2);
      const ask = {
        batch: batch.batch,
        chip: { cplc: null, keyDiversificationData: "00".repeat(10) },
      };
      for (const serial of [batch.firstSerial, batch.lastSerial]) {
        const reserved = accepted(await service.reserve(stamp(STATION), ask));
        assert.deepEqual([reserved.serial, reserved.again], [serial, false]);
        assert.equal(accepted(await service.reserve(stamp(STATION), ask)).again, true);
        accepted(await service.close(stamp(STATION), closureOf(reserved.reservation, "scrapped", null)));
      }
      assert.equal(reasonOf(await service.reserve(stamp(STATION), ask)), "ATTEST_QUOTA_EXHAUSTED");
    });

    await t.step("card keys are those of the token's master key, for the station only", async () => {
      const batch = await newBatch(1);
      const chip = freshChip();
      for (const keyLengthBytes of [16, 24, 32] as const) {
        const ask = { batch: batch.batch, chip, keyLengthBytes };
        const { sealed } = accepted(await service.cardKeys(stamp(STATION), ask));
        const keys = CardKeysSealed.parse(await unseal(sealed, STATION.sealingKey));
        await assert.rejects(unseal(sealed, OTHER.sealingKey));
        const expected = await diversifyKdf3(
          (input) => hsm.cmac(LABELS.transportMaster, input),
          fromHex(chip.keyDiversificationData),
          keyLengthBytes,
        );
        assert.deepEqual(keys, {
          enc: toHex(expected.enc.reveal()),
          mac: toHex(expected.mac.reveal()),
          dek: toHex(expected.dek.reveal()),
        });
      }
      const unknown = { batch: "nothing", chip, keyLengthBytes: 16 as const };
      assert.equal(reasonOf(await service.cardKeys(stamp(STATION), unknown)), "ATTEST_BATCH_UNKNOWN");
      const [row] = await sql`SELECT times FROM card_key_releases WHERE batch = ${batch.batch}`;
      assert.equal(row?.times, 3);
    });

    await t.step(
      "host certificates: the factory's serials, one station each, switched off by default",
      async () => {
        const { request: { publicKey } } = await cardAnswer(
          accepted(
            await service.reserve(stamp(STATION), { batch: (await newBatch(1)).batch, chip: freshChip() }),
          ),
          STATION,
        );
        const ask = { hostSerial: "46" + freshChip().keyDiversificationData.slice(0, 12), publicKey };
        const made = accepted(await service.hostCertificate(stamp(STATION), ask));
        const message = hostStaticMessage(fromHex(ask.hostSerial), fromHex(publicKey));
        assert.ok(ecdsaVerify(issuer, message, fromHex(made.signature)));
        assert.deepEqual(accepted(await service.hostCertificate(stamp(STATION), ask)), made);
        assert.equal(reasonOf(await service.hostCertificate(stamp(OTHER), ask)), "ATTEST_HOST_TAKEN");
        const customer = { ...ask, hostSerial: "01" + ask.hostSerial.slice(2) };
        assert.equal(reasonOf(await service.hostCertificate(stamp(STATION), customer)), "ATTEST_HOST_SERIAL");
        const off = await makeService(database, hsm, {
          senders: SENDERS,
          hostCertificates: { enabled: false, serialPrefix: "46" },
        });
        assert.equal(reasonOf(await off.hostCertificate(stamp(STATION), ask)), "ATTEST_HOST_DISABLED");
        const fresh = { ...ask, hostSerial: "46" + freshChip().keyDiversificationData.slice(0, 12) };
        const race = await Promise.all(
          [STATION, OTHER, STATION, OTHER].map((sender) => service.hostCertificate(stamp(sender), fresh)),
        );
        assert.equal(race.map(reasonOf).filter((reason) => reason === "ATTEST_HOST_TAKEN").length, 2);
      },
    );

    await t.step("two instances on one batch of 50: no serial lost or doubled, the quota exact", async () => {
      await using second = await backends.again();
      const other = await makeService(second.database, second.hsm, { senders: SENDERS });
      const batch = await newBatch(50);
      const chips = Array.from({ length: 60 }, freshChip);
      // Every chip is asked for at both instances at once, by two stations.
      const results = await Promise.all(chips.flatMap((chip) => [
        service.reserve(stamp(STATION), { batch: batch.batch, chip }),
        other.reserve(stamp(OTHER), { batch: batch.batch, chip }),
      ]));
      const serials = new Map<string, Set<string>>();
      results.forEach((result, i) => {
        if (reasonOf(result) === "ATTEST_QUOTA_EXHAUSTED") return;
        const { serial } = accepted(result);
        const chip = chips[Math.floor(i / 2)]!.cplc!;
        serials.set(serial, (serials.get(serial) ?? new Set()).add(chip));
      });
      assert.equal(serials.size, 50);
      assert.ok([...serials.values()].every((owners) => owners.size === 1));
      const sorted = [...serials.keys()].sort();
      assert.deepEqual([sorted[0], sorted[49]], [batch.firstSerial, batch.lastSerial]);
      const made = results.filter((result) => reasonOf(result) === "accepted").map(accepted);
      assert.equal(made.filter((answer) => !answer.again).length, 50);
    });

    await t.step("two instances attest the same card at once: one certificate", async () => {
      await using second = await backends.again();
      const other = await makeService(second.database, second.hsm, { senders: SENDERS });
      const batch = await newBatch(1);
      const reserved = accepted(
        await service.reserve(stamp(STATION), { batch: batch.batch, chip: freshChip() }),
      );
      const { request } = await cardAnswer(reserved, STATION);
      const answers = await Promise.all(
        [service, other, service, other].map((one) => one.attest(stamp(STATION), request)),
      );
      assert.equal(new Set(answers.map((answer) => accepted(answer).certificate)).size, 1);
    });

    await t.step("concurrent batches have ranges apart, and the factory's range ends", async () => {
      await using second = await backends.again();
      const other = await makeService(second.database, second.hsm, { senders: SENDERS });
      const made = await Promise.all(
        Array.from(
          { length: 10 },
          (_, i) => (i % 2 ? other : service).createBatch(stamp(MANAGER), batchRequest(7)),
        ),
      );
      const ranges = made.map(accepted).map((batch) => [batch.firstSerial, batch.lastSerial]).sort();
      for (let i = 1; i < ranges.length; i++) assert.ok(ranges[i]![0]! > ranges[i - 1]![1]!);
      const [{ next_serial: next }] = await sql`SELECT next_serial FROM serial_allocator` as unknown as [
        { next_serial: string },
      ];
      const last = Number(next) + 4;
      const small = await makeService(database, hsm, { senders: SENDERS, serials: { first: 1, last } });
      assert.equal(
        reasonOf(await small.createBatch(stamp(MANAGER), batchRequest(6))),
        "ATTEST_SERIALS_EXHAUSTED",
      );
      assert.equal(reasonOf(await small.createBatch(stamp(MANAGER), batchRequest(5))), "accepted");
      const nameless = accepted(
        await service.createBatch(stamp(MANAGER), { ...batchRequest(1), name: undefined }),
      );
      assert.match(nameless.batch, /^batch-\d{4}-\d\d-\d\d-[0-9a-f]{8}$/);
    });

    await t.step("private halves of DGI 8137 are in no row and no log line", async () => {
      const batch = await newBatch(1);
      const reserved = accepted(
        await service.reserve(stamp(STATION), { batch: batch.batch, chip: freshChip() }),
      );
      const plain = await unseal(reserved.sealed, STATION.sealingKey) as { dgi8137: string };
      const dump = await dumpOf(sql);
      assert.ok(dump.includes(reserved.reservation), "the dump has this reservation");
      const secret = plain.dgi8137.toLowerCase();
      assert.equal(dump.toLowerCase().includes(secret), false);
      assert.equal(lines.join("\n").toLowerCase().includes(secret), false);
      assert.ok(lines.some((line) => line.includes(reserved.reservation)));
    });

    await t.step(
      "a token that is gone leaves the key on record, and the repetition goes on from there",
      async () => {
        const batch = await newBatch(1);
        const reserved = accepted(
          await service.reserve(stamp(STATION), { batch: batch.batch, chip: freshChip() }),
        );
        const { request } = await cardAnswer(reserved, STATION);
        const broken = await makeService(database, {
          ...wrapped(backends),
          sign: () => Promise.reject(new Error("token gone")),
        }, { senders: SENDERS });
        const key = crypto.randomUUID();
        await assert.rejects(broken.attest(keyedStamp(STATION, key, request), request), /token gone/);
        assert.deepEqual(await eventsOf(sql, reserved.reservation), ["reserve", "see-key"]);
        const attested = accepted(await service.attest(keyedStamp(STATION, key, request), request));
        assert.equal(attested.superseded, false);
        assert.deepEqual(
          accepted(await service.attest(keyedStamp(STATION, key, request), request)),
          attested,
        );
        assert.deepEqual(await eventsOf(sql, reserved.reservation), ["reserve", "see-key", "attest"]);
      },
    );
  });
}

/** Events of a reservation's journal, in order; its entries have no gap. */
async function eventsOf(sql: Backends["database"]["sql"], reservation: string): Promise<string[]> {
  const rows = await sql<{ entry: number; event: string }[]>`
    SELECT entry, event FROM issuance_journal WHERE reservation = ${reservation} ORDER BY sequence`;
  assert.deepEqual(rows.map(({ entry }) => entry), rows.map((_, i) => i + 1));
  return rows.map(({ event }) => event);
}

/** The token with its methods bound, so that a test can replace one. */
function wrapped({ hsm }: Backends) {
  return {
    kind: hsm.kind,
    describe: () => hsm.describe(),
    generateSigningKey: (label: string) => hsm.generateSigningKey(label),
    generateMasterKey: (label: string) => hsm.generateMasterKey(label),
    publicKey: (label: string) => hsm.publicKey(label),
    sign: (label: string, message: Uint8Array) => hsm.sign(label, message),
    cmac: (label: string, message: Uint8Array) => hsm.cmac(label, message),
    generateStorageKey: (label: string) => hsm.generateStorageKey(label),
    generateMacKey: (label: string) => hsm.generateMacKey(label),
    seal: (label: string, message: Uint8Array, bound: Uint8Array) => hsm.seal(label, message, bound),
    open: (label: string, sealed: Uint8Array, bound: Uint8Array) => hsm.open(label, sealed, bound),
    hmac: (label: string, message: Uint8Array) => hsm.hmac(label, message),
    keys: () => hsm.keys(),
    close: () => hsm.close(),
  };
}

/** Every row of every table, as text. */
async function dumpOf(sql: Backends["database"]["sql"]): Promise<string> {
  const tables = await sql<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`;
  let text = "";
  for (const { name } of tables) {
    for (const { row } of await sql<{ row: unknown }[]>`SELECT t::text AS row FROM ${sql(name)} t`) {
      text += `${row}\n`;
    }
  }
  return text;
}
