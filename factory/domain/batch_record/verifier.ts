/**
 * Verifies a batch's records with the public key alone: every signature, the order, that no serial is there twice and none is
 * absent, the counts, the balance and the root. Works on records as they come; keeps one bit a serial.
 */

import { equal, fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { leafHash } from "shared/log/merkle.ts";
import { type JwsPublicKey, type JwsVerdict, verifyJws } from "shared/protocol/wire/jws.ts";
import { CARD_RECORD_TYPE, CardRecord, serialText } from "./card_record.ts";
import type { Finding, FindingCode } from "./findings.ts";
import {
  type BatchManifest,
  BatchManifest as ManifestSchema,
  imbalances,
  MANIFEST_TYPE,
} from "./manifest.ts";
import { RunningRoot } from "./running_root.ts";

/** Findings that are told at most: a file that is wrong everywhere needs no more. */
export const FINDINGS_MAX = 100;

/** A manifest that verifies, or why it does not. */
export type ManifestVerdict =
  | { readonly manifest: BatchManifest; readonly findings: readonly Finding[] }
  | { readonly manifest: undefined; readonly findings: readonly Finding[] };

/** Checks the manifest by itself: key, signature, form, balance. @param line its line in the file, where it has one. */
export async function verifyManifest(
  jws: string,
  key: JwsPublicKey,
  line: number | null,
): Promise<ManifestVerdict> {
  const finding = (code: FindingCode, text: string): Finding => ({ code, line, serial: null, text });
  const verdict = await verifyJws(jws, MANIFEST_TYPE, key);
  if (verdict.kind === "bad") {
    const found = verdict.fault === "other-key"
      ? finding("BATCH_KEY_OTHER", "the manifest names another key")
      : finding("BATCH_MANIFEST_SIGNATURE", "the manifest's signature does not verify: it was changed");
    return { manifest: undefined, findings: [found] };
  }
  const parsed = ManifestSchema.safeParse(verdict.payload);
  if (!parsed.success) {
    const fields = parsed.error.issues.map(({ path }) => path.join(".") || "everything").join(", ");
    const found = finding("BATCH_MANIFEST_CONTENT", `wrong or unknown in the manifest: ${fields}`);
    return { manifest: undefined, findings: [found] };
  }
  const findings = imbalances(parsed.data).map((text) => finding("BATCH_MANIFEST_BALANCE", text));
  return { manifest: parsed.data, findings };
}

/** A record that was taken in: its content when it verifies. */
export interface TakenRecord {
  readonly record: CardRecord | undefined;
}

/** Checks the records of one batch, one after the other, then all of them. */
export class BatchVerifier {
  readonly #manifest: BatchManifest;
  readonly #key: JwsPublicKey;
  readonly #first: number;
  readonly #seen: Uint8Array;
  readonly #root = new RunningRoot();
  readonly #counts = { good: 0, scrapped: 0, missing: 0 };
  readonly #findings: Finding[] = [];
  #total = 0;
  #unread = 0;
  #previous = -1;

  /** For a manifest that verified. */
  constructor(manifest: BatchManifest, key: JwsPublicKey) {
    this.#manifest = manifest;
    this.#key = key;
    this.#first = parseInt(manifest.firstSerial, 16);
    this.#seen = new Uint8Array(Math.ceil(manifest.quantity / 8));
  }

  /** What is wrong so far, at most {@link FINDINGS_MAX}. */
  get findings(): readonly Finding[] {
    return this.#findings;
  }

  /** How much is wrong so far. */
  get total(): number {
    return this.#total;
  }

  /** Good, scrapped and missing so far, of records that verified. */
  get counts(): Readonly<Record<CardRecord["outcome"], number>> {
    return this.#counts;
  }

  /** Notes something that is wrong. */
  note(code: FindingCode, line: number | null, serial: string | null, text: string): void {
    this.#total++;
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push({ code, line, serial, text });
  }

  /** Verifies a record's signature, and nothing else of it: may be begun before the record's turn. */
  signatureOf(jws: string): Promise<JwsVerdict> {
    return verifyJws(jws, CARD_RECORD_TYPE, this.#key);
  }

  /** Takes the next record. @param verdict that of `signatureOf`. */
  take(jws: string, line: number, verdict: JwsVerdict): TakenRecord {
    this.#root.add(leafHash(toUtf8(jws)));
    if (verdict.kind === "bad") {
      this.#unread++;
      if (verdict.fault === "other-key") {
        this.note("BATCH_KEY_OTHER", line, null, "the record names another key");
      } else this.note("BATCH_RECORD_SIGNATURE", line, null, "its signature does not verify: it was changed");
      return { record: undefined };
    }
    const parsed = CardRecord.safeParse(verdict.payload);
    if (!parsed.success) {
      this.#unread++;
      const fields = parsed.error.issues.map(({ path }) => path.join(".") || "everything").join(", ");
      this.note("BATCH_RECORD_CONTENT", line, null, `wrong or unknown: ${fields}`);
      return { record: undefined };
    }
    const record = parsed.data;
    this.#counts[record.outcome]++;
    this.#place(record, line);
    return { record };
  }

  /** Is it this batch's, and in its place? */
  #place(record: CardRecord, line: number): void {
    const { serial, batch, profile } = record;
    const manifest = this.#manifest;
    if (batch !== manifest.batch || profile.sha256 !== manifest.profile.sha256) {
      const what = batch === manifest.batch ? "another profile" : `batch ${batch}`;
      this.note("BATCH_RECORD_OTHER_BATCH", line, serial, `it is a record of ${what}`);
      return;
    }
    const index = parseInt(serial, 16) - this.#first;
    if (index < 0 || index >= manifest.totals.reserved) {
      this.note("BATCH_RECORD_RANGE", line, serial, `serial ${serial} is none that the batch used`);
      return;
    }
    const bit = 1 << (index % 8);
    const byte = Math.floor(index / 8);
    if ((this.#seen[byte]! & bit) !== 0) {
      this.note("BATCH_RECORD_DOUBLED", line, serial, `serial ${serial} was there already`);
      return;
    }
    this.#seen[byte]! |= bit;
    if (index < this.#previous) {
      const before = serialText(this.#first + this.#previous);
      this.note("BATCH_RECORD_ORDER", line, serial, `serial ${serial} comes after ${before}`);
    }
    this.#previous = Math.max(this.#previous, index);
  }

  /** After the last record: whether all are there, and add up. */
  finish(): void {
    const { totals, tree } = this.#manifest;
    for (const [from, to] of this.#gaps()) {
      const what = from === to ? `the record of serial ${from}` : `the records of serials ${from} to ${to}`;
      // Records that could not be read may be these: the gap is told all the same.
      const maybe = this.#unread > 0 ? " (or it is one of those that cannot be read)" : "";
      this.note("BATCH_RECORD_MISSING", null, from, `${what} is not there${maybe}`);
    }
    for (const outcome of ["good", "scrapped", "missing"] as const) {
      const counted = this.#counts[outcome];
      if (counted === totals[outcome]) continue;
      this.note(
        "BATCH_MANIFEST_COUNTS",
        null,
        null,
        `${outcome}: ${counted}, the manifest says ${totals[outcome]}`,
      );
    }
    const root = this.#root.root();
    if (this.#root.size !== tree.size || !equal(root, fromHex(tree.rootSha256))) {
      const ours = `${this.#root.size} records, root ${toHex(root)}`;
      this.note(
        "BATCH_MANIFEST_ROOT",
        null,
        null,
        `${ours}; the manifest says ${tree.size}, ${tree.rootSha256}`,
      );
    }
  }

  /** Runs of serials that are not there. */
  *#gaps(): Generator<[string, string]> {
    let from: number | undefined;
    const used = this.#manifest.totals.reserved;
    for (let index = 0; index <= used; index++) {
      const there = index === used || (this.#seen[Math.floor(index / 8)]! & (1 << (index % 8))) !== 0;
      if (!there) from ??= index;
      else if (from !== undefined) {
        yield [serialText(this.#first + from), serialText(this.#first + index - 1)];
        from = undefined;
      }
    }
  }
}
