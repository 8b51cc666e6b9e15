import assert from "node:assert/strict";
import { createLogger } from "../../base/log.ts";
import type { ReaderEvent } from "../card_channel.ts";
import { CONTROL, encodeFrame, FrameReader } from "./frames.ts";
import { openVirtualReaders, type VirtualReaderService } from "./service.ts";

const QUIET = createLogger("test", { level: "error", write: () => {} });
const ATR = Uint8Array.of(0x3b, 0x00);
const SELECT = Uint8Array.of(0x00, 0xa4, 0x04, 0x00);

/** The card's end of a connection, by hand. */
class Wire {
  readonly #frames = new FrameReader();
  readonly #read: Uint8Array[] = [];
  constructor(readonly connection: Deno.TcpConn) {}

  static async open(port: number): Promise<Wire> {
    return new Wire(await Deno.connect({ hostname: "127.0.0.1", port }));
  }
  /** The next message, or undefined when the reader hung up. */
  async receive(): Promise<Uint8Array | undefined> {
    const buffer = new Uint8Array(1_024);
    while (this.#read.length === 0) {
      const length = await this.connection.read(buffer).catch(() => null);
      if (length === null) return undefined;
      this.#read.push(...this.#frames.push(buffer.subarray(0, length)));
    }
    return this.#read.shift();
  }
  async send(message: Uint8Array): Promise<void> {
    await this.connection.write(encodeFrame(message));
  }
  /** Answers the reader's greeting. */
  async greet(): Promise<void> {
    assert.deepEqual(await this.receive(), Uint8Array.of(CONTROL.powerOn));
    assert.deepEqual(await this.receive(), Uint8Array.of(CONTROL.atr));
    await this.send(ATR);
  }
}

async function withReader(
  run: (
    service: VirtualReaderService,
    port: number,
    until: (kind: ReaderEvent["kind"]) => Promise<void>,
  ) => Promise<void>,
  timeoutMs = 60_000,
): Promise<void> {
  const service = await openVirtualReaders({ readers: [{ name: "V", port: 0 }], logger: QUIET, timeoutMs });
  const events = service.watch(new AbortController().signal)[Symbol.asyncIterator]();
  try {
    await run(service, service.ports()[0]!, async (kind) => {
      for (;;) {
        const { value, done } = await events.next();
        assert.ok(!done, `no ${kind}`);
        if (value.kind === kind) return;
      }
    });
  } finally {
    await events.return?.();
    await service.close();
  }
}

Deno.test("openVirtualReaders() warns at every start", async () => {
  const lines: string[] = [];
  const logger = createLogger("test", { write: (line) => lines.push(line) });
  await (await openVirtualReaders({ readers: [], logger })).close();
  assert.match(lines.join(), /"level":"warning".*NOT FOR PRODUCTION/);
});

Deno.test("openVirtualReaders() stays on loopback unless told, and says which port is taken", async () => {
  const readers = [{ name: "V", port: 0 }];
  await assert.rejects(openVirtualReaders({ host: "0.0.0.0", readers, logger: QUIET }), {
    code: "VIRTUAL_READER_HOST",
  });
  const service = await openVirtualReaders({ host: "0.0.0.0", allowRemote: true, readers, logger: QUIET });
  const [port] = service.ports();
  const taken = [{ name: "A", port: 0 }, { name: "B", port: port! }];
  await assert.rejects(
    openVirtualReaders({ host: "0.0.0.0", allowRemote: true, readers: taken, logger: QUIET }),
    {
      code: "VIRTUAL_READER_LISTEN",
    },
  );
  await service.close();
});

Deno.test("a virtual card that is late is CARD_TIMEOUT, and cut off", () =>
  withReader(async (service, port, until) => {
    const wire = await Wire.open(port);
    await wire.greet();
    await until("card-inserted");
    const channel = await service.connect("V");
    await assert.rejects(channel.transmit(SELECT), { code: "CARD_TIMEOUT" });
    await assert.rejects(channel.transmit(SELECT), { code: "CARD_REMOVED" });
    await until("card-removed");
    assert.deepEqual(await wire.receive(), SELECT);
    assert.equal(await wire.receive(), undefined);
    wire.connection.close();
    await channel.close();
  }, 200));

Deno.test("a virtual card that speaks unasked is cut off", () =>
  withReader(async (_service, port, until) => {
    const wire = await Wire.open(port);
    await wire.greet();
    await until("card-inserted");
    await wire.send(Uint8Array.of(0x90, 0x00));
    await until("card-removed");
    wire.connection.close();
  }));

Deno.test("a virtual card without an answer to reset is never inserted, and the next one is", () =>
  withReader(async (_service, port, until) => {
    const mute = await Wire.open(port);
    const next = await Wire.open(port);
    assert.deepEqual(await mute.receive(), Uint8Array.of(CONTROL.powerOn));
    mute.connection.close();
    await next.greet();
    await until("card-inserted");
    next.connection.close();
    await until("card-removed");
  }));

Deno.test("the next virtual card waits until the one before has left", () =>
  withReader(async (service, port, until) => {
    const first = await Wire.open(port);
    await first.greet();
    await until("card-inserted");
    const second = await Wire.open(port);
    const channel = await service.connect("V");
    first.connection.close();
    await until("card-removed");
    await second.greet();
    await until("card-inserted");
    await assert.rejects(channel.transmit(SELECT), { code: "CARD_REMOVED" });
    await channel.close();
    const again = await service.connect("V");
    const answer = again.transmit(SELECT);
    assert.deepEqual(await second.receive(), SELECT);
    await second.send(Uint8Array.of(0x90, 0x00));
    assert.deepEqual(await answer, Uint8Array.of(0x90, 0x00));
    second.connection.close();
  }));

Deno.test("close() of the virtual readers ends a command in flight", () =>
  withReader(async (service, port, until) => {
    const wire = await Wire.open(port);
    await wire.greet();
    await until("card-inserted");
    const channel = await service.connect("V");
    const pending = assert.rejects(channel.transmit(SELECT), { code: "CARD_REMOVED" });
    assert.deepEqual(await wire.receive(), SELECT);
    await service.close();
    await pending;
    wire.connection.close();
  }));
