/** What may follow what in a Recover session on the device (spec/recover.md, section 2), as tables. */

import { type Flow, flow } from "shared/base/flow.ts";

/** Where the channel to the host is. */
export type ChannelState = "closed" | "started" | "host-named" | "keyed" | "device-named" | "proven" | "open";
/** The outer APDUs. */
export type ChannelEvent =
  | "target"
  | "start"
  | "host-static"
  | "host-ephemeral"
  | "device-static"
  | "device-ephemeral"
  | "done"
  | "sealed";

const BEGIN = { target: "closed", start: "started" } as const;

/** A new start ends whatever was there. */
export const CHANNEL_FLOW: Flow<ChannelState, ChannelEvent> = flow<ChannelState, ChannelEvent>({
  closed: BEGIN,
  started: { ...BEGIN, "host-static": "host-named" },
  "host-named": { ...BEGIN, "host-ephemeral": "keyed" },
  keyed: { ...BEGIN, "device-static": "device-named" },
  "device-named": { ...BEGIN, "device-ephemeral": "proven" },
  proven: { ...BEGIN, done: "open" },
  open: { ...BEGIN, sealed: "open" },
});

/** Where the channel to the present provider is. */
export type ProviderState =
  | "none"
  | "named"
  | "introduced"
  | "keyed"
  | "bound"
  | "share-given"
  | "commitments-given"
  | "auxiliary-given"
  | "share-checked"
  | "commitments-told"
  | "share-told"
  | "told"
  | "finished";
/** The sealed commands that concern a provider. */
export type ProviderEvent =
  | "provider-static"
  | "provider-ephemeral"
  | "mutual-authentication"
  | "confirm-identity"
  | "validate-hash"
  | "get-share"
  | "get-commitments"
  | "get-auxiliary-point"
  | "validate-commitments"
  | "validate-share-commitment"
  | "validate-values"
  | "restore"
  | "delete";

const NEXT_PROVIDER = { "provider-static": "named" } as const;

/** Backup goes left from `bound`, restore right, deletion straight on. A new provider may come at any time. */
export const PROVIDER_FLOW: Flow<ProviderState, ProviderEvent> = flow<ProviderState, ProviderEvent>({
  none: NEXT_PROVIDER,
  named: { ...NEXT_PROVIDER, "provider-ephemeral": "introduced" },
  introduced: { ...NEXT_PROVIDER, "mutual-authentication": "keyed" },
  keyed: { ...NEXT_PROVIDER, "confirm-identity": "keyed", "validate-hash": "bound" },
  bound: {
    ...NEXT_PROVIDER,
    "get-share": "share-given",
    "validate-commitments": "commitments-told",
    delete: "finished",
  },
  "share-given": { ...NEXT_PROVIDER, "get-commitments": "commitments-given" },
  "commitments-given": { ...NEXT_PROVIDER, "get-auxiliary-point": "auxiliary-given" },
  "auxiliary-given": { ...NEXT_PROVIDER, "validate-share-commitment": "share-checked" },
  "share-checked": { ...NEXT_PROVIDER, "validate-values": "finished" },
  "commitments-told": { ...NEXT_PROVIDER, "validate-share-commitment": "share-told" },
  "share-told": { ...NEXT_PROVIDER, "validate-values": "told" },
  told: { ...NEXT_PROVIDER, restore: "finished" },
  finished: NEXT_PROVIDER,
});
