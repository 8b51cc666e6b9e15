/** What was issued, challenged and revoked, in PostgreSQL: a certificate is here before anyone sees it. */

import { codeOf } from "shared/base/errors.ts";
import type { Database, TransactionSql } from "shared/transport/postgres/database.ts";

/** How a certificate came to be. */
export type IssueWay = "bootstrap" | "renewal" | "device";

/** A certificate that is about to be sent. */
export interface IssuedRecord {
  /** Lower-case hex. */
  readonly serial: string;
  readonly identity: string;
  readonly way: IssueWay;
  readonly authorisedBy: string;
  /** SHA-256 (32) of the request. */
  readonly requestDigest: Uint8Array;
  /** SHA-256 (32) of the SubjectPublicKeyInfo. */
  readonly keyDigest: Uint8Array;
  /** DER. */
  readonly certificate: Uint8Array;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** What stands in the way of an issue. */
export type IssueConflict =
  | "bootstrap-used"
  | "key-used"
  | "request-replayed"
  | "certificate-not-issued-here";

/** What is known of a request before anything is signed. */
export type Precedent =
  | { readonly kind: "new" }
  /** The same client repeats the same request: it gets what it missed. */
  | { readonly kind: "repeated"; readonly certificate: Uint8Array }
  | { readonly kind: "conflict"; readonly conflict: IssueConflict };

/** A revocation list as it is published. */
export interface PublishedList {
  readonly number: bigint;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** Milliseconds since 1970. */
  readonly nextUpdate: number;
  /** DER. */
  readonly list: Uint8Array;
}

/** A certificate as `revoke` names it. */
export interface RevokedRecord {
  readonly serial: string;
  readonly identity: string;
}

/** A certificate as a listing shows it; times in ISO 8601. */
export interface IssuedRow extends RevokedRecord {
  readonly way: IssueWay;
  readonly notAfter: string;
  readonly revokedAt: string | null;
}

/** Most rows of a listing. */
const ISSUED_LIMIT = 1_000;

/** The store. Every call rejects with `CodedError` `DATABASE_*`. */
export class EnrolmentStore {
  constructor(readonly database: Database) {}

  /** Looks for what stands in the way. */
  precedent(record: Omit<IssuedRecord, "certificate" | "serial" | "notAfter">): Promise<Precedent> {
    return this.database.transaction((sql) => precedent(sql, record));
  }

  /** Records a certificate; a conflict that came in between is told as by `precedent`, and nothing is recorded. */
  async record(record: IssuedRecord, renewed?: string): Promise<Precedent> {
    try {
      return await this.database.transaction(async (sql) => {
        const found = await precedent(sql, record);
        if (found.kind !== "new") return found;
        if (renewed !== undefined && !await isGood(sql, renewed)) {
          return { kind: "conflict", conflict: "certificate-not-issued-here" } as const;
        }
        await sql`insert into enrolment_certificates
          (serial, identity, way, authorised_by, request_digest, key_digest, certificate, not_after) values (
          ${record.serial}, ${record.identity}, ${record.way}, ${record.authorisedBy},
          ${record.requestDigest.slice()}, ${record.keyDigest.slice()}, ${record.certificate.slice()},
          ${new Date(record.notAfter)})`;
        return found;
      });
    } catch (error) {
      // Two at once: the other one is there now, and says what this one is.
      if (codeOf(error) !== "DATABASE_DUPLICATE") throw error;
      return await this.precedent(record);
    }
  }

  /** Whether a certificate was issued here and is not revoked. */
  async isGood(serial: string): Promise<boolean> {
    return await isGood(this.database.sql, serial);
  }

  /** Keeps a challenge for a client, and forgets those whose time is over. */
  async keepChallenge(digest: Uint8Array, client: string, expiresAt: number, now: number): Promise<void> {
    await this.database.sql`delete from enrolment_challenges where expires_at < ${new Date(now)}`;
    await this.database.sql`insert into enrolment_challenges (digest, client, expires_at)
      values (${digest.slice()}, ${client}, ${new Date(expiresAt)})`;
  }

  /** Uses a challenge up; whether it was this client's and in time. */
  async takeChallenge(digest: Uint8Array, client: string, now: number): Promise<boolean> {
    const rows = await this.database.sql<{ expires_at: Date }[]>`delete from enrolment_challenges
      where digest = ${digest.slice()} and client = ${client} returning expires_at`;
    return rows[0] !== undefined && rows[0].expires_at.getTime() >= now;
  }

  /** Revokes by serial number, or everything of an identity; returns what was not revoked before. */
  revoke(
    what: { readonly serial: string } | { readonly identity: string },
    reason: string,
  ): Promise<RevokedRecord[]> {
    return this.database.transaction(async (sql) => {
      const which = "serial" in what ? sql`serial = ${what.serial}` : sql`identity = ${what.identity}`;
      const rows = await sql<RevokedRecord[]>`update enrolment_certificates
        set revoked_at = now(), revocation_reason = ${reason}
        where ${which} and revoked_at is null returning serial, identity`;
      return rows.map(({ serial, identity }) => ({ serial, identity }));
    });
  }

  /** The latest certificates, of an identity or of all, newest first. */
  async issued(identity?: string): Promise<IssuedRow[]> {
    const which = identity === undefined
      ? this.database.sql`true`
      : this.database.sql`identity = ${identity}`;
    const rows = await this.database.sql<
      { serial: string; identity: string; way: IssueWay; not_after: Date; revoked_at: Date | null }[]
    >`select serial, identity, way, not_after, revoked_at from enrolment_certificates
      where ${which} order by issued_at desc, serial limit ${ISSUED_LIMIT}`;
    return rows.map((row) => ({
      serial: row.serial,
      identity: row.identity,
      way: row.way,
      notAfter: row.not_after.toISOString(),
      revokedAt: row.revoked_at?.toISOString() ?? null,
    }));
  }

  /** What the next list has to hold, seen at one moment: every revoked certificate that has not run out. */
  revoked(
    now: number,
  ): Promise<{ serials: string[]; revoked: bigint; newest: PublishedList | undefined; listed: bigint }> {
    return this.database.transaction(async (sql) => {
      const rows = await sql<{ serial: string }[]>`select serial from enrolment_certificates
        where revoked_at is not null and not_after > ${new Date(now - LIST_GRACE_MS)} order by serial`;
      const [count] = await sql<{ n: bigint }[]>`select count(*) as n from enrolment_certificates
        where revoked_at is not null`;
      const [newest] = await sql<
        { number: bigint; this_update: Date; next_update: Date; revoked: bigint; list: Uint8Array }[]
      >`
        select number, this_update, next_update, revoked, list from enrolment_lists order by number desc limit 1`;
      return {
        serials: rows.map(({ serial }) => serial),
        revoked: count!.n,
        listed: newest?.revoked ?? -1n,
        newest: newest && {
          number: newest.number,
          thisUpdate: newest.this_update.getTime(),
          nextUpdate: newest.next_update.getTime(),
          list: newest.list,
        },
      };
    });
  }

  /** Publishes a list; false when another instance published this number before. */
  async publish(list: PublishedList, revoked: bigint): Promise<boolean> {
    try {
      await this.database.transaction(async (sql) => {
        await sql`insert into enrolment_lists (number, this_update, next_update, revoked, list) values (
          ${list.number}, ${new Date(list.thisUpdate)}, ${new Date(
          list.nextUpdate,
        )}, ${revoked}, ${list.list.slice()})`;
        await sql`delete from enrolment_lists where number < ${list.number}`;
      });
      return true;
    } catch (error) {
      if (codeOf(error) === "DATABASE_DUPLICATE") return false;
      throw error;
    }
  }
}

/** A revoked certificate stays on the list this long after it has run out, for readers whose clock is behind. */
const LIST_GRACE_MS = 86_400_000;

async function isGood(sql: TransactionSql, serial: string): Promise<boolean> {
  const rows =
    await sql`select 1 from enrolment_certificates where serial = ${serial} and revoked_at is null`;
  return rows.length === 1;
}

async function precedent(
  sql: TransactionSql,
  { identity, way, authorisedBy, requestDigest, keyDigest }: Omit<
    IssuedRecord,
    "certificate" | "serial" | "notAfter"
  >,
): Promise<Precedent> {
  const conflict = (conflict: IssueConflict): Precedent => ({ kind: "conflict", conflict });
  const [same] = await sql<
    { identity: string; authorised_by: string; certificate: Uint8Array; revoked_at: Date | null }[]
  >`
    select identity, authorised_by, certificate, revoked_at from enrolment_certificates
    where request_digest = ${requestDigest.slice()}`;
  if (same !== undefined) {
    const own = same.identity === identity && same.authorised_by === authorisedBy && same.revoked_at === null;
    return own ? { kind: "repeated", certificate: same.certificate } : conflict("request-replayed");
  }
  if (way === "bootstrap") {
    const used = await sql`select 1 from enrolment_certificates
      where authorised_by = ${authorisedBy} and way = 'bootstrap'`;
    if (used.length > 0) return conflict("bootstrap-used");
  }
  // A renewal may keep its key; a key of another identity, of another beginning or of a revoked certificate is not taken.
  const keys = await sql<{ identity: string; revoked_at: Date | null }[]>`
    select identity, revoked_at from enrolment_certificates where key_digest = ${keyDigest.slice()}`;
  const own = keys.every((each) => each.identity === identity && each.revoked_at === null);
  return keys.length > 0 && (way === "bootstrap" || !own) ? conflict("key-used") : { kind: "new" };
}
