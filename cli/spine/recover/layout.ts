/** Where Recover's parts of a local spine are: names, folders and addresses. */

import type { Endpoint } from "../layout.ts";
import { freePort } from "../ports.ts";

/** Instances of a service: two of each, so that one may fail. */
export const INSTANCES = ["a", "b"] as const;
/** One of {@link INSTANCES}. */
export type Instance = (typeof INSTANCES)[number];

/** The three backup providers, in the order of their shares' indexes. */
export const PROVIDERS = [1, 2, 3] as const;
/** One of {@link PROVIDERS}. */
export type ProviderIndex = (typeof PROVIDERS)[number];

/** Both instances of something. */
export type Both<T> = Readonly<Record<Instance, T>>;

/** Addresses of one provider. */
export interface ProviderAddresses {
  readonly nodes: Both<Endpoint>;
  /** Its own embedded database, `host:port`. */
  readonly database: string;
  /** The page of the identity verifier that it trusts, `host:port`. */
  readonly verifier: string;
}

/** Addresses of Recover's services. */
export interface RecoverAddresses {
  readonly orchestrators: Both<Endpoint>;
  /** The orchestrators' embedded database. */
  readonly database: string;
  readonly providers: Readonly<Record<ProviderIndex, ProviderAddresses>>;
}

/** Fresh addresses. */
export function freeRecoverAddresses(): RecoverAddresses {
  const address = () => `127.0.0.1:${freePort()}`;
  const endpoint = () => ({ listen: address(), admin: address() });
  const provider = () => ({
    nodes: { a: endpoint(), b: endpoint() },
    database: address(),
    verifier: address(),
  });
  return {
    orchestrators: { a: endpoint(), b: endpoint() },
    database: address(),
    providers: { 1: provider(), 2: provider(), 3: provider() },
  };
}

/** Folder of a provider, below the spine's: nothing of another provider is in it. */
export function providerFolder(folder: string, index: ProviderIndex): string {
  return `${folder}/recover/provider-${index}`;
}

/** Folder of a provider's identity verifier: another company's, so not within the provider's. */
export function verifierFolder(folder: string, index: ProviderIndex): string {
  return `${folder}/recover/verifier-${index}`;
}

/** Name of a provider, as devices show it. */
export function providerName(index: ProviderIndex): string {
  return `Backup ${index}`;
}

/** Folders that are there before anything starts, below the spine's. */
export const RECOVER_FOLDERS: readonly string[] = [
  "wallet",
  "recover/orchestrator/hsm",
  "recover/orchestrator/database",
  ...PROVIDERS.flatMap((index) =>
    ["hsm", "database", "pipes-a", "pipes-b"].map((name) => `recover/provider-${index}/${name}`)
  ),
  ...PROVIDERS.map((index) => `recover/verifier-${index}/keys`),
];

/** What reaches the services: a wallet's configuration and the maker of virtual devices, below the spine's folder. */
export const COMPANION_FILE = "wallet/companion.yaml";
/** See {@link COMPANION_FILE}. */
export const MAKER_FILE = "wallet/maker.json";
