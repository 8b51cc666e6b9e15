/** The update service's part of a gateway's configuration. */

import { updateDocument } from "factory/app/update_routes.ts";
import { UPDATE_BODY_MAX } from "shared/protocol/wire/update.ts";
import type { GatewaySections } from "../recover/gateway.ts";
import type { UpdateAddresses } from "./layout.ts";

const DOCUMENT = "update.openapi.json";
const WALLETS = ["urn:recovery-key:wallet:*"];
/** What stands before the repository's own paths. */
export const RELEASES_PATH = "/releases";
/** Segment of the path that keeps an update at one instance: `/v1/updates/{update}/...`. */
const UPDATE_SEGMENT = 3;
const ANSWER_MAX = 8 * 1024 * 1024;

/** Documents that lie beside a gateway's configuration, by file name. */
export function updateDocuments(): Readonly<Record<string, object>> {
  return { [DOCUMENT]: updateDocument() };
}

/** The sections. */
export function updateSections({ service, releases }: UpdateAddresses): GatewaySections {
  const upstream = ({ listen, admin }: UpdateAddresses["service"], name: string) => ({
    instances: [{ url: `https://${listen}`, health: `http://${admin}` }],
    tls: {
      authorities: ["../pki/internal.crt"],
      certificate: "upstream.crt",
      key: "upstream.key",
      serverIdentities: [`urn:recovery-key:${name}:*`],
    },
  });
  const post = (name: string, path: string) => ({
    name: `update-${name}`,
    path: `/v1/updates/{update}/${path}`,
    methods: ["POST"],
    ...(name === "challenge" ? {} : { contentTypes: ["application/json"] }),
    identities: WALLETS,
    rateLimit: "updates",
    firewall: { api: "update" },
    upstream: "update",
    affinity: { segment: UPDATE_SEGMENT },
    maxBodyBytes: UPDATE_BODY_MAX,
    repeatWithKey: true,
  });
  return {
    apis: { update: { document: DOCUMENT } },
    // An update is about ten requests, and ten files of the repository.
    rateLimits: { updates: { quota: 600, windowSeconds: 60, burst: 100 } },
    upstreams: { update: upstream(service, "update"), releases: upstream(releases, "releases") },
    routes: [
      post("challenge", "challenge"),
      post("begin", "begin"),
      post("resume", "resume"),
      post("step", "steps/{step}"),
      {
        name: "releases",
        path: `${RELEASES_PATH}/**`,
        methods: ["GET"],
        identities: WALLETS,
        rateLimit: "updates",
        upstream: "releases",
        maxAnswerBytes: ANSWER_MAX,
      },
    ],
  };
}
