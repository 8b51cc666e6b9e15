/** The host's end of SCP03: handshake, wrapping of commands, unwrapping of answers. No I/O; see secure_channel.ts. */

import { concat, equalConstantTime } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AES_BLOCK, aesCbcEncrypt, unpadIso9797M2 } from "../../crypto/aes.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { response, type ResponseApdu } from "../apdu/response.ts";
import {
  CHAINING_LENGTH,
  CLA_PLAIN,
  CLA_SECURE,
  INS_EXTERNAL_AUTHENTICATE,
  INS_INITIALIZE_UPDATE,
  isSecurityLevel,
  LEVEL_CENC,
  LEVEL_CMAC,
  LEVEL_RENC,
  LEVEL_RMAC,
  type SecurityLevel,
} from "./constants.ts";
import { type InitializeUpdateAnswer } from "./initialize_update.ts";
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
  plainDataMax,
  responseMac,
  secureClass,
} from "./secure_messaging.ts";
import "./errors.ts";

export { type InitializeUpdateAnswer, parseInitializeUpdate } from "./initialize_update.ts";

/** How a command is put on the wire. */
export interface WrapOptions {
  /** Class on the wire where it differs: the Recovery Key applet wants `08`, with the MAC over `84`. */
  readonly wireCla?: number;
}

/** What a wrapped command still takes of the answer, in bytes: Le 256. */
const LE_ALL = 256;

/**
 * INITIALIZE UPDATE.
 * @param keyVersion 0 for the card's first key set.
 * @param hostChallenge 8 fresh random bytes (S8) or 16 (S16).
 */
export function startHandshake(
  { keyVersion, hostChallenge }: { keyVersion: number; hostChallenge: Uint8Array },
): { command: CommandApdu } {
  return { command: command(CLA_PLAIN, INS_INITIALIZE_UPDATE, keyVersion, 0x00, hostChallenge, LE_ALL) };
}

/**
 * Checks the card's cryptogram, and only then makes the session and EXTERNAL AUTHENTICATE.
 * The static keys stay the caller's; the session copies the DEK.
 * @throws {CodedError} `SCP03_CARD_CRYPTOGRAM` (nothing may be sent then), `SCP03_LEVEL`, `SCP03_KEY_LENGTH`,
 * `SCP03_CHALLENGE_LENGTH`.
 */
export function finishHandshake(
  { parsed, hostChallenge, keys, level }: {
    parsed: InitializeUpdateAnswer;
    hostChallenge: Uint8Array;
    keys: StaticKeys;
    level: SecurityLevel;
  },
): { session: Scp03HostSession; externalAuthenticate: CommandApdu } {
  if (!isSecurityLevel(level)) {
    throw new CodedError("SCP03_LEVEL", "Cannot open channel: there is no such security level");
  }
  const sessionKeys = deriveSessionKeys(keys, hostChallenge, parsed.cardChallenge);
  const expected = cardCryptogram(sessionKeys.mac, hostChallenge, parsed.cardChallenge);
  if (!equalConstantTime(expected, parsed.cardCryptogram)) {
    wipeSessionKeys(sessionKeys);
    throw new CodedError("SCP03_CARD_CRYPTOGRAM", "Cannot open channel: the card does not have these keys");
  }
  const cryptogram = hostCryptogram(sessionKeys.mac, hostChallenge, parsed.cardChallenge);
  const session = new Scp03HostSession(level, parsed.s16 ? 16 : 8, sessionKeys, keys.dek);
  return { session, externalAuthenticate: session.authenticate(cryptogram) };
}

/** An authenticated session of the host. One command at a time: `wrap`, send, `unwrap`. */
export class Scp03HostSession {
  /** Security level asked for in EXTERNAL AUTHENTICATE. */
  readonly level: SecurityLevel;
  readonly #macLength: number;
  readonly #keys: SessionKeys;
  readonly #dek: Secret;
  #chaining: Uint8Array = new Uint8Array(CHAINING_LENGTH);
  #counter = 0;
  #alive = true;

  /** Used by `finishHandshake`. Takes ownership of the session keys. */
  constructor(level: SecurityLevel, macLength: 8 | 16, keys: SessionKeys, dek: Secret) {
    this.level = level;
    this.#macLength = macLength;
    this.#keys = keys;
    this.#dek = new Secret(dek.reveal().slice());
  }

  /** Whether commands can still be wrapped. */
  get alive(): boolean {
    return this.#alive;
  }

  /** Used by `finishHandshake`: EXTERNAL AUTHENTICATE, whose C-MAC starts the chain. Amd D, 7.1.2. */
  authenticate(cryptogram: Uint8Array): CommandApdu {
    const header = { ins: INS_EXTERNAL_AUTHENTICATE, p1: this.level, p2: 0x00 };
    const mac = this.#chain(CLA_SECURE, header, cryptogram);
    return command(CLA_SECURE, header.ins, header.p1, header.p2, concat(cryptogram, mac));
  }

  #chain(cla: number, header: Pick<CommandApdu, "ins" | "p1" | "p2">, data: Uint8Array): Uint8Array {
    this.#chaining = commandMac(this.#keys.mac, this.#chaining, cla, header, data, this.#macLength);
    return this.#chaining.subarray(0, this.#macLength);
  }

  /**
   * Wraps a command: encrypts its data (level bit `02`), appends the C-MAC (bit `01`), keeps Le. Counter and
   * chaining value move even when the command is never sent, so send every wrapped command once.
   * @param options `wireCla: 0x08` for the Recovery Key applet.
   * @throws {CodedError} `SCP03_DEAD`, `SCP03_TOO_LONG` and `SCP03_CLASS` (the session stays usable).
   */
  wrap(c: CommandApdu, options: WrapOptions = {}): CommandApdu {
    if (!this.#alive) throw new CodedError("SCP03_DEAD", "Cannot wrap command: the secure channel has ended");
    if ((this.level & LEVEL_CMAC) === 0) {
      return options.wireCla === undefined ? c : { ...c, cla: options.wireCla };
    }
    const encrypts = (this.level & LEVEL_CENC) !== 0;
    if (c.data.length > plainDataMax(encrypts, this.#macLength)) {
      throw new CodedError("SCP03_TOO_LONG", `Cannot wrap command: ${c.data.length} data bytes do not fit`);
    }
    const wireCla = options.wireCla ?? secureClass(c.cla);
    const macCla = options.wireCla === undefined ? classUnderMac(wireCla) : CLA_SECURE;
    this.#counter++;
    const data = encrypts && c.data.length > 0
      ? encryptField(this.#keys.enc, this.#counter, "command", c.data)
      : c.data;
    const mac = this.#chain(macCla, c, data);
    return command(wireCla, c.ins, c.p1, c.p2, concat(data, mac), c.le);
  }

  /**
   * Unwraps the answer to the last wrapped command. Errors and bare warnings pass without R-MAC, and without any
   * data: nothing vouches for it.
   * @throws {CodedError} `SCP03_RMAC_MISSING`, `SCP03_RMAC_WRONG`, `SCP03_DECRYPTION`: the session is then dead.
   * `SCP03_DEAD`.
   */
  unwrap(r: ResponseApdu): ResponseApdu {
    if (!this.#alive) throw new CodedError("SCP03_DEAD", "Cannot read answer: the secure channel has ended");
    if ((this.level & LEVEL_RMAC) === 0) return r;
    if (!carriesRmac(r.sw, r.data.length > 0)) return response(r.sw);
    const end = r.data.length - this.#macLength;
    if (end < 0) throw this.#fail("SCP03_RMAC_MISSING", "Cannot accept answer: it carries no MAC");
    const data = r.data.subarray(0, end);
    const mac = responseMac(this.#keys.rmac, this.#chaining, data, r.sw).subarray(0, this.#macLength);
    if (!equalConstantTime(mac, r.data.subarray(end))) {
      throw this.#fail("SCP03_RMAC_WRONG", "Cannot accept answer: its MAC is wrong");
    }
    if ((this.level & LEVEL_RENC) === 0 || end === 0) return response(r.sw, data.slice());
    try {
      return response(r.sw, unpadIso9797M2(decryptField(this.#keys.enc, this.#counter, "response", data)));
    } catch {
      throw this.#fail("SCP03_DECRYPTION", "Cannot accept answer: it does not decrypt");
    }
  }

  #fail(code: string, message: string): CodedError {
    this.kill();
    return new CodedError(code, message);
  }

  /**
   * Encrypts key material with the static DEK, AES-CBC with a zero ICV. Amd D, 6.2.8.
   * @param data whole blocks of 16 bytes: the caller pads.
   * @throws {CodedError} `SCP03_DEK_LENGTH`, `SCP03_DEAD`.
   */
  encryptWithDek(data: Uint8Array): Uint8Array {
    if (!this.#alive) throw new CodedError("SCP03_DEAD", "Cannot encrypt key: the secure channel has ended");
    if (data.length === 0 || data.length % AES_BLOCK !== 0) {
      throw new CodedError(
        "SCP03_DEK_LENGTH",
        `Cannot encrypt key: ${data.length} bytes are no whole blocks`,
      );
    }
    return aesCbcEncrypt(this.#dek.reveal(), new Uint8Array(AES_BLOCK), data);
  }

  /** Ends the session and wipes its keys. */
  kill(): void {
    this.#alive = false;
    wipeSessionKeys(this.#keys);
    this.#dek.wipe();
    this.#chaining.fill(0);
  }
}
