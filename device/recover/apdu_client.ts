/** A program's end of APDUs over TCP (the framing of apdu_server.ts): one command at a time. */

import { concat, readUint, writeUint } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";

const LENGTH_BYTES = 4;
const STATUS_BYTES = 2;
/** Longest answer without its status word, in bytes. */
const ANSWER_MAX = 65_536;

/** A connection to a device. */
export class ApduClient implements Disposable {
  readonly #connection: Deno.Conn;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Connects. @throws {CodedError} `DEVICE_UNREACHABLE`. */
  static async connect(address: { hostname: string; port: number }): Promise<ApduClient> {
    try {
      return new ApduClient(await Deno.connect(address));
    } catch (error) {
      const where = `${address.hostname}:${address.port}`;
      throw new CodedError("DEVICE_UNREACHABLE", `Cannot reach device at ${where}`, {}, error);
    }
  }

  /** Sends a command. @returns data and status word. @throws {CodedError} `DEVICE_UNREACHABLE` when the device leaves. */
  async exchange(apdu: Uint8Array): Promise<Uint8Array> {
    try {
      const frame = concat(writeUint(apdu.length, LENGTH_BYTES), apdu);
      for (let written = 0; written < frame.length;) {
        written += await this.#connection.write(frame.subarray(written));
      }
      const length = readUint(await this.#read(LENGTH_BYTES));
      if (length > ANSWER_MAX) throw new Error("its answer is too long");
      return await this.#read(length + STATUS_BYTES);
    } catch (error) {
      throw new CodedError("DEVICE_UNREACHABLE", "Cannot go on: the device left", {}, error);
    }
  }

  async #read(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const read = await this.#connection.read(bytes.subarray(at));
      if (read === null) throw new Error("the connection ended");
      at += read;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

defineErrors({
  DEVICE_UNREACHABLE: {
    fault: "service",
    retry: false,
    next:
      "Start the device (`rk wallet serve --apdu-port N`) and let no other program hold it; then begin again.",
  },
});
