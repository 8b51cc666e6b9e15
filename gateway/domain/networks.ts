/** Sets of IPv4 and IPv6 networks in CIDR notation: a million of them, and a lookup far below a microsecond. */

import { type AddressWords, readAddress, readIpv4 } from "./address.ts";
import { buildIntervals, type IntervalTable } from "./interval_table.ts";

export { normalAddress } from "./address.ts";

/** A set of networks. */
export interface NetworkSet {
  /** Networks as given. */
  readonly size: number;
  /** Whether an address is in one of them. What is no address is in none. */
  contains(address: string): boolean;
}

/** A network: the first address, and how many bits of it count. */
interface Network {
  readonly words: AddressWords;
  readonly bits: number;
}

// ipaddr.js takes forms such as 0x7f.1/8 that people misread: plain notation only.
const PLAIN = /^[0-9a-fA-F:]+(?:\d{1,3}(?:\.\d{1,3}){3})?$/;

function parseNetwork(text: string): Network | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const [address, length] = [text.slice(0, slash), text.slice(slash + 1)];
  if (!/^(?:0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const bits = Number(length);
  const ipv4 = readIpv4(address);
  if (ipv4 !== undefined) return bits <= 32 ? { words: [ipv4], bits } : undefined;
  if (!PLAIN.test(address) || !address.includes(":")) return undefined;
  const words = readAddress(address);
  if (words === undefined || bits > 128) return undefined;
  if (words.length === 4) return { words, bits };
  // ::ffff:10.0.0.0/104 means 10.0.0.0/8: clients are compared as IPv4. What is wider holds IPv6 addresses too.
  return bits >= 96 ? { words, bits: bits - 96 } : { words: [0, 0, 0xffff, words[0]!], bits };
}

/** Sets (`fill` 0xffffffff) or clears (0) the bits of one word behind the prefix. */
function behindPrefix(word: number, index: number, bits: number, fill: number): number {
  const kept = Math.min(32, Math.max(0, bits - 32 * index));
  const mask = kept === 0 ? 0 : (0xffffffff << (32 - kept)) >>> 0;
  return ((word & mask) | (fill & ~mask)) >>> 0;
}

/** Whether a text is a network: an address with a prefix length, and no bits set behind the prefix. */
export function isNetwork(text: string): boolean {
  const network = parseNetwork(text);
  return network !== undefined &&
    network.words.every((word, i) => behindPrefix(word, i, network.bits, 0) === word >>> 0);
}

/** As `compileNetworks`, as a generator: between its steps others may run. @throws {RangeError} with the malformed network. */
export function* compilingNetworks(networks: Iterable<string>): Generator<void, NetworkSet> {
  const families = [new Collector(1), new Collector(4)] as const;
  let size = 0;
  for (const text of networks) {
    if (size++ % 1_024 === 0) yield;
    const network = parseNetwork(text);
    if (network === undefined || !isNetwork(text)) throw new RangeError(`Cannot read network ${text}`);
    families[network.words.length === 1 ? 0 : 1].add(network);
  }
  const ipv4 = yield* families[0].build();
  const ipv6 = yield* families[1].build();
  return {
    size,
    contains(text) {
      const words = readAddress(text);
      return words !== undefined && (words.length === 1 ? ipv4 : ipv6).contains(words);
    },
  };
}

/** Compiles networks at once. Those that are malformed are the configuration's fault and were refused there. */
export function compileNetworks(networks: Iterable<string>): NetworkSet {
  const steps = compilingNetworks(networks);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Ends of the intervals of one family, in arrays that grow. */
class Collector {
  #starts = new Uint32Array(64);
  #ends = new Uint32Array(64);
  #length = 0;

  constructor(readonly width: number) {}

  add({ words, bits }: Network): void {
    if (this.#length + this.width > this.#starts.length) {
      this.#starts = grown(this.#starts);
      this.#ends = grown(this.#ends);
    }
    for (const [i, word] of words.entries()) {
      this.#starts[this.#length] = word;
      this.#ends[this.#length++] = behindPrefix(word, i, bits, 0xffffffff);
    }
  }

  build(): Generator<void, IntervalTable> {
    return buildIntervals({
      width: this.width,
      starts: this.#starts.subarray(0, this.#length),
      ends: this.#ends.subarray(0, this.#length),
    });
  }
}

function grown(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const next = new Uint32Array(array.length * 2);
  next.set(array);
  return next;
}
