/** What became of the cards: asked of each card, of a wallet, and of the database. Nothing that a station said is believed. */

import { toHex } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { Sql } from "shared/transport/postgres/database.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { getStatusCommand } from "shared/protocol/recovery_key/commands.ts";
import { parseStatus } from "shared/protocol/recovery_key/status.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import type { VirtualCard } from "device/card/virtual_card.ts";
import { genuineCheck } from "device/wallet/genuine_check.ts";
import type { WalletTrust } from "device/wallet/trust.ts";

/** A card, asked. */
export interface AskedCard {
  /** 4 bytes of hex, as the applet reports it; null: no applet, or it has no serial. */
  readonly serial: string | null;
  readonly lifeCycle: number | null;
  readonly transient: number | null;
  /** SHA-256 (hex) of the certificate that a wallet found genuine. */
  readonly certificateSha256: string | null;
  /** Why a wallet refuses it; null when it is genuine. */
  readonly refused: string | null;
}

/** Asks a card for its state, and has a wallet check it with full mutual authentication. */
export async function askCard(card: VirtualCard, trust: WalletTrust): Promise<AskedCard> {
  const channel = openInProcessChannel(card);
  try {
    return await askChannel(channel, trust);
  } finally {
    await channel.close();
  }
}

/** The same of a card on any channel. */
export async function askChannel(channel: CardChannel, trust: WalletTrust): Promise<AskedCard> {
  const send = (bytes: Uint8Array) => channel.transmit(bytes);
  let state: Pick<AskedCard, "serial" | "lifeCycle" | "transient"> = {
    serial: null,
    lifeCycle: null,
    transient: null,
  };
  if ((await transceive(send, selectCommand(trust.appletAid))).sw === SW.OK) {
    const { serial, lifeCycle, transient } = parseStatus((await transceive(send, getStatusCommand())).data);
    state = { serial: toHex(serial), lifeCycle, transient };
  }
  try {
    const genuine = await genuineCheck({ channel, trust, random: SYSTEM_RANDOM });
    return { ...state, certificateSha256: genuine.certificateSha256, refused: null };
  } catch (error) {
    return { ...state, certificateSha256: null, refused: codeOf(error) };
  }
}

/** A serial as the database has it. */
export interface Row {
  /** 4 bytes of hex. */
  readonly serial: string;
  readonly state: string;
  readonly cplc: string | null;
  /** SHA-256 of each certificate that is not revoked. */
  readonly live: readonly string[];
  /** Outcome and reason of its closure; null: it has none. */
  readonly outcome: string | null;
  readonly reason: string | null;
}

/** Every serial of a batch, and the serials that the batch has given out in all. */
export async function readBatchRows(sql: Sql, batch: string): Promise<{ rows: Row[]; given: number }> {
  const found = await sql<
    {
      serial: bigint;
      state: string;
      cplc: string | null;
      live: string | null;
      outcome: string | null;
      reason: string | null;
    }[]
  >`
    SELECT r.serial, r.state, r.cplc, c.outcome, c.reason,
      (SELECT string_agg(sha256, ',') FROM certificates WHERE reservation = r.id AND revoked_at IS NULL) AS live
    FROM reservations r LEFT JOIN closures c ON c.reservation = r.id
    WHERE r.batch = ${batch} ORDER BY r.serial`;
  const [range] = await sql<{ first_serial: bigint; next_serial: bigint }[]>`
    SELECT first_serial, next_serial FROM batches WHERE name = ${batch}`;
  return {
    rows: found.map(({ serial, live, ...row }) => ({
      ...row,
      serial: serial.toString(16).toUpperCase().padStart(8, "0"),
      live: live?.split(",") ?? [],
    })),
    given: Number(range!.next_serial - range!.first_serial),
  };
}

/** States in which a serial is accounted for. */
const ACCOUNTED = new Set(["good", "scrapped", "missing"]);
/** What a card that left the factory in order reports. */
const ATTESTED = { lifeCycle: 2, transient: 1 } as const;

/** What does not agree. Each line names the card and both sides. */
export interface Audit {
  readonly attested: number;
  readonly scrapped: number;
  /** Cards that are neither. */
  readonly stuck: string[];
  /** Serials that were given out and that nobody accounts for, or that the database lost. */
  readonly serialsLost: string[];
  /** Serials that two cards have, or cards with two serials or two live certificates. */
  readonly serialsDoubled: string[];
  /** Cards and database say different things. */
  readonly disagreements: string[];
}

/** A card with its chip and a name for messages. */
export interface AuditedCard {
  readonly name: string;
  /** CPLC, 42 bytes of hex. */
  readonly cplc: string;
  readonly asked: AskedCard;
}

/** Compares the cards with the database. */
export function audit(
  cards: readonly AuditedCard[],
  { rows, given }: { rows: readonly Row[]; given: number },
): Audit {
  const stuck: string[] = [];
  const disagreements: string[] = [];
  const serialsDoubled: string[] = [];
  const bySerial = new Map<string, string>();
  /** Serials that some card accounts for. */
  const claimed = new Set<string>();
  let attested = 0;
  let scrapped = 0;
  for (const { name, cplc, asked } of cards) {
    // A garbled CPLC is taken down as it came: the card is then found by the serial that it proves.
    const own = rows.filter((row) => row.cplc === cplc || (proves(asked) && row.serial === asked.serial));
    for (const { serial } of own) claimed.add(serial);
    const good = own.filter(({ state }) => state === "good");
    if (good.length > 1) serialsDoubled.push(`${name} has serials ${good.map(({ serial }) => serial)}`);
    if (asked.serial !== null && proves(asked)) {
      const other = bySerial.get(asked.serial);
      if (other !== undefined) serialsDoubled.push(`${name} and ${other} both have serial ${asked.serial}`);
      bySerial.set(asked.serial, name);
    }
    const [row] = good;
    if (row !== undefined) {
      const right = proves(asked) && asked.serial === row.serial &&
        asked.lifeCycle === ATTESTED.lifeCycle && asked.transient === ATTESTED.transient;
      if (!right) {
        disagreements.push(`${name}: recorded good as ${row.serial}, the card says ${JSON.stringify(asked)}`);
      } else if (row.live.length !== 1 || row.live[0] !== asked.certificateSha256) {
        disagreements.push(`${name}: live certificates ${row.live}, the card has ${asked.certificateSha256}`);
      } else attested++;
    } else if (own.some(({ state }) => state === "scrapped")) {
      if (own.some(({ live }) => live.length > 0)) {
        disagreements.push(`${name}: scrapped with a live certificate`);
      } else scrapped++;
    } else {stuck.push(`${name}: ${
        own.map(({ state }) => state).join() || "unknown"
      }, ${JSON.stringify(asked)}`);}
  }
  for (const [serial, count] of countBy(rows.map((row) => row.serial))) {
    if (count > 1) serialsDoubled.push(`${serial} stands ${count} times in the database`);
  }
  const serialsLost = rows
    .filter(({ state, serial }) => !ACCOUNTED.has(state) || !claimed.has(serial))
    .map(({ serial, state }) =>
      `serial ${serial} is ${state}${claimed.has(serial) ? "" : ", and no card has it"}`
    );
  if (given !== rows.length) serialsLost.push(`${given} were given out, ${rows.length} are on record`);
  return { attested, scrapped, stuck, serialsLost, serialsDoubled, disagreements };
}

/** Whether the card has shown that it has its certificate's key. */
function proves(asked: AskedCard): boolean {
  return asked.refused === null;
}

function countBy(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
