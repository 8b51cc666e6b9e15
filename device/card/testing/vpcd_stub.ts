/** vpcd's side of the protocol in a few lines: a reader for one card, without polling. For tests. */

import { concat, readUint, writeUint } from "shared/base/bytes.ts";

/** A card that has connected. */
export interface StubCard {
  /** Sends a message without waiting for an answer. */
  control(byte: number): Promise<void>;
  /** Asks for the ATR. Null: the card went away. */
  atr(): Promise<Uint8Array | null>;
  /** Sends an APDU. Null: the card went away before it answered. */
  transmit(command: Uint8Array): Promise<Uint8Array | null>;
  /** Settles when the card has closed the connection; only when nothing else is being read. */
  gone(): Promise<boolean>;
  close(): void;
}

/** A listening reader. */
export interface StubReader {
  readonly port: number;
  /** The next card that connects, powered on. */
  card(): Promise<StubCard>;
  close(): void;
}

/** Listens on a free port of the loopback. */
export function listenAsVpcd(port = 0): StubReader {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async card() {
      const card = stubCard(await listener.accept());
      await card.control(1);
      return card;
    },
    close: () => listener.close(),
  };
}

function stubCard(connection: Deno.Conn): StubCard {
  const send = async (payload: Uint8Array) => {
    await connection.write(concat(writeUint(payload.length, 2), payload));
  };
  const readExactly = async (length: number): Promise<Uint8Array | null> => {
    const bytes = new Uint8Array(length);
    for (let have = 0; have < length;) {
      const read = await connection.read(bytes.subarray(have)).catch(() => null);
      if (read === null) return null;
      have += read;
    }
    return bytes;
  };
  const receive = async (): Promise<Uint8Array | null> => {
    const length = await readExactly(2);
    return length === null ? null : await readExactly(readUint(length));
  };
  const ask = async (payload: Uint8Array): Promise<Uint8Array | null> => {
    try {
      await send(payload);
    } catch {
      return null;
    }
    return await receive();
  };
  return {
    control: (byte) => send(Uint8Array.of(byte)),
    atr: () => ask(Uint8Array.of(4)),
    transmit: ask,
    gone: async () => await readExactly(1) === null,
    close: () => {
      try {
        connection.close();
      } catch {
        // Closed by the card.
      }
    },
  };
}
