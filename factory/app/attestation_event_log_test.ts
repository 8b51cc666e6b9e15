/** What the attestation service issues and what its log says: both happen, or neither. */

import assert from "node:assert/strict";
import { parseLeaf } from "shared/log/leaf.ts";
import { LogReader } from "shared/log/reader.ts";
import { ed25519Verifier } from "shared/log/vkey.ts";
import { hsmLogSigner } from "shared/log/store/note_signers.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import type { ReservationAnswer } from "shared/protocol/wire/attestation.ts";
import { openBackends } from "tests/environment/attestation/backends.ts";
import { makePki, makeSenders, startInstance, TestGateway } from "tests/environment/attestation/instance.ts";
import { batchRequest, cardAnswer, freshChip } from "tests/environment/attestation/service.ts";

const ORIGIN = "log.example/attestation";
const STRANGERS = 20;

Deno.test("attestation service and its log: no entry, nothing issued", async (t) => {
  await using backends = await openBackends("pglite and software HSM");
  const { sql } = backends.database;
  const pki = await makePki();
  const senders = await makeSenders();
  await backends.hsm.generateSigningKey("log", "ed25519");
  ensureSecretFile(`${pki.folder}/pseudonym.key`);
  const eventLog = { origin: ORIGIN, folder: "log", pseudonymKeyFile: "pseudonym.key" };
  const { verifierKey } = await hsmLogSigner(backends.hsm, "log", ORIGIN);
  const policy = { origin: ORIGIN, log: [ed25519Verifier(verifierKey)], witnesses: [], quorum: 0 };
  const source = directorySource(`${pki.folder}/log`);
  const entered = async (): Promise<string[]> => {
    const rows = await sql<{ entry: Uint8Array }[]>`
      SELECT entry, receipt FROM log_pending UNION ALL SELECT entry, receipt FROM log_entries ORDER BY receipt`;
    return rows.map(({ entry }) => {
      const { event, outcome, reason } = parseLeaf(entry);
      return `${event} ${outcome}${reason === undefined ? "" : ` ${reason}`}`;
    });
  };
  const since = async (before: readonly string[]) => (await entered()).slice(before.length);
  {
    await using instance = await startInstance(pki, backends, senders, { eventLog });
    using gateway = new TestGateway(pki, instance.listen);
    assert.equal((await entered())[0], "attestation.opened done");
    const ask = async (path: string, value: unknown, sender = senders.station) => {
      const before = await entered();
      const response = await gateway.post(sender, path, value);
      const body = await response.json();
      return { status: response.status, body, entries: await since(before) };
    };
    const batch = batchRequest(5);
    let reserved: ReservationAnswer | undefined;

    await t.step("each act is entered with the change", async () => {
      const made = await ask("/v1/batches", batch, senders.manager);
      assert.deepEqual([made.status, made.entries], [200, ["attestation.batch-created done"]]);
      const place = { batch: made.body.batch, chip: freshChip() };
      const keys = await ask("/v1/card-keys", { ...place, keyLengthBytes: 16 });
      assert.deepEqual([keys.status, keys.entries], [200, [
        "attestation.keys-released intended",
        "attestation.keys-released done",
      ]]);
      const answer = await ask("/v1/reservations", place);
      assert.deepEqual([answer.status, answer.entries], [200, ["attestation.card-reserved done"]]);
      reserved = answer.body;
    });

    await t.step(
      "an entry that cannot be written: a problem that may be retried, and nothing is issued",
      async () => {
        const { request } = await cardAnswer(reserved!, senders.station);
        await sql`ALTER TABLE log_pending RENAME TO log_pending_away`;
        const response = await gateway.post(senders.station, "/v1/attestations", request);
        const refused = await response.json();
        await sql`ALTER TABLE log_pending_away RENAME TO log_pending`;
        assert.deepEqual([response.status, refused.code], [503, "EVENT_LOG_UNWRITABLE"]);
        assert.ok(response.headers.has("retry-after"));
        const [{ issued } = { issued: -1 }] = await sql<{ issued: number }[]>`
        SELECT count(*)::int AS issued FROM certificates`;
        assert.equal(issued, 0);
        const again = await ask("/v1/attestations", request);
        assert.deepEqual([again.status, again.entries.filter((entry) => entry.includes("card-attested"))], [
          200,
          [
            "attestation.card-attested intended",
            "attestation.card-attested done",
          ],
        ]);
      },
    );

    await t.step("a refused decision is entered with its reason", async () => {
      const refused = await ask("/v1/reservations", { batch: "nobody", chip: freshChip() });
      assert.deepEqual([refused.status, refused.entries], [404, [
        "attestation.card-reserved refused ATTEST_BATCH_UNKNOWN",
      ]]);
    });

    await t.step("who is not believed is counted", async () => {
      const before = await entered();
      for (let i = 0; i < STRANGERS; i++) {
        const response = await gateway.post(senders.station, "/v1/reservations", {}, {
          certificate: pki.certificates.stranger!,
        });
        assert.equal(response.status, 403, await response.text());
      }
      const entries = (await since(before)).filter((entry) => entry.includes("sender-refused"));
      assert.equal(entries[0], "attestation.sender-refused refused not-configured");
      assert.ok(entries.length < STRANGERS / 2);
    });

    await t.step("the administration listener shows the log", async () => {
      const page = await fetch(`http://${instance.admin}/log`);
      assert.match(await page.text(), /<h1>Log of attestation-test<\/h1>/);
    });
  }
  await t.step("at the end everything is in a signed tree", async () => {
    const reader = await LogReader.open(source, policy);
    const leaves = [];
    for await (const { bytes } of reader.entries(0, reader.checkpoint.size)) leaves.push(parseLeaf(bytes));
    assert.equal(leaves.length, (await entered()).length);
    const refused = leaves.filter(({ event }) => event === "attestation.sender-refused");
    assert.equal(refused.reduce((sum, { count = 1 }) => sum + count, 0), STRANGERS);
    assert.ok(leaves.some(({ event }) => event === "attestation.stopped"));
  });
  await Deno.remove(pki.folder, { recursive: true });
});
