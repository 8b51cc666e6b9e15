/** The update service's part of a gateway's configuration. */

import { releaseDocument } from "factory/app/release_serve_main.ts";
import { updateDocument } from "factory/app/update_routes.ts";
import { UPDATE_BODY_MAX } from "shared/protocol/wire/update.ts";
import type { GatewaySections } from "../recover/gateway.ts";
import type { UpdateAddresses } from "./layout.ts";

const DOCUMENT = "update.openapi.json";
const WALLETS = ["urn:recovery-key:wallet:*"];
const RELEASES_DOCUMENT = "releases.openapi.json";
/** Segment of the path that keeps an update at one instance: `/v1/updates/{update}/...`. */
const UPDATE_SEGMENT = 3;
const ANSWER_MAX = 8 * 1024 * 1024;

/** Documents that lie beside a gateway's configuration, by file name. */
export function updateDocuments(): Readonly<Record<string, object>> {
  return { [DOCUMENT]: updateDocument(), [RELEASES_DOCUMENT]: releaseDocument() };
}

/** Routes of the repository, by name. */
const FILES = [
  ["metadata", "/metadata/{file}"],
  ["targets", "/targets/{product}/{version}/{file}"],
  ["log", "/log/**"],
  ["halt", "/halt.json"],
] as const;

/** The sections. */
export function updateSections({ service, releases }: UpdateAddresses): GatewaySections {
  const upstream = (instance: { url: string; health?: string }, name: string) => ({
    instances: [instance],
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
    apis: { update: { document: DOCUMENT }, releases: { document: RELEASES_DOCUMENT } },
    // An update is about ten requests, and ten files of the repository.
    rateLimits: { updates: { quota: 600, windowSeconds: 60, burst: 100 } },
    upstreams: {
      update: upstream({ url: `https://${service.listen}`, health: `http://${service.admin}` }, "update"),
      releases: upstream({ url: `https://${releases}` }, "releases"),
    },
    routes: [
      post("challenge", "challenge"),
      post("begin", "begin"),
      post("resume", "resume"),
      post("step", "steps/{step}"),
      ...FILES.map(([name, path]) => ({
        name: `releases-${name}`,
        path,
        methods: ["GET"],
        identities: WALLETS,
        rateLimit: "updates",
        firewall: { api: "releases" },
        upstream: "releases",
        maxAnswerBytes: ANSWER_MAX,
      })),
    ],
  };
}
