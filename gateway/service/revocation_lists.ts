/**
 * The revocation lists that are held: the last good one of each source. A list takes the place of another only when an authority of
 * its bundle signed it and it is not older, so that neither a source that is gone nor one that gives back yesterday's
 * list takes anything away; how long the held one counts is the authority's freshness rule.
 */

import { createHash } from "node:crypto";
import type { Clock } from "shared/transport/clock.ts";
import {
  type ParsedRevocationList,
  parseRevocationList,
  replacementFault,
} from "shared/protocol/x509/revocation_list.ts";
import { listFault, readAuthorities } from "shared/protocol/x509/trust.ts";
import { type FetchBounds, type FetchedList, fetchList } from "../transport/fetch_list.ts";

/** Where one list comes from. */
export interface ListSource {
  /** Path or URL, for messages. */
  readonly name: string;
  /** Reads a file; undefined: `name` is a URL. May reject. */
  readonly readFile?: () => Promise<Uint8Array>;
}

/** Sources of one authority's lists. */
export interface AuthorityLists {
  readonly certificates: { readonly name: string; readonly pem: string };
  readonly sources: readonly ListSource[];
  readonly bounds: FetchBounds;
}

/** A list that is held. */
export interface HeldSource {
  readonly name: string;
  readonly list: ParsedRevocationList;
}

/** Why a source gave nothing new, or nothing that may be taken. */
export interface SourceFault {
  readonly source: string;
  readonly fault: string;
  readonly detail: string;
  /** A file is the operator's own: on a start or a reload its fault refuses the whole. */
  readonly isFile: boolean;
  /** Whether an earlier list of this source goes on counting. */
  readonly held: boolean;
}

interface Held extends HeldSource {
  readonly digest: string;
}

/** What one round brought. `commit` makes it what is held. */
export interface Collected {
  /** For each authority, in order, its lists. */
  readonly lists: readonly (readonly HeldSource[])[];
  readonly faults: readonly SourceFault[];
  readonly changed: boolean;
  commit(): void;
}

/** The lists of one gateway. */
export class RevocationLists {
  #held = new Map<string, Held>();

  constructor(
    readonly clock: Clock,
    readonly fetchUrl: (url: string, bounds: FetchBounds) => Promise<FetchedList> = fetchList,
  ) {}

  /** Asks every source once, all at the same time. */
  async collect(authorities: readonly AuthorityLists[]): Promise<Collected> {
    const next = new Map<string, Held>();
    const faults: SourceFault[] = [];
    let changed = false;
    const lists = await Promise.all(authorities.map(async (authority) => {
      const found = await Promise.all(authority.sources.map(async (source) => {
        // A source that serves two bundles holds a list for each.
        const key = JSON.stringify([authority.certificates.name, source.name]);
        const held = this.#held.get(key);
        const outcome = await this.#ask(authority, source, held);
        if ("fault" in outcome) {
          faults.push({
            source: source.name,
            isFile: source.readFile !== undefined,
            held: held !== undefined,
            ...outcome,
          });
        } else if (outcome.digest !== held?.digest) changed = true;
        const kept = "fault" in outcome ? held : outcome;
        if (kept !== undefined) next.set(key, kept);
        return kept === undefined ? [] : [kept];
      }));
      return found.flat();
    }));
    return { lists, faults, changed, commit: () => void (this.#held = next) };
  }

  async #ask(
    authority: AuthorityLists,
    source: ListSource,
    held: Held | undefined,
  ): Promise<Held | { readonly fault: string; readonly detail: string }> {
    const got = await this.#read(source, authority.bounds);
    if (got.kind === "fault") return got;
    const digest = createHash("sha256").update(got.data).digest("hex");
    if (digest === held?.digest) return held;
    const reading = parseRevocationList(got.data);
    if (reading.kind === "fault") return reading;
    const { list } = reading;
    const verdicts = readAuthorities(authority).map((certificate) => listFault(certificate, list));
    if (verdicts.every((fault) => fault !== undefined)) {
      const fault = verdicts.includes("list-signature") ? "list-signature" : "list-issuer";
      return { fault, detail: `no authority of ${authority.certificates.name} signed it` };
    }
    // The source may begin to give the list of the other authority of a rotation: then there is nothing to compare.
    const comparable = held?.list.issuer.toHex() === list.issuer.toHex() ? held.list : undefined;
    const older = replacementFault(comparable, list, this.clock.now());
    if (older !== undefined) return { fault: older, detail: "the list that is held stays" };
    return { name: source.name, list, digest };
  }

  async #read(source: ListSource, bounds: FetchBounds): Promise<FetchedList> {
    if (source.readFile === undefined) return await this.fetchUrl(source.name, bounds);
    try {
      const data = await source.readFile();
      if (data.length <= bounds.maxBytes) return { kind: "data", data };
      return { kind: "fault", fault: "list-too-large", detail: `more than ${bounds.maxBytes} bytes` };
    } catch (error) {
      const detail = error instanceof Error ? error.name : "unreadable";
      return { kind: "fault", fault: "list-unreachable", detail };
    }
  }
}
