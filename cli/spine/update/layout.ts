/** Where the update service of a local spine is: addresses and folders. */

import type { Endpoint } from "../layout.ts";
import { freePort } from "../ports.ts";

/** Addresses of the update service and of the repository of releases. */
export interface UpdateAddresses {
  readonly service: Endpoint;
  /** `host:port` of the static files. */
  readonly releases: string;
}

/** Fresh addresses. */
export function freeUpdateAddresses(): UpdateAddresses {
  const address = () => `127.0.0.1:${freePort()}`;
  return { service: { listen: address(), admin: address() }, releases: address() };
}

/** Folders that are there before anything starts, below the spine's. */
export const UPDATE_FOLDERS: readonly string[] = [
  "wallet",
  "update/service",
  "update/vault",
  "update/store",
  "update/pipes",
  "update/holders",
];

/** The wallet's configuration, below the spine's folder. */
export const WALLET_UPDATE_FILE = "wallet/update.yaml";
