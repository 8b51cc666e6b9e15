/** What every `ReaderService` must do, whatever is behind it. Each adapter's test calls this with its own environment. */

import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { command, encodeCommand } from "shared/protocol/apdu/command.ts";
import type { CardChannel, ReaderService } from "shared/transport/card_channel.ts";
import { measureTransmit } from "shared/transport/pcsc/benchmark.ts";
import { EventLog } from "./event_log.ts";
import { STUB, StubCard } from "./stub_card.ts";

/** A service with two readers, and the ports at which cards attach to them. */
export interface ReaderEnvironment extends AsyncDisposable {
  readonly service: ReaderService;
  readonly readers: readonly [VirtualSlot, VirtualSlot];
}

/** An environment whose service can be taken away and brought back. */
export interface OutageEnvironment extends ReaderEnvironment {
  readonly outage: { kill(): Promise<void>; restart(): Promise<void> };
}

/** A reader by name, with the port of its slot. */
export interface VirtualSlot {
  readonly name: string;
  readonly port: number;
}

const OK = [0x90, 0x00];
const send = (channel: CardChannel, ins: number, p1 = 0, data?: Uint8Array, le?: number, p2 = 0) =>
  channel.transmit(encodeCommand(command(0x00, ins, p1, p2, data, le)));
const coded = (code: string) => (error: unknown) => {
  assert.ok(error instanceof CodedError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

/** Registers the tests. */
export function testReaderService(label: string, open: () => Promise<ReaderEnvironment>): void {
  const test = (name: string, run: (environment: ReaderEnvironment) => Promise<void>) =>
    Deno.test(`ReaderService (${label}) ${name}`, async () => {
      await using environment = await open();
      await run(environment);
    });

  test("readers() names the readers", async ({ service, readers }) => {
    assert.deepEqual(new Set(await service.readers()), new Set(readers.map(({ name }) => name)));
  });

  test("watch() begins with the present state and reports insertion and removal", async ({ service, readers }) => {
    const [first, second] = readers;
    await using log = new EventLog(service);
    await log.until("reader-added", first.name);
    await log.until("reader-added", second.name);
    const card = await StubCard.insert(first.port, 7);
    const inserted = await log.until("card-inserted", first.name);
    assert.deepEqual(log.events[inserted - 1], { kind: "card-inserted", reader: first.name, atr: card.atr });
    {
      await using late = new EventLog(service);
      await late.until("card-inserted", first.name);
      await late.until("reader-added", second.name);
      assert.deepEqual(late.at(first.name), ["reader-added", "card-inserted"]);
    }
    await card.pull();
    const removed = await log.until("card-removed", first.name, inserted);
    await using _again = await StubCard.insert(first.port, 8);
    await log.until("card-inserted", first.name, removed);
    assert.deepEqual(log.at(first.name), ["reader-added", "card-inserted", "card-removed", "card-inserted"]);
    assert.deepEqual(log.at(second.name), ["reader-added"]);
  });

  test("watch() ends when its signal aborts, also before it began", async ({ service, readers }) => {
    const stop = new AbortController();
    const iterator = service.watch(stop.signal)[Symbol.asyncIterator]();
    for (const _ of readers) assert.equal((await iterator.next()).value?.kind, "reader-added");
    const pending = iterator.next();
    stop.abort();
    assert.deepEqual(await pending, { done: true, value: undefined });
    assert.equal((await service.watch(stop.signal)[Symbol.asyncIterator]().next()).done, true);
  });

  test("watch() ends when a loop is left and when a pending next() is abandoned", async ({ service, readers }) => {
    for await (const event of service.watch(new AbortController().signal)) {
      assert.equal(event.kind, "reader-added");
      break;
    }
    const iterator = service.watch(new AbortController().signal)[Symbol.asyncIterator]();
    for (const _ of readers) await iterator.next();
    const pending = iterator.next();
    await iterator.return?.();
    assert.equal((await pending).done, true);
  });

  test("close() ends watches and connections", async ({ service, readers: [first] }) => {
    await using _card = await insert(service, first);
    const channel = await service.connect(first.name);
    await using log = new EventLog(service);
    await log.until("card-inserted", first.name);
    await service.close();
    await service.close();
    await assert.rejects(send(channel, STUB.select), CodedError);
    await assert.rejects(service.connect(first.name), coded("PCSC_UNAVAILABLE"));
    await channel.close();
  });

  test("connect() refuses by code", async ({ service, readers: [first] }) => {
    await assert.rejects(service.connect("No such reader"), coded("READER_UNKNOWN"));
    await assert.rejects(service.connect(first.name), coded("CARD_ABSENT"));
    await using _card = await insert(service, first);
    const channel = await service.connect(first.name);
    await assert.rejects(service.connect(first.name), coded("CARD_BUSY"));
    await channel.close();
    await channel.close();
    const next = await service.connect(first.name);
    await next.close();
  });

  test("transmit() carries short and extended APDUs", async ({ service, readers: [first] }) => {
    await using card = await insert(service, first, 9);
    const channel = await service.connect(first.name);
    assert.deepEqual(channel.atr, card.atr);
    assert.deepEqual([...await send(channel, STUB.select, 4)], [9, ...OK]);
    for (const length of [1, 255, 256, 4_000, 32_000]) {
      const data = crypto.getRandomValues(new Uint8Array(length));
      const answer = await send(channel, STUB.echo, 0, data, length);
      assert.deepEqual(answer.subarray(0, -2), data);
      assert.deepEqual([...answer.subarray(-2)], OK);
    }
    const filled = await send(channel, STUB.fill, 0xff, undefined, 65_536, 0x00);
    assert.equal(filled.length, 0xff00 + 2);
    // What the caller does to its bytes afterwards changes nothing.
    const bytes = encodeCommand(command(0, STUB.echo, 0, 0, Uint8Array.of(1, 2, 3), 3));
    const answer = channel.transmit(bytes);
    bytes.fill(0);
    assert.deepEqual([...await answer], [1, 2, 3, ...OK]);
    await channel.close();
  });

  test("transmit() refuses what is no APDU, a second in flight, and a closed channel", async (environment) => {
    const { service, readers: [first] } = environment;
    await using _card = await insert(service, first);
    const channel = await service.connect(first.name);
    await assert.rejects(channel.transmit(Uint8Array.of(4)), coded("CARD_COMMAND_LENGTH"));
    await assert.rejects(channel.transmit(new Uint8Array(65_545)), coded("CARD_COMMAND_LENGTH"));
    const slow = send(channel, STUB.wait, 10);
    await assert.rejects(send(channel, STUB.select), coded("CARD_IN_FLIGHT"));
    assert.deepEqual([...await slow], OK);
    assert.deepEqual([...await send(channel, STUB.select)], [1, ...OK]);
    await channel.close();
    await assert.rejects(send(channel, STUB.select), coded("CARD_CHANNEL_CLOSED"));
    await assert.rejects(channel.reset(), coded("CARD_CHANNEL_CLOSED"));
  });

  test("transmit() says CARD_REMOVED when the card is pulled in mid-command", async ({ service, readers: [first] }) => {
    const card = await insert(service, first);
    const channel = await service.connect(first.name);
    await assert.rejects(send(channel, STUB.leave), coded("CARD_REMOVED"));
    await assert.rejects(send(channel, STUB.select), coded("CARD_REMOVED"));
    await channel.close();
    await card.pull();
    await absent(service, first);
    await assert.rejects(service.connect(first.name), coded("CARD_ABSENT"));
    await using _next = await insert(service, first, 2);
    const again = await service.connect(first.name);
    assert.deepEqual([...await send(again, STUB.select)], [2, ...OK]);
    await again.close();
  });

  test("reset() and close() end the card's sessions", async ({ service, readers: [first] }) => {
    await using card = await insert(service, first);
    let channel = await service.connect(first.name);
    await send(channel, STUB.openSession);
    assert.deepEqual([...await send(channel, STUB.session)], [1, ...OK]);
    await channel.reset();
    assert.deepEqual(channel.atr, card.atr);
    assert.deepEqual([...await send(channel, STUB.session)], [0, ...OK]);
    await send(channel, STUB.openSession);
    await channel.close();
    channel = await service.connect(first.name);
    assert.deepEqual([...await send(channel, STUB.session)], [0, ...OK]);
    await channel.close();
  });

  test("two readers and the event loop do not wait for a slow card", async ({ service, readers }) => {
    const [first, second] = readers;
    await using _slow = await insert(service, first, 1);
    await using _quick = await insert(service, second, 2);
    const [slow, quick] = [await service.connect(first.name), await service.connect(second.name)];
    let ticks = 0;
    let slowDone = false;
    const timer = setInterval(() => ticks++, 10);
    const waiting = send(slow, STUB.wait, 200).then((answer) => {
      slowDone = true;
      return answer;
    });
    for (let i = 0; i < 5; i++) assert.deepEqual([...await send(quick, STUB.select)], [2, ...OK]);
    assert.equal(slowDone, false, "five exchanges on one reader while the other's card takes 2 s");
    assert.deepEqual([...await waiting], OK);
    clearInterval(timer);
    assert.ok(ticks >= 20, `${ticks} ticks of 10 ms in 2 s`);
    await slow.close();
    await quick.close();
  });

  test("measureTransmit() measures", async ({ service, readers: [first] }) => {
    await using _card = await insert(service, first);
    const channel = await service.connect(first.name);
    const times = await measureTransmit(channel, { rounds: 20 });
    assert.ok(times.p50 > 0 && times.p50 <= times.p99);
    await channel.close();
  });
}

/** Registers the tests of adapters whose service is another process. */
export function testOutage(label: string, open: () => Promise<OutageEnvironment>): void {
  Deno.test(`ReaderService (${label}) watch() survives an outage of the service`, async () => {
    await using environment = await open();
    const { service, readers: [first], outage } = environment;
    const card = await insert(service, first, 3);
    const channel = await service.connect(first.name);
    await using log = new EventLog(service);
    await log.until("card-inserted", first.name);
    const slow = assert.rejects(send(channel, STUB.wait, 255), coded("PCSC_UNAVAILABLE"));
    slow.catch(() => {}); // awaited below
    await outage.kill();
    const lost = await log.until("service-lost");
    await slow;
    await assert.rejects(service.readers(), coded("PCSC_UNAVAILABLE"));
    await assert.rejects(service.connect(first.name), coded("PCSC_UNAVAILABLE"));
    await assert.rejects(send(channel, STUB.select), CodedError);
    await channel.close();
    await card.pull();
    await using down = new EventLog(service); // a watch that begins while the service is away
    await down.until("service-lost");
    await outage.restart();
    await log.until("reader-added", first.name, await log.until("service-restored", undefined, lost));
    await down.until("reader-added", first.name, await down.until("service-restored"));
    assert.equal(log.events.filter(({ kind }) => kind === "service-lost").length, 1);
    await using _card = await StubCard.insert(first.port, 4);
    await log.until("card-inserted", first.name, lost);
    const again = await service.connect(first.name);
    assert.deepEqual([...await send(again, STUB.select)], [4, ...OK]);
    await again.close();
  });
}

/** Puts a card on a reader and waits until the service knows. */
async function insert(service: ReaderService, slot: VirtualSlot, identifier = 1): Promise<StubCard> {
  const card = await StubCard.insert(slot.port, identifier);
  await using log = new EventLog(service);
  await log.until("card-inserted", slot.name);
  return card;
}

/** Waits until the service sees no card in a reader. */
async function absent(service: ReaderService, slot: VirtualSlot): Promise<void> {
  for await (const event of service.watch(AbortSignal.timeout(30_000))) {
    if (event.kind === "card-removed" && event.reader === slot.name) return;
    if (event.kind === "reader-added" && event.reader === slot.name) {
      const error = await service.connect(slot.name).then((channel) => channel.close(), (error) => error);
      if (error instanceof CodedError && error.code === "CARD_ABSENT") return;
    }
  }
  throw new Error(`the card on ${slot.name} did not leave`);
}
