/** Certificates of Recover's services and of a wallet, in a local spine. */

import { type Leaf, LOOPBACK, urn } from "../pki.ts";
import { INSTANCES, PROVIDERS } from "./layout.ts";

/** Name of the wallet of a local spine. */
export const LOCAL_WALLET = "local";

/** The leaves. The orchestrators are clients of the gateways in front of the providers, under one name. */
export function recoverLeaves(): Leaf[] {
  const server = (file: string, kind: string, name: string): Leaf => ({
    authority: "internal",
    file,
    name: `${kind} ${name}`,
    options: { ...LOOPBACK, uris: [urn(kind, name)], usages: ["server"] },
  });
  const client = (file: string, kind: string, name: string): Leaf => ({
    authority: "client",
    file,
    name: `${kind} ${name}`,
    options: { uris: [urn(kind, name)], usages: ["client"] },
  });
  return [
    ...INSTANCES.map((each) => server(`recover/orchestrator/server-${each}`, "orchestrator", each)),
    ...PROVIDERS.flatMap((index) =>
      INSTANCES.map((each) => server(`recover/provider-${index}/server-${each}`, `provider-${index}`, each))
    ),
    client("recover/orchestrator/client", "orchestrator", "local"),
    client("wallet/tls", "wallet", LOCAL_WALLET),
  ];
}
