import assert from "node:assert/strict";
import { fromHex, readUint } from "shared/base/bytes.ts";
import { openVirtualReaders } from "shared/transport/virtual_reader/service.ts";
import { FAULT_KINDS } from "./fault_plan.ts";
import { listenAsVpcd } from "./testing/vpcd_stub.ts";
import { VirtualCard } from "./virtual_card.ts";
import { attachToVpcd, type VpcdEvent } from "./vpcd.ts";

const INITIALIZE_UPDATE = fromHex("8050000008010203040506070800");
const counterOf = (answer: Uint8Array | null) => readUint(answer!.subarray(-5, -2));

Deno.test("attachToVpcd() pulls the card as each fault kind says, and brings it back", async () => {
  for (const kind of FAULT_KINDS) {
    const reader = listenAsVpcd();
    const stop = new AbortController();
    const events: VpcdEvent[] = [];
    const attachment = attachToVpcd(await VirtualCard.open(), {
      host: "127.0.0.1",
      port: reader.port,
      signal: stop.signal,
      faultPlan: [{ kind, index: 1 }],
      awayMs: 0,
      onEvent: (event) => events.push(event),
    });
    const first = await reader.card();
    assert.equal(counterOf(await first.transmit(INITIALIZE_UPDATE)), 1);
    const answer = await first.transmit(INITIALIZE_UPDATE);
    if (kind === "after-answer") assert.equal(counterOf(answer), 2);
    else assert.equal(answer, null);
    assert.equal(await first.gone(), true, "the card left the reader");
    const second = await reader.card();
    assert.equal(counterOf(await second.transmit(INITIALIZE_UPDATE)), kind === "before" ? 2 : 3, kind);
    stop.abort();
    await attachment.done;
    assert.equal(attachment.stats.apdus, 3);
    assert.deepEqual(events.filter((one) => one.event === "fault"), [{ event: "fault", kind, index: 1 }]);
    for (const card of [first, second]) card.close();
    reader.close();
  }
});

/** Bytes of a connection until it ends; a reset ends it too. */
async function untilEnd(connection: Deno.Conn): Promise<number[]> {
  const bytes: number[] = [];
  const chunk = new Uint8Array(64);
  for (;;) {
    const read = await connection.read(chunk).catch(() => null);
    if (read === null) return bytes;
    bytes.push(...chunk.subarray(0, read));
  }
}

Deno.test("attachToVpcd() ends a begun length before the card is gone: a part of one kills pcscd", async () => {
  for (const kind of ["before", "after-execution", "taken off"] as const) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const stop = new AbortController();
    const attachment = attachToVpcd(await VirtualCard.open(), {
      host: "127.0.0.1",
      port: listener.addr.port,
      signal: stop.signal,
      faultPlan: kind === "taken off" ? [] : [{ kind, index: 0 }],
      awayMs: 60_000,
    });
    using reader = await listener.accept();
    // As vpcd does: the length alone, which the card answers with the first byte of its own.
    await reader.write(Uint8Array.of(0, INITIALIZE_UPDATE.length));
    const first = new Uint8Array(1);
    assert.equal(await reader.read(first), 1);
    assert.equal(first[0], 0);
    if (kind === "taken off") stop.abort();
    else await reader.write(INITIALIZE_UPDATE);
    assert.deepEqual(await untilEnd(reader), [0], `${kind}: an answer of no bytes`);
    stop.abort();
    await attachment.done;
  }
});

Deno.test("attachToVpcd() loses volatile state at a reset, and waits for a reader that is not there yet", async () => {
  const reader = listenAsVpcd();
  const { port } = reader;
  reader.close();
  const stop = new AbortController();
  let detached = () => {};
  const refused = new Promise<void>((resolve) => detached = resolve);
  const attachment = attachToVpcd(await VirtualCard.open({ preloaded: { package: {}, instance: {} } }), {
    host: "127.0.0.1",
    port,
    signal: stop.signal,
    onEvent: (event) => event.event === "detached" && detached(),
  });
  await refused;
  const late = listenAsVpcd(port);
  const card = await late.card();
  const getAppletStatus = fromHex("08F20000");
  await card.transmit(fromHex("00A404000DA0000000624C45444745523031"));
  assert.equal((await card.transmit(getAppletStatus))!.length, 27);
  await card.control(2);
  assert.deepEqual(await card.transmit(getAppletStatus), fromHex("6E00"), "the ISD is selected again");
  stop.abort();
  await attachment.done;
  card.close();
  late.close();
});

Deno.test("attachToVpcd() puts a card on the station's virtual readers", async () => {
  const readers = await openVirtualReaders({ host: "127.0.0.1", readers: [{ name: "one", port: 0 }] });
  const stop = new AbortController();
  try {
    const [port = 0] = readers.ports();
    const card = await VirtualCard.open();
    const attachment = attachToVpcd(card, { host: "127.0.0.1", port, signal: stop.signal });
    for await (const event of readers.watch(stop.signal)) {
      if (event.kind === "card-inserted") break;
    }
    const channel = await readers.connect("one");
    assert.deepEqual(channel.atr, card.atr);
    assert.equal(counterOf(await channel.transmit(INITIALIZE_UPDATE)), 1);
    await channel.reset();
    assert.equal(counterOf(await channel.transmit(INITIALIZE_UPDATE)), 2);
    await channel.close();
    stop.abort();
    await attachment.done;
  } finally {
    stop.abort();
    await readers.close();
  }
});
