/** Sets of IPv4 and IPv6 networks in CIDR notation. */

import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A set of networks. */
export interface NetworkSet {
  readonly size: number;
  /** Whether an address is in one of them. What is no address is in none. */
  contains(address: string): boolean;
}

/** Whether a text is a network: an address with a prefix length, and no bits set behind the prefix. */
export function isNetwork(text: string): boolean {
  const parsed = parseNetwork(text);
  if (parsed === undefined) return false;
  const [address, bits] = parsed;
  const family = address.kind() === "ipv4" ? ipaddr.IPv4 : ipaddr.IPv6;
  return family.networkAddressFromCIDR(`${address.toString()}/${bits}`).toString() === address.toString();
}

function parseNetwork(text: string): [Address, number] | undefined {
  // ipaddr.js takes forms such as 0x7f.1/8 that people misread: plain notation only.
  const plain = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]+(?:\d{1,3}(?:\.\d{1,3}){3})?)\/\d{1,3}$/;
  if (!plain.test(text)) return undefined;
  try {
    return ipaddr.parseCIDR(text);
  } catch {
    return undefined;
  }
}

/** The address in its own family: an IPv4 client on a dual-stack socket shows as `::ffff:a.b.c.d`. */
function parseAddress(text: string): Address | undefined {
  const bare = text.split("%")[0]!;
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) return undefined;
  return ipaddr.process(bare);
}

/** The address as it is logged and counted: IPv4 without the IPv6 wrapping. */
export function normalAddress(text: string): string {
  return parseAddress(text)?.toString() ?? text;
}

/** Compiles networks. Those that are malformed are the configuration's fault and were refused there. */
export function compileNetworks(networks: readonly string[]): NetworkSet {
  const parsed = networks.map((text) => {
    const network = parseNetwork(text);
    if (network === undefined) throw new RangeError(`Cannot read network ${text}`);
    const [address, bits] = network;
    // ::ffff:10.0.0.0/104 means 10.0.0.0/8: clients are compared as IPv4.
    if (address.kind() === "ipv6" && (address as ipaddr.IPv6).isIPv4MappedAddress() && bits >= 96) {
      return [(address as ipaddr.IPv6).toIPv4Address(), bits - 96] as [Address, number];
    }
    return network;
  });
  return {
    size: parsed.length,
    contains(text) {
      const address = parseAddress(text);
      if (address === undefined) return false;
      return parsed.some(([network, bits]) =>
        network.kind() === address.kind() && address.match([network, bits] as [ipaddr.IPv4, number])
      );
    },
  };
}
