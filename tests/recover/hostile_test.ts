/** Hostile parties: every field of every message changed, records exchanged, and two providers' data laid side by side. */

import assert from "node:assert/strict";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { type StepAnswer, StepRequest } from "providers/vault/protocol.ts";
import { findSecrets } from "tests/integration/secret_search.ts";
import { makeDevice, makeMaker } from "./device.ts";
import { backup, confirm, IDENTITY, release, remove } from "./flows.ts";
import { entered } from "./entries.ts";
import { startProviders, testClock, type TestProvider } from "./provider.ts";

type Recorded = Omit<StepRequest, "operation">;

/** Every string below a value, as path and the value with that string exchanged. */
function* variants(value: unknown, path: string[] = []): Generator<{ path: string; changed: unknown }> {
  if (typeof value === "string") {
    const flip = (at: number) => {
      const digit = value[at]!;
      const other = /[0-9a-f]/i.test(digit) ? (parseInt(digit, 16) ^ 1).toString(16).toUpperCase() : "0";
      return value.slice(0, at) + other + value.slice(at + 1);
    };
    // The last digit of base64 has bits that mean nothing: not that one.
    const last = value.includes(".") ? value.length - 3 : value.length - 1;
    const places = [...new Set([0, 1, value.length >> 1, last])];
    for (const at of places) yield { path: `${path.join(".")}[${at}]`, changed: flip(at) };
    yield { path: `${path.join(".")} cut`, changed: value.slice(0, -2) };
    yield { path: `${path.join(".")} longer`, changed: value + "00" };
  } else if (typeof value === "number") {
    yield { path: path.join("."), changed: value + 1 };
  } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [key, inside] of Object.entries(value)) {
      for (const each of variants(inside, [...path, key])) {
        yield { path: each.path, changed: { ...value, [key]: each.changed } };
      }
      yield { path: `${[...path, key].join(".")} left out`, changed: { ...value, [key]: undefined } };
    }
  }
}

/** What a caller may choose: whose backup it is, and where the person is sent. Another value is another request, not a forged one. */
const FREE = /^body\.(identity|backupId|words)/;

async function tried(provider: TestProvider, request: Recorded): Promise<StepAnswer | string> {
  // As it comes over the pipe.
  const parsed = StepRequest.safeParse({ operation: "step", ...request });
  if (!parsed.success) return "schema";
  try {
    return await provider.vault.step(parsed.data);
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    return error.code;
  }
}

Deno.test("a vault takes no message and no record of which any part was changed, left out or exchanged", async (t) => {
  const maker = makeMaker();
  const clock = testClock();
  await using running = await startProviders(maker, clock, "PostgreSQL and SoftHSM", {}, [1]);
  const provider = running.providers[0]!;
  const backupId = toHex(SYSTEM_RANDOM(16));
  const owner = makeDevice(maker, SYSTEM_RANDOM(16));
  await backup(maker, owner, [provider], backupId);
  const device = makeDevice(maker);
  await confirm(maker, device, [provider], backupId);
  await release(maker, device, [provider], backupId, clock);
  await remove(maker, owner, [provider], backupId);
  // What moved something, first: repeats moved nothing.
  const moved = provider.crossed.filter(({ answer }) => answer.session !== null);
  const names = moved.map(({ request, answer }) => `${request.step} ${answer.outcome.kind}`);
  assert.deepEqual([...new Set(names)].sort(), [
    "commit answer",
    "confirm answer",
    "delete answer",
    "deletion answer",
    "deposit answer",
    "open answer",
    "release answer",
    "release counted",
  ]);
  let mutations = 0;
  for (const { request, answer } of moved) {
    await t.step(`${request.step} ${answer.outcome.kind}`, async () => {
      for (const part of ["body", "session", "sessionRecord", "backup", "status", "keySet"] as const) {
        for (const { path, changed } of variants(request[part], [part])) {
          if (FREE.test(path)) continue;
          mutations++;
          const result = await tried(provider, { ...request, [part]: changed } as Recorded);
          if (typeof result === "string") continue;
          const { kind } = result.outcome;
          if (kind === "stale") continue;
          // Only a release looks at the verifier's keys.
          if (part === "keySet" && request.step !== "release") continue;
          if (kind === "counted") {
            assert.equal(request.step, "release", path);
            assert.notEqual(result.backup, null, "other bytes are another attempt, and counted");
            continue;
          }
          assert.equal(kind, "refuse", `${request.step} ${path}`);
          assert.equal(result.backup, null, `${request.step} ${path}`);
        }
      }
    });
  }
  assert.ok(mutations > 400, `${mutations} mutations`);

  await t.step("records of another time or place do not open", async () => {
    const sessions = moved.filter(({ request }) => request.sessionRecord !== null);
    for (const { request } of sessions) {
      for (const other of sessions) {
        if (other.request.sessionRecord!.blob === request.sessionRecord!.blob) continue;
        const sessionRecord = { ...request.sessionRecord!, blob: other.request.sessionRecord!.blob };
        assert.equal(await tried(provider, { ...request, sessionRecord }), "PROVIDER_STATE");
      }
    }
  });

  await t.step("every step in every other state is refused", async () => {
    for (const { request } of moved) {
      for (const other of moved) {
        if (other.request.step === request.step || other.request.session === request.session) continue;
        if (other.request.step === "open" || request.sessionRecord === null) continue;
        const crossed = { ...request, step: other.request.step, body: other.request.body };
        const result = await tried(provider, crossed);
        const kind = typeof result === "string" ? result : result.outcome.kind;
        const idle = ["commit", "abandon"].includes(other.request.step);
        const counted = other.request.step === "release" && kind === "counted";
        assert.ok(
          kind === "refuse" || kind === "stale" || counted || (idle && kind === "answer"),
          `${other.request.step}: ${kind}`,
        );
      }
    }
  });

  await t.step("nothing in the clear crosses the border of the vault", () => {
    const text = provider.crossed.map(({ request, answer }) => JSON.stringify([request, answer.outcome]))
      .join("\n");
    const secrets = [
      { name: "entropy", bytes: owner.entropy()! },
      { name: "entropy key", bytes: maker.entropyEncryptionKey },
    ];
    assert.deepEqual(findSecrets(secrets, [{ name: "border", content: toUtf8(text) }]), []);
  });
});

interface Dump {
  readonly backups: { identifier: string; key_version: number; blob: string; xmin: string }[];
  readonly sessions: { session: string; tag: string; size: number; day: number }[];
  readonly log: { time: string; event: string; actor: string; subject?: string }[];
  readonly changes: { tag: string; receipt: number }[];
}

/** What an administrator sees, in the order in which the tables lie. */
async function dumpOf(provider: TestProvider): Promise<Dump> {
  const { database: { sql } } = provider;
  const rows = async <T>(query: PromiseLike<Iterable<unknown>>) => [...await query] as T[];
  return {
    backups: await rows(
      sql`SELECT encode(identifier, 'hex') AS identifier, key_version, encode(blob, 'hex') AS blob,
      xmin::text AS xmin FROM backups ORDER BY ctid`,
    ),
    sessions: await rows(
      sql`SELECT session::text AS session, encode(device_tag, 'hex') AS tag, length(blob) AS size,
      forget_day AS day FROM sessions ORDER BY ctid`,
    ),
    log: (await entered(provider)).map(({ time, event, actor, subject }) => ({
      time,
      event,
      actor,
      ...(subject === undefined ? {} : { subject }),
    })),
    changes: await rows(
      sql`SELECT encode(tag, 'hex') AS tag, receipt::int AS receipt FROM changes ORDER BY ctid`,
    ),
  };
}

Deno.test("the data of two providers cannot be joined by equality, size, order or time", async (t) => {
  const maker = makeMaker();
  const clock = testClock();
  await using running = await startProviders(maker, clock, "PostgreSQL and SoftHSM", {}, [1, 2]);
  const [one, two] = running.providers as [TestProvider, TestProvider];
  const backupIds = Array.from({ length: 12 }, () => toHex(SYSTEM_RANDOM(16)));
  for (const id of backupIds) await backup(maker, makeDevice(maker, SYSTEM_RANDOM(16)), [one, two], id);
  /** The truth, which only the vaults know: the identifiers of one backup at both. */
  const pairs = await Promise.all(backupIds.map(async (backupId) => {
    const { identifier: a } = await one.vault.locate({ backupId });
    const { identifier: b } = await two.vault.locate({ backupId });
    return [a.toLowerCase(), b.toLowerCase()] as const;
  }));
  const before = await dumpOf(one);
  const order = (dump: Dump, which: 0 | 1) =>
    dump.backups.map(({ identifier }) => pairs.findIndex((pair) => pair[which] === identifier));

  await t.step("the checker catches what it is for: rows in the order in which they came", () => {
    assert.deepEqual(order(before, 0), backupIds.map((_, i) => i));
  });

  for (const { service: _, database: { sql } } of [one, two]) await sql`SELECT rewrite_in_identifier_order()`;
  const [a, b] = [await dumpOf(one), await dumpOf(two)];

  await t.step("equality: no value of one stands in the other's dump", () => {
    const words = (dump: Dump) =>
      new Set([
        ...dump.backups.flatMap(({ identifier, blob }) => [identifier, ...pieces(blob)]),
        ...dump.sessions.flatMap(({ session, tag }) => [session, tag]),
        ...dump.log.flatMap(({ actor, subject }) => [actor, ...(subject === undefined ? [] : [subject])]),
        ...dump.changes.map(({ tag }) => tag),
      ]);
    const other = words(b);
    assert.deepEqual([...words(a)].filter((word) => other.has(word)), []);
    const text = JSON.stringify([a, b]).toLowerCase();
    for (const id of backupIds) assert.ok(!text.includes(id.toLowerCase()));
    for (const word of [IDENTITY.lastName, IDENTITY.dateOfBirth]) {
      assert.ok(!text.includes(toHex(toUtf8(word)).toLowerCase()));
    }
  });

  await t.step("inside one provider: the log and the sessions name no row", () => {
    const identifiers = new Set(a.backups.map(({ identifier }) => identifier));
    const named = [
      ...a.sessions.flatMap(({ session, tag }) => [session, tag]),
      ...a.changes.map(({ tag }) => tag),
      ...a.log.map(({ subject }) => subject ?? null),
    ];
    assert.deepEqual(named.filter((word) => word !== null && identifiers.has(word)), []);
  });

  await t.step("size: all rows are as long as all others", () => {
    assert.equal(new Set([...a.backups, ...b.backups].map(({ blob }) => blob.length)).size, 1);
    assert.equal(new Set([...a.sessions, ...b.sessions].map(({ size }) => size)).size, 1);
  });

  await t.step(
    "order: rows lie in the order of identifiers, which are drawn by a key of each provider",
    () => {
      for (const { backups, sessions } of [a, b]) {
        assert.deepEqual(backups, backups.toSorted((x, y) => x.identifier < y.identifier ? -1 : 1));
        assert.deepEqual(sessions, sessions.toSorted((x, y) => x.session < y.session ? -1 : 1));
      }
    },
  );

  await t.step("time: one transaction wrote all rows, and days are the finest time that is kept", () => {
    for (const { backups, sessions } of [a, b]) {
      assert.equal(new Set(backups.map(({ xmin }) => xmin)).size, 1);
      assert.equal(new Set(sessions.map(({ day }) => day)).size, 1);
    }
    for (const { log } of [a, b]) {
      assert.ok(log.length > 24);
      for (const { time } of log) assert.match(time, /:00:00\.000Z$/, "an entry has the hour only");
    }
  });

  await t.step("columns hold no more than this", async () => {
    const columns = await one.database.sql<{ name: string; type: string }[]>`
      SELECT column_name AS name, data_type AS type FROM information_schema.columns
      WHERE table_name IN ('backups', 'sessions', 'changes') ORDER BY table_name, ordinal_position`;
    assert.deepEqual(columns.map(({ type }) => type).filter((type) => /time|date/.test(type)), []);
    assert.deepEqual(columns.slice(0, 3).map(({ name }) => name), ["identifier", "key_version", "blob"]);
  });
});

/** Parts of a blob of 16 bytes. */
function pieces(hex: string): string[] {
  return hex.match(/.{32}/g) ?? [];
}
