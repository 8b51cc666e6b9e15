/** Addresses as ready lines and canaries name them. */

/** `host:port`, an IPv6 host in brackets. */
export function authorityOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address by which a process reaches its own listener. */
export function ownAddress(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return address === "::" ? "::1" : address;
}
