/** The reader that a wallet uses: PC/SC, or a virtual one. */

import { CodedError, codeOf } from "shared/base/errors.ts";
import type { CardChannel, ReaderService } from "shared/transport/card_channel.ts";
import { openPcsc } from "shared/transport/pcsc/service.ts";
import { openVirtualReaders } from "shared/transport/virtual_reader/service.ts";
// For its error rows: the types alone would leave them unregistered.
import "shared/transport/card_channel.ts";
import "./wallet_errors.ts";

/** Which reader. */
export interface ReaderChoice {
  /** Name, or a part of it. */
  readonly reader: string;
  /** `host:port`: a virtual reader, named as `reader`, instead of PC/SC. */
  readonly virtualReaders?: string;
}

/** One reader, held until `close`. */
export interface WalletReader {
  readonly name: string;
  /** Waits until a card lies there and connects. @throws {CodedError} `CARD_ABSENT` when none came. */
  connect(waitMs: number): Promise<CardChannel>;
  close(): Promise<void>;
}

/** Opens the reader of this name, or the only one whose name holds it. @throws {CodedError} `READER_UNKNOWN`. */
export async function openReader(choice: ReaderChoice): Promise<WalletReader> {
  const service = await openReaders(choice);
  try {
    const name = await findReader(service, choice.reader);
    return {
      name,
      async connect(waitMs) {
        await waitForCard(service, name, waitMs);
        return await connectPatiently(service, name);
      },
      close: () => service.close(),
    };
  } catch (error) {
    await service.close();
    throw error;
  }
}

/** A card that was laid down this moment may not answer yet: so often and so long, in milliseconds, it is asked again. */
const CONNECT = { tries: 8, pauseMs: 250 } as const;

async function connectPatiently(service: ReaderService, name: string): Promise<CardChannel> {
  for (let left = CONNECT.tries;; left--) {
    try {
      return await service.connect(name);
    } catch (error) {
      if (left <= 1 || codeOf(error) !== "CARD_NO_ANSWER") throw error;
      await new Promise((resolve) => setTimeout(resolve, CONNECT.pauseMs));
    }
  }
}

async function openReaders({ reader, virtualReaders }: ReaderChoice): Promise<ReaderService> {
  if (virtualReaders === undefined) return await openPcsc();
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(virtualReaders) ?? [];
  if (host === undefined) throw new CodedError("WALLET_USAGE", "Cannot open virtual reader: give HOST:PORT");
  return await openVirtualReaders({ host, readers: [{ name: reader, port: Number(port) }] });
}

async function findReader(service: ReaderService, name: string): Promise<string> {
  const connected = await service.readers();
  if (connected.includes(name)) return name;
  const alike = connected.filter((reader) => reader.toLowerCase().includes(name.toLowerCase()));
  if (alike.length === 1) return alike[0]!;
  throw new CodedError(
    "READER_UNKNOWN",
    `Cannot use reader ${name}: connected are ${connected.join(", ") || "none"}`,
  );
}

/** Waits until a card lies on the reader; `connect` says so when none came. */
async function waitForCard(service: ReaderService, reader: string, waitMs: number): Promise<void> {
  const found = new AbortController();
  const timer = setTimeout(() => found.abort(), waitMs);
  try {
    for await (const event of service.watch(found.signal)) {
      if (event.kind === "card-inserted" && event.reader === reader) return;
    }
  } finally {
    clearTimeout(timer);
    found.abort();
  }
}
