/**
 * The card's end of SCP03, for the virtual card and for tests. Every failure is one status word, `6988`; the
 * session is over then.
 */

import { concat, equalConstantTime } from "../../base/bytes.ts";
import { aesCbcDecrypt, unpadIso9797M2 } from "../../crypto/aes.ts";
import { AES_BLOCK } from "../../crypto/aes.ts";
import { Secret } from "../../base/secret.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { response, type ResponseApdu } from "../apdu/response.ts";
import {
  CHAINING_LENGTH,
  CLA_SECURE,
  CLA_SECURE_BIT,
  INS_EXTERNAL_AUTHENTICATE,
  isSecurityLevel,
  LEVEL_CENC,
  LEVEL_CMAC,
  LEVEL_RENC,
  LEVEL_RMAC,
  MODE_LENGTH,
  type Scp03Mode,
  type SecurityLevel,
} from "./constants.ts";
import {
  cardCryptogram,
  deriveSessionKeys,
  hostCryptogram,
  type SessionKeys,
  type StaticKeys,
  wipeSessionKeys,
} from "./keys.ts";
import {
  carriesRmac,
  classUnderMac,
  commandMac,
  decryptField,
  encryptField,
  responseMac,
} from "./secure_messaging.ts";

/** Status word of a command that does not unwrap. */
export const SW_UNWRAP_FAILED = 0x6988;

/** What a card session starts from. */
export interface CardSessionOptions {
  /** The key set named in INITIALIZE UPDATE; it stays the caller's. */
  readonly keys: StaticKeys;
  readonly hostChallenge: Uint8Array;
  readonly cardChallenge: Uint8Array;
  readonly mode?: Scp03Mode;
  /**
   * Class under the C-MAC whatever class is on the wire: `84` at the Recovery Key applet, whose commands carry
   * `08`. Absent: the class on the wire.
   */
  readonly macCla?: number;
}

/** One session of the card, from INITIALIZE UPDATE on. */
export class Scp03CardSession {
  readonly #macLength: number;
  readonly #keys: SessionKeys;
  readonly #dek: Secret;
  readonly #hostChallenge: Uint8Array;
  readonly #cardChallenge: Uint8Array;
  readonly #macCla: number | undefined;
  #level: SecurityLevel | undefined;
  #chaining: Uint8Array = new Uint8Array(CHAINING_LENGTH);
  #counter = 0;
  #alive = true;

  /** @throws {CodedError} `SCP03_KEY_LENGTH`, `SCP03_CHALLENGE_LENGTH`. */
  constructor(options: CardSessionOptions) {
    this.#keys = deriveSessionKeys(options.keys, options.hostChallenge, options.cardChallenge);
    this.#dek = new Secret(options.keys.dek.reveal().slice());
    this.#macLength = options.mode === undefined ? options.hostChallenge.length : MODE_LENGTH[options.mode];
    this.#hostChallenge = options.hostChallenge;
    this.#cardChallenge = options.cardChallenge;
    this.#macCla = options.macCla;
  }

  /** The card cryptogram for the INITIALIZE UPDATE answer. */
  get cardCryptogram(): Uint8Array {
    return cardCryptogram(this.#keys.mac, this.#hostChallenge, this.#cardChallenge);
  }

  /** The security level after `verifyExternalAuthenticate`; undefined before. */
  get level(): SecurityLevel | undefined {
    return this.#level;
  }

  /** Whether the host is authenticated and nothing failed since. */
  get alive(): boolean {
    return this.#alive && this.#level !== undefined;
  }

  /**
   * Checks EXTERNAL AUTHENTICATE: header, length, security level, host cryptogram and C-MAC. Which of them was
   * wrong is not told; after a wrong one the session is over.
   */
  verifyExternalAuthenticate(c: CommandApdu): boolean {
    if (!this.#alive || this.#level !== undefined) return false;
    const cryptogram = c.data.subarray(0, this.#macLength);
    const mac = c.data.subarray(this.#macLength);
    const chaining = commandMac(this.#keys.mac, this.#chaining, CLA_SECURE, c, cryptogram, this.#macLength);
    const expected = hostCryptogram(this.#keys.mac, this.#hostChallenge, this.#cardChallenge);
    const rightCryptogram = equalConstantTime(expected, cryptogram);
    const rightMac = equalConstantTime(chaining.subarray(0, this.#macLength), mac);
    const rightHeader = c.ins === INS_EXTERNAL_AUTHENTICATE && c.p2 === 0 &&
      (c.cla & ~0x03) === CLA_SECURE;
    if (!rightCryptogram || !rightMac || !rightHeader || !isSecurityLevel(c.p1)) {
      this.kill();
      return false;
    }
    this.#chaining = chaining;
    this.#level = c.p1;
    return true;
  }

  /**
   * Unwraps a command: the class loses its secure messaging bit, or with `macCla` stays as it is. A command
   * without a right C-MAC ends the session.
   * @returns the plain command, or the status word to answer with.
   */
  unwrap(c: CommandApdu): CommandApdu | { readonly sw: number } {
    if (!this.alive) return { sw: SW_UNWRAP_FAILED };
    const level = this.#level!;
    if ((level & LEVEL_CMAC) === 0) return c;
    const end = c.data.length - this.#macLength;
    if (end < 0) return this.#fail();
    const data = c.data.subarray(0, end);
    const cla = this.#macCla ?? classUnderMac(c.cla);
    const chaining = commandMac(this.#keys.mac, this.#chaining, cla, c, data, this.#macLength);
    if (!equalConstantTime(chaining.subarray(0, this.#macLength), c.data.subarray(end))) return this.#fail();
    this.#chaining = chaining;
    this.#counter++;
    const plainCla = this.#macCla === undefined ? c.cla & ~CLA_SECURE_BIT : c.cla;
    if ((level & LEVEL_CENC) === 0 || end === 0) {
      return command(plainCla, c.ins, c.p1, c.p2, data.slice(), c.le);
    }
    try {
      const plain = unpadIso9797M2(decryptField(this.#keys.enc, this.#counter, "command", data));
      return command(plainCla, c.ins, c.p1, c.p2, plain, c.le);
    } catch {
      return this.#fail();
    }
  }

  /**
   * Wraps the answer to the last unwrapped command. Errors and warnings without data go bare, as the recorded
   * card sends them.
   */
  wrap(r: ResponseApdu): ResponseApdu {
    if (!this.alive || (this.#level! & LEVEL_RMAC) === 0) return r;
    if (!carriesRmac(r.sw, r.data.length > 0)) return response(r.sw);
    const data = (this.#level! & LEVEL_RENC) !== 0 && r.data.length > 0
      ? encryptField(this.#keys.enc, this.#counter, "response", r.data)
      : r.data;
    const mac = responseMac(this.#keys.rmac, this.#chaining, data, r.sw).subarray(0, this.#macLength);
    return response(r.sw, concat(data, mac));
  }

  /**
   * Decrypts key material of PUT KEY with the static DEK. Amd D, 6.2.8.
   * @throws {CodedError} `CRYPTO_LENGTH` unless whole blocks.
   */
  decryptWithDek(data: Uint8Array): Uint8Array {
    return aesCbcDecrypt(this.#dek.reveal(), new Uint8Array(AES_BLOCK), data);
  }

  #fail(): { readonly sw: number } {
    this.kill();
    return { sw: SW_UNWRAP_FAILED };
  }

  /** Ends the session and wipes its keys. */
  kill(): void {
    this.#alive = false;
    wipeSessionKeys(this.#keys);
    this.#dek.wipe();
    this.#chaining.fill(0);
  }
}
