/**
 * The card's side of vpcd, the virtual reader driver of pcscd: a TCP connection with messages of a 2-byte
 * big-endian length. A message of one byte is control; anything longer is an APDU.
 */

import { concat, readUint, writeUint } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import type { FaultKind } from "./fault_plan.ts";
import { Presentation, type PresentationOptions, type PresentationStats } from "./presentation.ts";
import type { VirtualCard } from "./virtual_card.ts";

/** Control bytes. Platform page, PC/SC. */
const CONTROL = { OFF: 0, ON: 1, RESET: 2, ATR: 4 } as const;
/** Time a pulled card stays away: pcscd polls presence and must see it gone. Platform page: at least 1.2 s. */
export const AWAY_MS = 1500;
/** Wait before another attempt to connect, doubled from the first to the last. */
const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 1000;

/** What happens to an attached card. */
export type VpcdEvent =
  | { readonly event: "attached" }
  /** The reader closed the connection, or never took it; `retryMs` until the next attempt. */
  | { readonly event: "detached"; readonly retryMs: number }
  | { readonly event: "power"; readonly state: "on" | "off" | "reset" }
  | { readonly event: "apdu"; readonly index: number; readonly cardMs: number }
  | { readonly event: "fault"; readonly kind: FaultKind; readonly index: number }
  /** The card's own memory failed: it stays silent and leaves. */
  | { readonly event: "card-failed"; readonly code: string };

/** Where and how a card is attached. */
export interface VpcdOptions extends PresentationOptions {
  readonly host: string;
  readonly port: number;
  /** Takes the card away for good. */
  readonly signal: AbortSignal;
  readonly onEvent?: (event: VpcdEvent) => void;
  /** Time a pulled card stays away, in milliseconds. Default `AWAY_MS`; less is for readers that do not poll. */
  readonly awayMs?: number;
}

/** An attached card. */
export interface VpcdAttachment {
  /** APDUs and the card's own time since it was attached. */
  readonly stats: Readonly<PresentationStats>;
  /** Settles when the signal has aborted and the connection is closed. Never rejects for a lost reader. */
  readonly done: Promise<void>;
}

/**
 * Puts a card on a vpcd reader and keeps it there: a reader that goes away (pcscd restarts) is tried again until
 * the signal aborts.
 */
export function attachToVpcd(card: VirtualCard, options: VpcdOptions): VpcdAttachment {
  const presentation = new Presentation(card, options);
  return { stats: presentation.stats, done: stayAttached(presentation, options) };
}

async function stayAttached(presentation: Presentation, options: VpcdOptions): Promise<void> {
  const { signal, onEvent = () => {} } = options;
  let retryMs = RETRY_FIRST_MS;
  while (!signal.aborted) {
    let outcome: "pulled" | "lost" = "lost";
    let connection: Deno.TcpConn | undefined;
    try {
      connection = await Deno.connect({ hostname: options.host, port: options.port });
      connection.setNoDelay(true);
      if (signal.aborted) break;
      onEvent({ event: "attached" });
      retryMs = RETRY_FIRST_MS;
      outcome = await serve(connection, presentation, signal, onEvent);
    } catch (error) {
      if (!isConnectionError(error)) {
        onEvent({ event: "card-failed", code: codeOf(error) });
        throw error;
      }
    } finally {
      closeQuietly(connection);
      presentation.card.powerOff();
    }
    if (signal.aborted) break;
    const waitMs = outcome === "pulled" ? options.awayMs ?? AWAY_MS : retryMs;
    if (outcome === "lost") {
      onEvent({ event: "detached", retryMs });
      retryMs = Math.min(2 * retryMs, RETRY_LAST_MS);
    }
    await pause(waitMs, signal);
  }
}

/** Speaks with one reader until it, the plan or the signal ends it. */
async function serve(
  connection: Deno.TcpConn,
  presentation: Presentation,
  signal: AbortSignal,
  onEvent: (event: VpcdEvent) => void,
): Promise<"pulled" | "lost"> {
  const early = new EarlyAnswer(connection);
  const close = () => void early.giveUp().finally(() => closeQuietly(connection));
  signal.addEventListener("abort", close);
  try {
    const messages = new MessageReader(connection, (length) => early.begin(length));
    for (let message = await messages.next(); message !== null; message = await messages.next()) {
      if (message.length === 0) continue;
      if (message.length === 1) {
        await control(connection, presentation.card, message[0]!, onEvent);
        continue;
      }
      const rest = early.continued(message);
      if (rest) {
        await early.send(rest);
        continue;
      }
      const index = presentation.stats.apdus;
      const before = presentation.stats.cardMs;
      // A reader that never sent "on" (or a card that was reset by a fault) still expects a working card.
      if (!presentation.card.powered) presentation.card.powerOn();
      const presented = await presentation.transmit(message);
      if (presented.kind === "removed") {
        onEvent({ event: "fault", kind: presented.fault, index });
        return "pulled";
      }
      await early.send(presented.answer);
      onEvent({ event: "apdu", index, cardMs: presentation.stats.cardMs - before });
      if (presented.removed) {
        onEvent({ event: "fault", kind: "after-answer", index });
        return "pulled";
      }
    }
    return "lost";
  } finally {
    signal.removeEventListener("abort", close);
    await early.giveUp();
  }
}

async function control(
  connection: Deno.TcpConn,
  card: VirtualCard,
  byte: number,
  onEvent: (event: VpcdEvent) => void,
): Promise<void> {
  if (byte === CONTROL.ATR) return await send(connection, card.atr);
  if (byte === CONTROL.OFF) {
    card.powerOff();
    onEvent({ event: "power", state: "off" });
  } else if (byte === CONTROL.ON || byte === CONTROL.RESET) {
    card.powerOn();
    onEvent({ event: "power", state: byte === CONTROL.ON ? "on" : "reset" });
  }
}

async function send(connection: Deno.TcpConn, payload: Uint8Array): Promise<void> {
  await write(connection, concat(writeUint(payload.length, 2), payload));
}

async function write(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await connection.write(bytes.subarray(written));
}

/** Longest answer whose length begins with a zero byte. */
const EARLY_MAX = 255;
/** Data bytes of the first part of an answer that is longer. */
const FIRST_PART = EARLY_MAX - 2;

/**
 * Begins an answer as soon as a command's length has arrived without its body. vpcd writes the two apart, with Nagle's
 * algorithm on, so the body leaves only when the length is acknowledged, and our system delays that by 40 ms unless there
 * is something to send: the first byte of the answer's length, which is zero. An answer that turns out longer is cut, and
 * its rest fetched with GET RESPONSE (ISO/IEC 7816-4, 5.3.4), as T=0 has it.
 */
class EarlyAnswer {
  readonly #connection: Deno.TcpConn;
  #begun = false;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Called with the length of a command whose body is not there yet. */
  async begin(length: number): Promise<void> {
    if (length < 4) return;
    this.#begun = true;
    await this.#connection.write(Uint8Array.of(0));
  }

  /**
   * Ends a begun length before the connection is closed: an answer of no bytes, which a reader takes for a card that is gone.
   * QUIRK(vpcd 0.8): one byte of a length and then the end makes it copy from nowhere, and pcscd dies.
   */
  async giveUp(): Promise<void> {
    if (!this.#begun) return;
    this.#begun = false;
    await this.#connection.write(Uint8Array.of(0)).catch(() => {});
  }

  /** The rest of a cut answer, when this command asks for it. */
  continued(command: Uint8Array): Uint8Array | undefined {
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    const asks = rest.length > 0 && command[0] === 0x00 && command[1] === 0xc0 && command.length === 5;
    return asks ? rest : undefined;
  }

  /** Sends an answer, the begun length completed. */
  async send(answer: Uint8Array): Promise<void> {
    if (!this.#begun) return await send(this.#connection, answer);
    this.#begun = false;
    let part = answer;
    if (answer.length > EARLY_MAX) {
      this.#rest = answer.slice(FIRST_PART);
      const left = this.#rest.length - 2;
      part = concat(answer.subarray(0, FIRST_PART), Uint8Array.of(0x61, left > 255 ? 0 : left));
    }
    await write(this.#connection, concat(Uint8Array.of(part.length), part));
  }
}

/** Cuts the stream into messages. */
class MessageReader {
  readonly #connection: Deno.TcpConn;
  readonly #onLength: (length: number) => Promise<void>;
  #pending: Uint8Array = new Uint8Array(0);
  readonly #chunk = new Uint8Array(4096);

  /** @param onLength told once of each message whose length came without all of its body. */
  constructor(connection: Deno.TcpConn, onLength: (length: number) => Promise<void>) {
    this.#connection = connection;
    this.#onLength = onLength;
  }

  /** The next message, or null when the peer has closed. */
  async next(): Promise<Uint8Array | null> {
    let told = false;
    for (;;) {
      if (this.#pending.length >= 2) {
        const end = 2 + readUint(this.#pending.subarray(0, 2));
        if (this.#pending.length >= end) {
          const message = this.#pending.slice(2, end);
          this.#pending = this.#pending.slice(end);
          return message;
        }
        if (!told) await this.#onLength(end - 2);
        told = true;
      }
      const read = await this.#connection.read(this.#chunk);
      if (read === null) return null;
      this.#pending = concat(this.#pending, this.#chunk.subarray(0, read));
    }
  }
}

function isConnectionError(error: unknown): boolean {
  const { errors } = Deno;
  return [
    errors.ConnectionRefused,
    errors.ConnectionReset,
    errors.ConnectionAborted,
    errors.BrokenPipe,
    errors.BadResource,
    errors.Interrupted,
    errors.NotConnected,
    errors.TimedOut,
    errors.UnexpectedEof,
  ].some((kind) => error instanceof kind);
}

function closeQuietly(connection: Deno.TcpConn | undefined): void {
  try {
    connection?.close();
  } catch {
    // Closed already by the other of the two that may.
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
