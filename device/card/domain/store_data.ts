/**
 * STORE DATA: to the application that INSTALL [for personalization] named, or to the domain itself, whose GET DATA
 * then answers it (on the ISD for example 42 and 45). GPC 2.3.1, 11.11.
 */

import { concat } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { parseStoreData, STORE_DATA_P1 } from "shared/protocol/gp/store_data.ts";
import { parseBer } from "shared/protocol/tlv/ber.ts";
import { parseDgis } from "shared/protocol/tlv/dgi.ts";
import { AppletCall } from "../applet/call.ts";
import { storeData } from "../applet/store_data.ts";
import type { CardContext } from "../context.ts";
import { findInstance, withDomain } from "../registry.ts";
import type { DomainState } from "../state.ts";
import { BUILT_IN_TAGS } from "./get_data.ts";

/** Structure bits of P1. Section 11.11.2.1. */
const STRUCTURE = 0x18;
/** Bytes of one series at most. */
const SERIES_BYTES_MAX = 4096;
/** Longest value: what one GET DATA gives back. */
const VALUE_BYTES_MAX = 219;
/** Data objects of one domain at most. */
const OBJECTS_MAX = 32;
/** DGI whose value is BER-TLV for the domain. */
const DGI_BER_TLV = 0x0070;

type Stored = { readonly tag: number; readonly value: Uint8Array };

/** Executes STORE DATA in an open session. */
export function storeDataToTarget(
  context: CardContext,
  domain: DomainState,
  command: CommandApdu,
): ResponseApdu {
  const { series, channel } = context.volatile;
  if (series?.kind !== "personalize") return storeInDomain(context, domain, command);
  const instance = findInstance(context.state, series.aid);
  const block = parseStoreData(command);
  if (instance === undefined || block.last) context.volatile.series = null;
  if (instance === undefined) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (instance.recoveryKey === null) return response(SW.INS_NOT_SUPPORTED);
  const call = new AppletCall(context, instance, instance.recoveryKey);
  return response(storeData(call, block.data, channel.level));
}

/** Gathers blocks; the last one stores all of them or none. */
function storeInDomain(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { volatile } = context;
  const running = volatile.series?.kind === "store-data" ? volatile.series : null;
  volatile.series = null;
  const { last, number, structure, data } = parseStoreData(command);
  if ((structure & STORE_DATA_P1.ENCRYPTED) !== 0) return response(SW.FUNCTION_NOT_SUPPORTED);
  if (number !== (running?.next ?? 0) || (running !== null && running.structure !== structure)) {
    return response(SW.INCORRECT_P1P2);
  }
  const bytes = concat(running?.bytes ?? new Uint8Array(0), data);
  if (bytes.length > SERIES_BYTES_MAX) return response(SW.NOT_ENOUGH_MEMORY);
  if (!last) {
    volatile.series = { kind: "store-data", structure, next: number + 1, bytes };
    return response(SW.OK);
  }
  let objects: Stored[] | undefined;
  try {
    objects = (structure & STRUCTURE) === STORE_DATA_P1.DGI ? parseGroupings(bytes) : parseObjects(bytes);
  } catch {
    // Whatever is wrong with it.
  }
  const sound = objects?.every(({ tag, value }) =>
    !BUILT_IN_TAGS.includes(tag) && tag <= 0xffff && value.length <= VALUE_BYTES_MAX
  );
  if (objects === undefined || objects.length === 0 || !sound) return response(SW.WRONG_DATA);
  const kept = domain.data.filter((old) => !objects.some(({ tag }) => tag === old.tag));
  const all = [...kept, ...new Map(objects.map((one) => [one.tag, one])).values()];
  if (all.length > OBJECTS_MAX) return response(SW.NOT_ENOUGH_MEMORY);
  context.state = withDomain(context.state, { ...domain, data: all });
  return response(SW.OK);
}

function parseObjects(bytes: Uint8Array): Stored[] {
  return parseBer(bytes).map(({ tag, value }) => ({ tag, value: value.slice() }));
}

/** DGIs under their numbers; DGI 0070 holds BER-TLV. @throws when a value is cut. */
function parseGroupings(bytes: Uint8Array): Stored[] {
  return parseDgis(bytes).flatMap(({ dgi, value }) =>
    dgi === DGI_BER_TLV ? parseObjects(value) : [{ tag: dgi, value }]
  );
}
