/** Listing the registry. */

import { CodedError } from "shared/base/errors.ts";
import { toHex } from "shared/base/bytes.ts";
import { SHORT_LE_MAX } from "shared/protocol/apdu/command.ts";
import { response } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import {
  listStatus,
  type RegistryEntry,
  STATUS_SCOPE,
  type StatusScope,
} from "shared/protocol/gp/get_status.ts";
import { type Registry, registryOf, rowsOf } from "../../domain/card_tool/registry.ts";
import { type ChannelWish, openDomain } from "./open.ts";
import { selectDomain } from "./look.ts";
import type { ToolSession } from "./session.ts";

/** A listing. */
export interface Listing extends Registry {
  /** False: what the card gave without a channel; `reason` says why there was none. */
  readonly complete: boolean;
  readonly reason: string | null;
}

type Send = Parameters<typeof listStatus>[0];

/** GET STATUS has no such scope at this card. */
const UNSUPPORTED: readonly number[] = [SW.INCORRECT_P1P2, SW.WRONG_DATA, SW.FUNCTION_NOT_SUPPORTED];

const NAMES: Readonly<Record<StatusScope, string>> = {
  [STATUS_SCOPE.ISSUER_SECURITY_DOMAIN]: "list the issuer security domain",
  [STATUS_SCOPE.APPLICATIONS]: "list applications and security domains",
  [STATUS_SCOPE.LOAD_FILES]: "list packages",
  [STATUS_SCOPE.LOAD_FILES_AND_MODULES]: "list packages and modules",
};

async function readWith(sendNamed: (step: string) => Send): Promise<Registry> {
  // Cards on T=1 want Le where an answer comes, although ours does not.
  const list = (scope: StatusScope) => {
    const send = sendNamed(NAMES[scope]);
    return listStatus((apdu) => send({ ...apdu, le: SHORT_LE_MAX }), scope);
  };
  const issuer = await list(STATUS_SCOPE.ISSUER_SECURITY_DOMAIN);
  const applications = await list(STATUS_SCOPE.APPLICATIONS);
  let packages: RegistryEntry[];
  try {
    packages = await list(STATUS_SCOPE.LOAD_FILES_AND_MODULES);
  } catch (error) {
    // Older cards list packages without their modules only.
    const sw = error instanceof CodedError && error.code === "GP_REFUSED" ? error.details["sw"] : undefined;
    if (typeof sw !== "number" || !UNSUPPORTED.includes(sw)) throw error;
    packages = await list(STATUS_SCOPE.LOAD_FILES);
  }
  return registryOf({ issuer, applications, packages });
}

/** The registry through the open channel; a dry run names the commands and finds nothing. */
export function readRegistry(session: ToolSession): Promise<Registry> {
  return readWith((step) => (apdu) =>
    session.send(step, apdu, { changes: false, assume: response(SW.REFERENCED_DATA_NOT_FOUND) })
  );
}

/** AIDs of everything in a registry. */
export function aidsOf(registry: Registry): string[] {
  return rowsOf(registry).map((row) => row.aid);
}

/**
 * Lists the card. Without keys, or on a card that does not speak SCP03, what it gives without a channel.
 * @throws {CodedError} those of `openDomain` but the two.
 */
export async function listCard(session: ToolSession, wish: ChannelWish): Promise<Listing> {
  let reason: string;
  try {
    await openDomain(session, wish);
    return { ...await readRegistry(session), complete: true, reason: null };
  } catch (error) {
    if (!(error instanceof CodedError) || !["CARDTOOL_SCP", "CARDTOOL_NO_KEYS"].includes(error.code)) {
      throw error;
    }
    reason = error.message;
  }
  const selected = await selectDomain(session, wish.domain);
  try {
    const registry = await readWith((step) => (apdu) => session.read(step, apdu));
    return { ...registry, complete: true, reason };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return {
      issuerDomain: {
        kind: "issuer-domain",
        aid: toHex(selected.aid),
        lifeCycle: selected.cardLocked ? "CARD_LOCKED" : "unknown",
        lifeCycleValue: -1,
        privileges: [],
        package: null,
        version: null,
        modules: [],
        domain: null,
      },
      domains: [],
      applications: [],
      packages: [],
      complete: false,
      reason: `${reason}; ${error.message}`,
    };
  }
}
