/**
 * Where the parts of a local spine are: folders below one directory, addresses on the loopback interface. The standard
 * values are those of the permission sets in deno.json; a spine with other ports and folders exchanges them.
 */

import { HOME } from "../home.ts";
import { freePort } from "./ports.ts";

/** The instances of a spine, each with the address that it serves and that of its administration listener. */
export interface SpineAddresses {
  readonly gatewayA: Endpoint;
  readonly gatewayB: Endpoint;
  readonly attestationA: Endpoint;
  readonly attestationB: Endpoint;
  /** The embedded database, `host:port`. */
  readonly database: string;
}

/** Addresses of one instance, `host:port`. */
export interface Endpoint {
  readonly listen: string;
  readonly admin: string;
}

/** Addresses of the standard local deployment, as deno.json's permission sets write them (instance A). */
export const STANDARD: SpineAddresses = {
  gatewayA: { listen: "127.0.0.1:8441", admin: "127.0.0.1:8541" },
  gatewayB: { listen: "127.0.0.1:8442", admin: "127.0.0.1:8542" },
  attestationA: { listen: "127.0.0.1:8451", admin: "127.0.0.1:8551" },
  attestationB: { listen: "127.0.0.1:8452", admin: "127.0.0.1:8552" },
  database: "127.0.0.1:8461",
};

/** Address of the standard deployment's revocation lists, as the gateway's permission set writes it; a spine has files. */
export const STANDARD_REVOCATION = "127.0.0.1:8495";

/** Address of the standard deployment's limit store, as the gateway's permission set writes it; a spine counts in memory. */
export const STANDARD_LIMIT_STORE = "127.0.0.1:8499";

/** Address of the standard deployment's span collector, as the gateway's permission set writes it; a spine has none. */
export const STANDARD_TRACING = "127.0.0.1:4318";

/** Address of the standard deployment's orchestrator, as the gateway's permission set writes it; providers' nodes beside it. */
export const STANDARD_RECOVER = "127.0.0.1:8453";

/** Standard folder of a spine, as deno.json's permission sets write it. */
export const STANDARD_FOLDER = ".rk/spine";

/** The default spine of this machine. */
export const DEFAULT_SPINE = `${HOME}/spine`;

/** Folders of a spine that exist before its processes start. */
export const SPINE_FOLDERS = [
  "pki",
  "gateway-a",
  "gateway-b",
  "attestation-a",
  "attestation-b",
  "hsm",
  "database",
  "station",
  "batch-manager",
  "cards",
  "event-logs",
  "logs",
] as const;

/** Fresh addresses for a spine of its own. */
export function freeAddresses(): SpineAddresses {
  const address = () => `127.0.0.1:${freePort()}`;
  const endpoint = () => ({ listen: address(), admin: address() });
  return {
    gatewayA: endpoint(),
    gatewayB: endpoint(),
    attestationA: endpoint(),
    attestationB: endpoint(),
    database: address(),
  };
}

/** The port of `host:port`. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}
