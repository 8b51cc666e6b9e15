/**
 * Any field of any message, flipped, cut, made longer, taken from another message or from another time: the vault gives nothing
 * away and changes nothing for it. `RK_SEED` repeats a run.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { StepRequest } from "providers/vault/protocol.ts";
import { makeDevice, makeMaker } from "./device.ts";
import { backup, confirm, release, remove } from "./flows.ts";
import { startProviders, testClock, type TestProvider } from "./provider.ts";

type Recorded = Omit<StepRequest, "operation">;

const RUNS = 1200;
const TIME_LIMIT_MS = 15_000;
const SEED =
  Number(Deno.env.get("RK_SEED") ?? SYSTEM_RANDOM(4).reduce((seed, byte) => seed * 256 + byte, 0)) | 0;

/** Paths of all strings below a value. */
function texts(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value === "string") return [path];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inside]) => texts(inside, [...path, key]));
}

function read(value: unknown, path: readonly string[]): string | undefined {
  const found = path.reduce<unknown>(
    (inside, key) => (inside as Record<string, unknown> | null)?.[key],
    value,
  );
  return typeof found === "string" ? found : undefined;
}

function written<T>(value: T, path: readonly string[], text: string): T {
  const [key, ...more] = path;
  if (key === undefined) return text as T;
  return { ...value, [key]: written((value as Record<string, unknown>)[key], more, text) };
}

/** One bit of the bytes that a hexadecimal or Base64 text stands for. */
function flipped(text: string, at: number, bit: number): string {
  const digit = text[at]!;
  const alphabet = /^[0-9A-F]+$/.test(text)
    ? "0123456789ABCDEF"
    : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const value = alphabet.indexOf(digit);
  const other = value < 0 ? "A" : alphabet[(value ^ (1 << bit)) % alphabet.length]!;
  return text.slice(0, at) + (other === digit ? "_" : other) + text.slice(at + 1);
}

const mutation = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at: fc.nat(), bit: fc.nat(3) }),
  fc.record({ kind: fc.constant("cut" as const), at: fc.nat() }),
  fc.record({ kind: fc.constant("append" as const), text: fc.stringMatching(/^[0-9A-F]{2,64}$/) }),
  fc.record({ kind: fc.constant("exchange" as const), other: fc.nat() }),
);

Deno.test("whatever is changed, cut, exchanged, replayed or reordered: nothing is given, and nothing stored is lost", async () => {
  const maker = makeMaker();
  const clock = testClock();
  await using running = await startProviders(maker, clock, "PGlite and software HSM", {}, [1]);
  const [provider] = running.providers as [TestProvider];
  for (let times = 0; times < 2; times++) {
    const backupId = toHex(SYSTEM_RANDOM(16));
    const owner = makeDevice(maker, SYSTEM_RANDOM(16));
    await backup(maker, owner, [provider], backupId);
    const device = makeDevice(maker);
    await confirm(maker, device, [provider], backupId);
    await release(maker, device, [provider], backupId, clock);
    await remove(maker, owner, [provider], backupId);
  }
  const moved = provider.crossed.filter(({ answer }) => answer.session !== null).map(({ request }) =>
    request
  );
  /** What the vault is asked to believe; the texts of an identity and whose backup it is are the caller's to choose. */
  const believed = (request: Recorded) =>
    texts(request).filter((path) =>
      !["step", "session"].includes(path[0]!) &&
      !/^(body,(identity|backupId|session|flow)|keySet)/.test(path.join())
    );
  const seen = new Set<string>();
  const property = fc.asyncProperty(fc.nat(), fc.nat(), mutation, async (which, where, change) => {
    const request = moved[which % moved.length]!;
    const paths = believed(request);
    const path = paths[where % paths.length]!;
    const text = read(request, path)!;
    let text2 = text;
    if (change.kind === "flip") {
      // The last characters of a signed text may hold bits that stand for nothing.
      text2 = flipped(text, change.at % Math.max(1, text.length - 4), change.bit);
    } else if (change.kind === "cut") text2 = text.slice(0, change.at % text.length);
    else if (change.kind === "append") text2 = text + change.text;
    else {
      // The same field of another message: of another session, another step, another time.
      const others = moved.flatMap((other) => {
        const found = read(other, path);
        return found === undefined || found === text ? [] : [found];
      });
      if (others.length === 0) return;
      text2 = others[change.other % others.length]!;
    }
    if (text2 === text) return;
    seen.add(`${request.step} ${path.join(".")}`);
    const told = `${request.step} ${path.join(".")} ${JSON.stringify(change)}`;
    const parsed = StepRequest.safeParse({ operation: "step", ...written(request, path, text2) });
    if (!parsed.success) return;
    let result;
    try {
      result = await provider.vault.step(parsed.data);
    } catch (error) {
      assert.ok(error instanceof CodedError, `${told}: ${error}`);
      return;
    }
    // Another status document that was signed is another true one.
    if (path[0] === "status" && change.kind === "exchange") return;
    const { kind } = result.outcome;
    if (kind === "stale") return;
    if (kind === "counted") {
      assert.equal(request.step, "release", told);
      assert.ok(result.backup !== null && "put" in result.backup, `${told}: other bytes are another attempt`);
      return;
    }
    // The same row at another time opens: what it changes then has a tag that the log has had or will have, once. What changes
    // nothing says nothing that the row did not say then.
    if (path.join(".") === "backup.blob" && change.kind === "exchange" && kind === "answer") {
      assert.ok(result.backup === null || result.event!.tag !== null, told);
      assert.ok(!["release", "deposit"].includes(request.step) || result.backup !== null, told);
      return;
    }
    // How many words a seed has is the device's to say.
    if (path.join(".") === "body.words") return;
    assert.equal(kind, "refuse", told);
    assert.equal(result.backup, null, told);
  });
  await fc.assert(property, { numRuns: RUNS, seed: SEED, interruptAfterTimeLimit: TIME_LIMIT_MS });
  assert.ok(seen.size > 15, `${seen.size} fields`);
});
