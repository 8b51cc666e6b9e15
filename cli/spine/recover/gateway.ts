/** Recover's part of a gateway's configuration: wallets reach the orchestrators, orchestrators reach each provider's nodes. */

import { orchestratorDocument } from "orchestrator/app/http.ts";
import { nodeDocument } from "providers/app/node_document.ts";
import type { Endpoint } from "../layout.ts";
import { type Both, INSTANCES, PROVIDERS, type RecoverAddresses } from "./layout.ts";

const WALLETS = ["urn:recovery-key:wallet:*"];
const ORCHESTRATORS = ["urn:recovery-key:orchestrator:*"];
/** The orchestrator asks providers within one request of a wallet, so a wallet's may take longer. */
const WALLET_DEADLINE_MS = 30_000;
const PROVIDER_DEADLINE_MS = 15_000;

/** What stands before `/v1` in the paths of a provider. */
export function providerPath(index: number): string {
  return `/provider-${index}`;
}

/** Documents that lie beside a gateway's configuration, by file name. */
export function recoverDocuments(): Readonly<Record<string, object>> {
  return Object.fromEntries([
    [documentOf("orchestrator"), orchestratorDocument()],
    ...PROVIDERS.map((index) => [documentOf(`provider-${index}`), nodeDocument(providerPath(index))]),
  ]);
}

const documentOf = (name: string) => `${name}.openapi.json`;

/** Sections of the configuration, to be added to those of other services. */
export interface GatewaySections {
  readonly apis: Readonly<Record<string, object>>;
  readonly rateLimits: Readonly<Record<string, object>>;
  readonly upstreams: Readonly<Record<string, object>>;
  readonly routes: readonly object[];
}

/** The sections. */
export function recoverSections({ orchestrators, providers }: RecoverAddresses): GatewaySections {
  const names = ["orchestrator", ...PROVIDERS.map((index) => `provider-${index}`)];
  const tls = (name: string) => ({
    authorities: ["../pki/internal.crt"],
    certificate: "upstream.crt",
    key: "upstream.key",
    serverIdentities: [`urn:recovery-key:${name}:*`],
  });
  return {
    apis: Object.fromEntries(names.map((name) => [name, { document: documentOf(name) }])),
    // A backup is about a dozen requests of the wallet, and three at each provider.
    rateLimits: { recover: { quota: 6000, windowSeconds: 60, burst: 600 } },
    upstreams: {
      orchestrator: {
        instances: instancesOf(orchestrators),
        tls: tls("orchestrator"),
      },
      ...Object.fromEntries(PROVIDERS.map((index) => [`provider-${index}`, {
        instances: instancesOf(providers[index].nodes),
        tls: tls(`provider-${index}`),
      }])),
    },
    routes: [
      ...routesOf("orchestrator", "/v1/recover/sessions", ["apdus", "verifications"], {
        identities: WALLETS,
        deadlineMs: WALLET_DEADLINE_MS,
      }),
      ...PROVIDERS.flatMap((index) =>
        routesOf(
          `provider-${index}`,
          `${providerPath(index)}/v1/sessions`,
          ["deposit", "commit", "confirm", "release", "delete", "deletion"],
          { identities: ORCHESTRATORS, deadlineMs: PROVIDER_DEADLINE_MS },
        )
      ),
    ],
  };
}

function instancesOf(both: Both<Endpoint>): object[] {
  return INSTANCES.map((each) => both[each]).map(({ listen, admin }) => ({
    url: `https://${listen}`,
    health: `http://${admin}`,
  }));
}

/** Routes of a service with sessions; every request of theirs may be repeated. */
function routesOf(
  name: string,
  sessions: string,
  steps: readonly string[],
  access: { identities: string[]; deadlineMs: number },
): object[] {
  const route = {
    ...access,
    rateLimit: "recover",
    firewall: { api: name },
    upstream: name,
    repeatWithKey: true,
    priority: "restore",
  };
  const post = { ...route, methods: ["POST"], contentTypes: ["application/json"] };
  return [
    { ...post, name: `${name}-open`, path: sessions },
    ...steps.map((step) => ({ ...post, name: `${name}-${step}`, path: `${sessions}/{session}/${step}` })),
    {
      ...route,
      name: `${name}-session`,
      path: `${sessions}/{session}`,
      methods: name === "orchestrator" ? ["GET", "DELETE"] : ["DELETE"],
    },
  ];
}
