/**
 * Replays recorded exchanges of the genuine applet against a virtual card, byte for byte. What a card draws at
 * random is taken from the recording through the card's coprocessor port; a recorded signature is accepted only
 * if it verifies over the message that THIS card asked to sign, under the key that it should have used.
 * For tests.
 */

import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { aesCbcDecrypt, unpadIso9797M2 } from "shared/crypto/aes.ts";
import { ecdhPoint, ecdsaVerify, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { type CardCrypto, softwareCardCrypto } from "../crypto.ts";
import type { CardOptions } from "../options.ts";
import { VirtualCard } from "../virtual_card.ts";

/** One row of a recording. */
export interface RecordedExchange {
  readonly step: string;
  readonly note: string;
  readonly sent: string;
  readonly received: string;
  readonly plain_response: string | null;
  readonly scp03_session?: number;
  readonly capsule_session?: number;
}

/** A recording. */
export interface Recording {
  readonly name: string;
  readonly secrets: {
    readonly capsule: readonly {
      readonly host_ephemeral_public: string;
      readonly card_ephemeral_public: string;
      readonly shared_point: string;
      readonly enc_key: string;
    }[];
  };
  readonly exchanges: readonly RecordedExchange[];
}

/** A row whose answer differs. */
export interface ReplayDifference {
  readonly row: number;
  readonly step: string;
  readonly note: string;
  readonly sent: string;
  readonly expected: string;
  readonly actual: string;
}

/** What a replay came to. */
export interface ReplayReport {
  /** Rows sent to the card. */
  rows: number;
  /** Rows answered byte for byte as recorded. */
  equal: number;
  /** Rows whose randomness came from the recording, by what was taken. */
  injected: { keyPairs: number; signaturesVerified: number; challenges: number; ivs: number; points: number };
  differences: ReplayDifference[];
}

/** The recorded card: preloaded, the applet under the ISD, AES-256 keys 11.., 22.., 33... */
export const RECORDED_CARD: CardOptions = {
  cplc: "4790D6004700000000000100524947430001481260014812600148126001524947434812600152494743",
  isdKeys: { version: "30", enc: "11".repeat(32), mac: "22".repeat(32), dek: "33".repeat(32) },
  lifeCycle: "SECURED",
  failedAuthenticationsMax: 65535,
  preloaded: { package: {}, instance: {} },
};

const INS_GET_PUBLIC_KEY = 0x40;
const INS_GET_CARD_CERTIFICATE = 0x52;
const INS_VERIFY_SEED = 0x2a;

/** Coprocessor that gives what the recorded card drew. */
class RecordedCrypto {
  readonly #recording: () => Recording;
  readonly #report: ReplayReport;
  readonly #real = softwareCardCrypto(SYSTEM_RANDOM);
  row: RecordedExchange | null = null;
  #staticKey: Uint8Array | null = null;
  #ephemeralKey: Uint8Array | null = null;

  constructor(recording: () => Recording, report: ReplayReport) {
    this.#recording = recording;
    this.#report = report;
  }

  get #ins(): number {
    return parseInt(this.row?.sent.slice(2, 4) ?? "", 16);
  }

  get #plain(): Uint8Array {
    return fromHex(this.row?.plain_response ?? "");
  }

  readonly port: CardCrypto = {
    random: (length) => {
      if (this.#plain.length === 0) return this.#real.random(length);
      this.#report.injected[length === 8 ? "challenges" : "ivs"]++;
      return this.#plain.slice(1, 1 + length);
    },
    generateKeyPair: () => {
      const own = this.#real.generateKeyPair();
      this.#report.injected.keyPairs++;
      const ephemeral = this.#ins === INS_GET_CARD_CERTIFICATE;
      const publicKey = ephemeral ? this.#plain.slice(10, 75) : this.#plain.slice(1, 66);
      if (ephemeral) this.#ephemeralKey = publicKey;
      else this.#staticKey = publicKey;
      return { privateKey: own.privateKey, publicKey };
    },
    sign: (privateKey, message) => {
      const { signature, key } = this.#recordedSignature(privateKey);
      if (!ecdsaVerify(key, message, signature)) {
        throw new Error("the recorded signature is over something else");
      }
      this.#report.injected.signaturesVerified++;
      return signature;
    },
    sharedPoint: (privateKey, publicKey) => {
      // A key off the curve must be refused by the real computation, not by the recording.
      ecdhPoint(privateKey, publicKey);
      const session = this.#recording().secrets.capsule.find((one) =>
        one.host_ephemeral_public === toHex(publicKey) &&
        one.card_ephemeral_public === toHex(this.#ephemeralKey ?? new Uint8Array(0))
      );
      if (session === undefined) return ecdhPoint(privateKey, publicKey);
      this.#report.injected.points++;
      return fromHex(session.shared_point);
    },
  };

  #recordedSignature(privateKey: Uint8Array): { signature: Uint8Array; key: Uint8Array } {
    const plain = this.#plain;
    if (this.#ins === INS_GET_PUBLIC_KEY) return { signature: plain.slice(72), key: publicKeyOf(privateKey) };
    if (this.#ins === INS_VERIFY_SEED) {
      const { capsule } = this.#recording().secrets;
      for (const { enc_key } of capsule) {
        try {
          const opened = unpadIso9797M2(
            aesCbcDecrypt(fromHex(enc_key), plain.subarray(1, 17), plain.subarray(18, 18 + plain[17]!)),
          );
          if (opened[0] === opened.length - 1) {
            return { signature: opened.slice(1), key: publicKeyOf(privateKey) };
          }
        } catch {
          // Another session's key: the padding does not come out.
        }
      }
      throw new Error("no recorded key opens this answer");
    }
    return { signature: plain.slice(76), key: this.#staticKey! };
  }
}

/**
 * Replays recordings one after the other on one card; NEW CARD takes a new one.
 * @param stopAt most differences to gather.
 */
export async function replay(recordings: readonly Recording[], stopAt = 100): Promise<ReplayReport> {
  const report: ReplayReport = {
    rows: 0,
    equal: 0,
    injected: { keyPairs: 0, signaturesVerified: 0, challenges: 0, ivs: 0, points: 0 },
    differences: [],
  };
  let recording = recordings[0]!;
  const crypto = new RecordedCrypto(() => recording, report);
  const newCard = () => VirtualCard.open({ ...RECORDED_CARD, crypto: crypto.port });
  let card = await newCard();
  card.powerOn();
  for (recording of recordings) {
    for (const [row, exchange] of recording.exchanges.entries()) {
      crypto.row = exchange;
      if (exchange.step === "NEW CARD") card = await newCard();
      if (exchange.sent === "") {
        card.powerOn();
        continue;
      }
      const answer = await card.process(fromHex(exchange.sent));
      report.rows++;
      if (equal(answer, fromHex(exchange.received))) {
        report.equal++;
        continue;
      }
      report.differences.push({
        row,
        step: exchange.step,
        note: exchange.note,
        sent: exchange.sent,
        expected: exchange.received,
        actual: toHex(answer),
      });
      if (report.differences.length >= stopAt) return report;
    }
  }
  return report;
}
