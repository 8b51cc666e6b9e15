/** GET STATUS: the card's registry. GPC 2.3.1, 11.4. Answers in the tagged form (P2 bit 2). */

import { concat, equal } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import type { ResponseApdu } from "../apdu/response.ts";
import { formatStatus, SW } from "../apdu/status_words.ts";
import { encodeBer, optionalBer, parseBer, requireBer } from "../tlv/ber.ts";
import { checkAid, isAid } from "./aid.ts";
import { CLA_GP, INS_GET_STATUS } from "./constants.ts";
import { decodePrivileges, encodePrivileges } from "./privileges.ts";

/** P1: which part of the registry. Section 11.4.2.1. */
export const STATUS_SCOPE = {
  ISSUER_SECURITY_DOMAIN: 0x80,
  APPLICATIONS: 0x40,
  LOAD_FILES: 0x20,
  LOAD_FILES_AND_MODULES: 0x10,
} as const;

/** One of the parts of the registry. */
export type StatusScope = (typeof STATUS_SCOPE)[keyof typeof STATUS_SCOPE];

/** P2: tagged form, first or all occurrences. Section 11.4.2.2. */
export const P2_STATUS_FIRST = 0x02;
/** P2: tagged form, next occurrences. */
export const P2_STATUS_NEXT = 0x03;

/** Most commands for one listing. */
export const STATUS_PAGES_MAX = 64;

/** One entry. Section 11.4.3.1. What a card leaves out is undefined or empty. */
export interface RegistryEntry {
  readonly aid: Uint8Array;
  /** See `CARD_LIFE_CYCLE`, `APPLICATION_LIFE_CYCLE`, `LOAD_FILE_LIFE_CYCLE`, by scope. */
  readonly lifeCycle: number;
  /** See `PRIVILEGE`. Tag C5; load files have none. */
  readonly privileges?: number;
  /** Implicit selection parameters, tag CF, one byte each. */
  readonly implicitSelection?: readonly number[];
  /** Package that the instance comes from. Tag C4. */
  readonly packageAid?: Uint8Array;
  /** Version of the load file, 2 bytes as the card says it. Tag CE. */
  readonly version?: Uint8Array;
  /** Modules of the load file. Tag 84. */
  readonly moduleAids?: readonly Uint8Array[];
  /** Security Domain that owns the entry. Tag CC. */
  readonly securityDomainAid?: Uint8Array;
}

/** GET STATUS. An absent AID lists all. @param next whether it continues an answer of 6310. */
export function getStatusCommand(
  scope: StatusScope,
  aid?: Uint8Array,
  next = false,
  options: { readonly cla?: number } = {},
): CommandApdu {
  const search = encodeBer(0x4f, aid ?? new Uint8Array(0));
  return command(
    options.cla ?? CLA_GP,
    INS_GET_STATUS,
    scope,
    next ? P2_STATUS_NEXT : P2_STATUS_FIRST,
    search,
  );
}

function answerFault(what: string): CodedError {
  return new CodedError("GP_ANSWER", `Cannot read GET STATUS: ${what}`);
}

function aidOf(value: Uint8Array | undefined): Uint8Array | undefined {
  if (value === undefined) return undefined;
  if (!isAid(value)) throw answerFault(`an AID has ${value.length} bytes`);
  return value.slice();
}

/** Leaves out what is undefined, so that entries compare as data. */
function compact<T extends object>(entry: T): T {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as T;
}

/** Reads the entries of one answer. @throws {CodedError} `GP_ANSWER`, `GP_PRIVILEGES`, `TLV_*`. */
export function parseStatusEntries(data: Uint8Array): RegistryEntry[] {
  return parseBer(data).map((element) => {
    if (element.tag !== 0xe3) throw answerFault("an entry is not in tag E3");
    const parts = element.children();
    const lifeCycle = requireBer(parts, 0x9f70).value[0];
    const aid = aidOf(requireBer(parts, 0x4f).value);
    if (lifeCycle === undefined || aid === undefined) throw answerFault("an entry has no life cycle");
    const privileges = optionalBer(parts, 0xc5)?.value;
    const modules = parts.filter((part) => part.tag === 0x84).map((part) => aidOf(part.value)!);
    const selection = parts.filter((part) => part.tag === 0xcf).flatMap((part) => [...part.value]);
    return compact({
      aid,
      lifeCycle,
      privileges: privileges === undefined ? undefined : decodePrivileges(privileges),
      implicitSelection: selection.length > 0 ? selection : undefined,
      packageAid: aidOf(optionalBer(parts, 0xc4)?.value),
      version: optionalBer(parts, 0xce)?.value.slice(),
      moduleAids: modules.length > 0 ? modules : undefined,
      securityDomainAid: aidOf(optionalBer(parts, 0xcc)?.value),
    }) as RegistryEntry;
  });
}

/** Writes one entry; the order is that of section 11.4.3.1, privileges are always 3 bytes, as recorded. */
export function encodeStatusEntry(entry: RegistryEntry): Uint8Array {
  const parts = [
    encodeBer(0x4f, checkAid(entry.aid)),
    encodeBer(0x9f70, Uint8Array.of(entry.lifeCycle)),
  ];
  if (entry.privileges !== undefined) {
    const bytes = encodePrivileges(entry.privileges);
    parts.push(encodeBer(0xc5, bytes.length === 1 ? concat(bytes, Uint8Array.of(0, 0)) : bytes));
  }
  for (const selection of entry.implicitSelection ?? []) {
    parts.push(encodeBer(0xcf, Uint8Array.of(selection)));
  }
  if (entry.packageAid !== undefined) parts.push(encodeBer(0xc4, checkAid(entry.packageAid)));
  if (entry.version !== undefined) parts.push(encodeBer(0xce, entry.version));
  for (const aid of entry.moduleAids ?? []) parts.push(encodeBer(0x84, checkAid(aid)));
  if (entry.securityDomainAid !== undefined) parts.push(encodeBer(0xcc, checkAid(entry.securityDomainAid)));
  return encodeBer(0xe3, ...parts);
}

/**
 * Lists a part of the registry, page after page (6310). Nothing there (6A88) is an empty list.
 * @throws {CodedError} `GP_REFUSED` (details `sw`), `GP_ANSWER` after 64 pages, and those of `parseStatusEntries`.
 */
export async function listStatus(
  send: (apdu: CommandApdu) => Promise<ResponseApdu>,
  scope: StatusScope,
  aid?: Uint8Array,
  options: { readonly cla?: number } = {},
): Promise<RegistryEntry[]> {
  const entries: RegistryEntry[] = [];
  for (let page = 0; page < STATUS_PAGES_MAX; page++) {
    const answer = await send(getStatusCommand(scope, aid, page > 0, options));
    if (answer.sw === SW.REFERENCED_DATA_NOT_FOUND && page === 0) return [];
    if (answer.sw !== SW.OK && answer.sw !== SW.MORE_DATA_AVAILABLE) {
      throw new CodedError(
        "GP_REFUSED",
        `Cannot list the registry: card answers ${formatStatus(answer.sw)}`,
        {
          sw: answer.sw,
        },
      );
    }
    entries.push(...parseStatusEntries(answer.data));
    if (answer.sw === SW.OK) return entries;
  }
  throw answerFault(`more than ${STATUS_PAGES_MAX} pages`);
}

/** What a GET STATUS asks for. */
export interface StatusQuery {
  readonly scope: StatusScope;
  /** Search AID, whole or its beginning; empty: all. */
  readonly aid: Uint8Array;
  readonly next: boolean;
}

/** The card's reading of GET STATUS. Undefined when P1 or P2 is none that this form knows (6A86). @throws {CodedError} `GP_COMMAND`, `TLV_*` (6A80). */
export function parseGetStatus(apdu: CommandApdu): StatusQuery | undefined {
  const scope = Object.values(STATUS_SCOPE).find((value) => value === apdu.p1);
  if (scope === undefined || (apdu.p2 !== P2_STATUS_FIRST && apdu.p2 !== P2_STATUS_NEXT)) return undefined;
  const aid = requireBer(parseBer(apdu.data), 0x4f).value;
  if (aid.length > 16) {
    throw new CodedError("GP_COMMAND", `Cannot read GET STATUS: AID of ${aid.length} bytes`);
  }
  return { scope, aid: aid.slice(), next: apdu.p2 === P2_STATUS_NEXT };
}

/** Whether an entry matches a search AID: equal, or beginning with it. */
export function matchesSearch(entryAid: Uint8Array, searchAid: Uint8Array): boolean {
  return equal(entryAid.subarray(0, searchAid.length), searchAid);
}
