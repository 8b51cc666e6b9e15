/** Certificates of the update service and of a wallet, in a local spine. */

import { type Leaf, LOOPBACK, urn } from "../pki.ts";

/** The leaves. The service is a client of the gateways too: it fetches the list of revoked cards. */
export function updateLeaves(): Leaf[] {
  const server = (file: string, kind: string): Leaf => ({
    authority: "internal",
    file,
    name: `${kind} a`,
    options: { ...LOOPBACK, uris: [urn(kind, "a")], usages: ["server"] },
  });
  return [
    server("update/service/server", "update"),
    server("update/releases", "releases"),
    {
      authority: "client",
      file: "update/service/client",
      name: "update a",
      options: { uris: [urn("update", "a")], usages: ["client"] },
    },
    {
      authority: "client",
      file: "wallet/update",
      name: "wallet local",
      options: { uris: [urn("wallet", "local")], usages: ["client"] },
    },
  ];
}
