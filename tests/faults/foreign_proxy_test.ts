/**
 * A sample over pcscd with vpcd, SoftHSM and PostgreSQL, through a proxy that is not ours and does what it likes. Afterwards
 * psql, `rk batch report`, `rk batch verify`, a wallet and the cards in the reader must tell one story.
 */

import assert from "node:assert/strict";
import { genuineCheckSpec } from "cli/commands/wallet.ts";
import { runSpec } from "cli/commands/station.ts";
import { startFeeder } from "cli/demo/feeder.ts";
import { demoProfile } from "cli/demo/profile.ts";
import { pcscReaders } from "cli/demo/readers.ts";
import { DENO, HOME, REPOSITORY } from "cli/home.ts";
import { writePrivate } from "cli/paths.ts";
import { startChild } from "cli/process/child.ts";
import { runCollected } from "cli/process/foreground.ts";
import { createBatch } from "cli/spine/batch.ts";
import { blankCards } from "cli/spine/card_maker.ts";
import { startSpine } from "cli/spine/spine.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import type { CardReport, StationEvent } from "factory/service/station/events.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { startTearProxy } from "./machinery/python_proxy.ts";
import { suiteSeed } from "./machinery/seed.ts";

const CARDS = 4;
const READERS = 2;
/** Presentations of one card after which the test gives up: never two in a row are hurt. */
const PRESENTATIONS_MAX = 6;

Deno.test("a foreign proxy between reader and card: psql, batch report, batch verify, wallet and cards agree on every serial", async () => {
  const seed = suiteSeed();
  await Deno.mkdir(HOME, { recursive: true });
  await using started = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ dir: HOME, prefix: "proxy-" });
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const spine = await startSpine({ folder, real: true });
  started.defer(() => spine.stop());
  const { descriptor } = spine;
  const pcsc = await pcscReaders(READERS);
  started.defer(() => pcsc.stop());
  const proxies = [];
  for (const [i, { address }] of pcsc.readers.entries()) {
    proxies.push(started.use(await startTearProxy(address, `${seed}/${i}`)));
  }
  const profile = await demoProfile(folder, spine.token.hsm, SYSTEM_RANDOM);
  const batch = await createBatch(descriptor.batchManagerFile, profile, CARDS);
  const batchFile = `${folder}/batch.json`;
  await writePrivate(batchFile, encodeBatchFile(batch));
  const cards = await blankCards(spine.token.hsm, SYSTEM_RANDOM, `${folder}/cards`, "proxied", CARDS);
  const feeder = await startFeeder({
    cards: `${folder}/cards`,
    slots: proxies.map(({ address }) => address),
    awayMs: pcsc.awayMs,
    logFile: `${folder}/logs/cards.log`,
  });
  started.defer(() => feeder.stop());

  const names = pcsc.readers.map(({ name }) => name);
  const spec = runSpec(
    { batch: batchFile, json: true, count: String(CARDS), reader: names, retryAuthentication: true },
    descriptor.stationFile,
    batchFile,
    descriptor,
  );
  const station = await startChild({
    ...spec,
    env: { ...spec.env, ...pcsc.env },
    logFile: `${folder}/logs/station.log`,
  });
  started.defer(() => station.stop().then(() => {}));

  const queue = [...cards];
  const onSlot: { stateFile: string; presented: number }[] = [];
  const serials = new Map<string, string>();
  const reports: CardReport[] = [];
  const feed = async (slot: number) => {
    const next = queue.shift();
    if (next === undefined) return;
    onSlot[slot] = { stateFile: next.stateFile, presented: 0 };
    await feeder.insert(slot, next.stateFile, next.options);
  };
  const moving = names.map((_, slot) => feed(slot));
  for await (const line of station.lines()) {
    const event = JSON.parse(line) as StationEvent;
    if (!("event" in event) || event.event !== "card") continue;
    const { card } = event;
    reports.push(card);
    const slot = names.indexOf(card.reader);
    const present = onSlot[slot]!;
    moving.push((async () => {
      await feeder.remove(slot);
      const isDone = card.outcome === "attested" || card.reason === "CARD_ALREADY_ATTESTED";
      if (isDone) serials.set(present.stateFile, card.serial!);
      if (isDone || card.outcome === "scrapped" || ++present.presented >= PRESENTATIONS_MAX) await feed(slot);
      else await feeder.insert(slot, present.stateFile);
    })());
  }
  await Promise.all(moving);
  await station.exited;
  const story = JSON.stringify(
    reports.map(({ outcome, reason, step, message }) => [outcome, step, reason, message]),
  );
  assert.equal(serials.size, CARDS, story);
  assert.equal(new Set(serials.values()).size, CARDS, story);
  const did = proxies.flatMap((proxy) => proxy.did);
  assert.ok(did.length >= 2, "the proxy did something");
  console.log(`proxy: seed ${seed}, ${CARDS} cards, ${reports.length} presentations, ${JSON.stringify(did)}`);

  for (const proxy of proxies) await proxy.clean();
  const onCards: string[] = [];
  for (const { stateFile } of cards) {
    await feeder.insert(0, stateFile);
    const wallet = genuineCheckSpec({
      reader: names[0]!,
      trust: `${folder}/station/wallet-trust.json`,
      json: true,
    });
    const { code, output, errors } = await runCollected({ ...wallet, env: { ...wallet.env, ...pcsc.env } });
    await feeder.remove(0);
    assert.equal(code, 0, errors);
    const genuine = JSON.parse(output.trimEnd().split("\n").at(-1)!);
    assert.equal(genuine.serial, serials.get(stateFile));
    onCards.push(`${genuine.serial}|${genuine.certificateSha256}`);
  }

  const psql = async (query: string) => {
    const { success, stdout, stderr } = await new Deno.Command("psql", {
      args: ["-At", "-c", query],
      env: { ...spine.psqlEnv },
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trim();
  };
  const inDatabase = await psql(
    `select upper(lpad(to_hex(r.serial), 8, '0')) || '|' || c.sha256 from reservations r
      join certificates c on c.reservation = r.id and c.revoked_at is null where r.state = 'good' order by 1`,
  );
  assert.deepEqual(onCards.sort(), inDatabase.split("\n"));
  assert.equal(await psql("select state, count(*) from reservations group by state"), `good|${CARDS}`);
  assert.equal(await psql("select outcome, count(*) from closures group by outcome"), `good|${CARDS}`);

  const rk = async (...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command(`${REPOSITORY}/rk`, {
      args: ["batch", ...args, "--json"],
      env: { RK_HOME: HOME, RK_DENO: DENO, NO_COLOR: "1" },
      stdin: "null",
    }).output();
    assert.ok(success, `${args[0]}: ${new TextDecoder().decode(stderr)}`);
    return JSON.parse(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1)!);
  };
  const as = ["--as", descriptor.batchManagerFile];
  const { counts } = await rk("report", batch.batch, ...as);
  assert.deepEqual([counts.good, counts.scrapped], [CARDS, 0]);
  await rk("close", batch.batch, ...as);
  await rk("key", "--out", `${folder}/record.jwk`, ...as);
  await rk("export", batch.batch, "--out", `${folder}/batch.jsonl`, ...as);
  const verified = await rk("verify", `${folder}/batch.jsonl`, "--key", `${folder}/record.jwk`);
  assert.equal(verified.totals?.good ?? verified.good, CARDS, JSON.stringify(verified));
  const [first] = serials.values();
  const proved = await rk(
    "verify",
    `${folder}/batch.jsonl`,
    "--key",
    `${folder}/record.jwk`,
    "--serial",
    first!,
  );
  assert.match(JSON.stringify(proved), new RegExp(first!, "i"));
});
