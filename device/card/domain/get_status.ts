/** GET STATUS. GPC 2.3.1, 11.4; layout and default tags as in the recorded answers. */

import { concat, writeUint } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { matchesSearch, STATUS_SCOPE } from "shared/protocol/gp/get_status.ts";
import { encodeBer, optionalBer, parseBer, readBerHeader, requireBer } from "shared/protocol/tlv/ber.ts";
import type { CardContext } from "../context.ts";
import type { DomainState } from "../state.ts";
import { visibleEntries } from "./registry_view.ts";

const { ISSUER_SECURITY_DOMAIN, APPLICATIONS, LOAD_FILES, LOAD_FILES_AND_MODULES } = STATUS_SCOPE;
/** Bits of P1 that are scopes. */
const SCOPES = 0xf0;

const P2_NEXT = 0x01;
const P2_TLV = 0x02;
/** Most answer bytes that always fit one wrapped APDU (level 33, S16). */
const ANSWER_MAX = 223;
const AID_BYTES_MAX = 16;

/** Tags of an entry, in the order of table 11-36; those of `NAMED_ONLY` come when the tag list asks for them. */
const TAGS = [0x4f, 0x9f70, 0xc5, 0xc4, 0xce, 0x84, 0xcc] as const;
const NAMED_ONLY: readonly number[] = [0xce];

interface Entry {
  readonly aid: Uint8Array;
  readonly lifeCycle: number;
  readonly domain: Uint8Array;
  readonly privileges?: Uint8Array;
  readonly packageAid?: Uint8Array;
  readonly version?: { readonly major: number; readonly minor: number };
  readonly modules: readonly Uint8Array[];
}

function entriesOf(context: CardContext, domain: DomainState, scope: number): Entry[] {
  const view = visibleEntries(context.state, domain);
  const entries: Entry[] = [];
  if ((scope & ISSUER_SECURITY_DOMAIN) !== 0) {
    entries.push(...view.issuer.map((one) => ({ ...one, modules: [] })));
  }
  if ((scope & APPLICATIONS) !== 0) {
    entries.push(...view.applications.map((one) => ({ ...one, modules: [] })));
  }
  if ((scope & (LOAD_FILES | LOAD_FILES_AND_MODULES)) !== 0) {
    const withModules = (scope & LOAD_FILES_AND_MODULES) !== 0;
    entries.push(...view.packages.map(({ aid, lifeCycle, domain, version, modules }) => ({
      aid,
      lifeCycle,
      domain,
      version,
      modules: withModules ? modules : [],
    })));
  }
  return entries;
}

function values(entry: Entry, tag: (typeof TAGS)[number]): readonly Uint8Array[] {
  const optional = (value: Uint8Array | undefined) => value === undefined ? [] : [value];
  switch (tag) {
    case 0x4f:
      return [entry.aid];
    case 0x9f70:
      return [Uint8Array.of(entry.lifeCycle)];
    case 0xc5:
      return optional(entry.privileges);
    case 0xc4:
      return optional(entry.packageAid);
    case 0xce:
      return optional(entry.version && Uint8Array.of(entry.version.major, entry.version.minor));
    case 0x84:
      return entry.modules;
    case 0xcc:
      return [entry.domain];
  }
}

/** `E3` element. GPC 2.3.1, table 11-36. @param tags those of the tag list; absent: the default. */
function tlvEntry(entry: Entry, tags: ReadonlySet<number> | undefined): Uint8Array {
  const wanted = (tag: number) => tags === undefined ? !NAMED_ONLY.includes(tag) : tags.has(tag);
  return encodeBer(
    0xe3,
    ...TAGS.filter(wanted).flatMap((tag) => values(entry, tag).map((value) => encodeBer(tag, value))),
  );
}

/** The older layout without tags. GPC 2.3.1, tables 11-33 to 11-35. */
function plainEntry(entry: Entry, scope: number): Uint8Array {
  const lengthValue = (value: Uint8Array) => concat(writeUint(value.length, 1), value);
  const modules = (scope & LOAD_FILES_AND_MODULES) !== 0 && entry.privileges === undefined
    ? [writeUint(entry.modules.length, 1), ...entry.modules.map(lengthValue)]
    : [];
  const head = Uint8Array.of(entry.lifeCycle, entry.privileges?.[0] ?? 0);
  return concat(lengthValue(entry.aid), head, ...modules);
}

interface Search {
  readonly aid: Uint8Array;
  readonly tags: ReadonlySet<number> | undefined;
}

/** Search criteria: `4F` whole or partial AID, and `5C` tag list. @throws when it is laid out otherwise. */
function parseSearch(data: Uint8Array): Search | undefined {
  const elements = parseBer(data);
  const aid = requireBer(elements, 0x4f).value;
  if (aid.length > AID_BYTES_MAX) return undefined;
  const list = optionalBer(elements, 0x5c)?.value;
  if (list === undefined) return { aid, tags: undefined };
  const tags = new Set<number>();
  for (let offset = 0; offset < list.length;) {
    // A list holds tags without lengths: a zero length behind each makes it readable.
    const size = (list[offset]! & 0x1f) === 0x1f ? 2 : 1;
    const { tag } = readBerHeader(concat(list.subarray(offset, offset + size), Uint8Array.of(0)), 0);
    tags.add(tag);
    offset += size;
  }
  return { aid, tags };
}

/**
 * Answers GET STATUS. More than fits is answered `6310`, and "get next" (P2 bit 1) goes on behind the entries already
 * given. Scopes may be added up, as older tools do (`E0`).
 */
export function getStatus(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { volatile } = context;
  const scope = command.p1;
  if (scope === 0 || (scope & ~SCOPES) !== 0 || (command.p2 & ~(P2_NEXT | P2_TLV)) !== 0) {
    return response(SW.INCORRECT_P1P2);
  }
  let search: Search | undefined;
  try {
    search = parseSearch(command.data);
  } catch {
    // Whatever is wrong with it.
  }
  if (search === undefined) return response(SW.WRONG_DATA);

  const { aid, tags } = search;
  const position = volatile.registryPosition;
  volatile.registryPosition = null;
  const first = (command.p2 & P2_NEXT) === 0 ? 0 : position?.scope === scope ? position.next : undefined;
  // "Get next" without anything before it. GPC 2.3.1, 11.4.2.2.
  if (first === undefined) return response(SW.CONDITIONS_NOT_SATISFIED);
  const matching = entriesOf(context, domain, scope).filter((entry) => matchesSearch(entry.aid, aid));
  if (matching.length <= first) return response(SW.REFERENCED_DATA_NOT_FOUND);

  const parts: Uint8Array[] = [];
  let length = 0;
  let next = first;
  for (; next < matching.length; next++) {
    const entry = matching[next]!;
    const encoded = (command.p2 & P2_TLV) !== 0 ? tlvEntry(entry, tags) : plainEntry(entry, scope);
    if (length + encoded.length > ANSWER_MAX && next > first) break;
    parts.push(encoded);
    length += encoded.length;
  }
  const more = next < matching.length;
  if (more) volatile.registryPosition = { scope, next };
  return response(more ? SW.MORE_DATA_AVAILABLE : SW.OK, concat(...parts));
}
