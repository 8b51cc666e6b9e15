/** What `rk bench gateway` needs beside Deno. Only this benchmark asks for it; tests and demo do without. */

import { CodedError } from "shared/base/errors.ts";
import { type Component, ensureComponents, installLine, program } from "../components.ts";
import { exists } from "../paths.ts";
import "./gateway_subjects.ts";

const PEERS: readonly Component[] = [
  {
    name: "nginx",
    purpose: "a gateway beside ours, and everybody's upstream",
    packages: ["nginx-light"],
    present: () => program("nginx"),
  },
  {
    name: "haproxy",
    purpose: "a gateway beside ours",
    packages: ["haproxy"],
    present: () => program("haproxy"),
  },
  { name: "caddy", purpose: "a gateway beside ours", packages: ["caddy"], present: () => program("caddy") },
  {
    name: "compiler",
    purpose: "builds the load generator",
    packages: ["gcc", "libc6-dev", "libssl-dev"],
    present: async () => await program("cc") && await exists("/usr/include/openssl/ssl.h"),
  },
];

/** Installs what is missing where it may. @throws {CodedError} `BENCH_GATEWAY` with the line that would install it. */
export async function ensureGatewayPeers(tell: (line: string) => void): Promise<void> {
  const missing = await ensureComponents(tell, PEERS);
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name).join(", ");
  throw new CodedError("BENCH_GATEWAY", `Cannot measure without ${names}. Install: ${installLine(missing)}`);
}
