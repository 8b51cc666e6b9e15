/** The readers of a station: PC/SC, or virtual ones for demonstrations and tests. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { ReaderService } from "shared/transport/card_channel.ts";
import { openPcsc } from "shared/transport/pcsc/service.ts";
import { openVirtualReaders } from "shared/transport/virtual_reader/service.ts";
import "shared/transport/card_channel.ts";

/** A virtual reader and the address that its card connects to. */
export interface VirtualReaderAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Readers, and where virtual ones listen. */
export interface OpenReaders {
  readonly service: ReaderService;
  readonly virtual: readonly VirtualReaderAddress[];
}

/**
 * Opens the readers.
 * @param virtual `host:port,host:port,...` of one host, port 0 for any free one; absent: PC/SC.
 * @throws {CodedError} `STATION_USAGE`, and those of the reader services.
 */
export async function openReaders(virtual: string | undefined): Promise<OpenReaders> {
  if (virtual === undefined) return { service: await openPcsc(), virtual: [] };
  const addresses = virtual.split(",").map((text) => {
    const [, host, digits] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text.trim()) ?? [];
    const port = Number(digits);
    if (host === undefined || !(port <= 65535)) {
      throw new CodedError("STATION_USAGE", `Cannot open virtual reader ${text}: it is not HOST:PORT`);
    }
    return { host, port };
  });
  const host = addresses[0]!.host;
  if (addresses.some((address) => address.host !== host)) {
    throw new CodedError("STATION_USAGE", "Cannot open virtual readers: they listen on one host");
  }
  const readers = addresses.map(({ port }, i) => ({ name: `Virtual Reader ${i + 1}`, port }));
  const service = await openVirtualReaders({ host, readers });
  const ports = service.ports();
  return { service, virtual: readers.map(({ name }, i) => ({ name, host, port: ports[i]! })) };
}

/**
 * The readers that were asked for, by name or by a part of it that only one has.
 * @throws {CodedError} `READER_UNKNOWN`.
 */
export function chooseReaders(connected: readonly string[], asked: readonly string[]): string[] {
  return asked.map((name) => {
    if (connected.includes(name)) return name;
    const alike = connected.filter((reader) => reader.toLowerCase().includes(name.toLowerCase()));
    if (alike.length === 1) return alike[0]!;
    throw new CodedError(
      "READER_UNKNOWN",
      alike.length === 0
        ? `Cannot use reader ${name}: connected are ${connected.join(", ") || "none"}`
        : `Cannot use reader ${name}: it can be ${alike.join(" or ")}`,
    );
  });
}

defineErrors({
  STATION_USAGE: { fault: "usage", retry: false, next: "`rk help station run` tells what the options take." },
});
