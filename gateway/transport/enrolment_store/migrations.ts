/** The enrolment's schema, in a database of its own: the list of steps belongs to one program. */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Steps in order. */
export const ENROLMENT_MIGRATIONS: readonly Migration[] = [{
  id: 1,
  name: "certificates, challenges and revocation lists",
  sql: `
    create table enrolment_certificates (
      serial text primary key check (serial ~ '^[0-9a-f]{32,40}$'),
      identity text not null,
      way text not null check (way in ('bootstrap', 'renewal', 'device')),
      -- Fingerprint of the bootstrap or the renewed certificate, or the device's serial.
      authorised_by text not null,
      request_digest bytea not null unique,
      key_digest bytea not null,
      certificate bytea not null,
      issued_at timestamptz not null default now(),
      not_after timestamptz not null,
      revoked_at timestamptz,
      revocation_reason text,
      check ((revoked_at is null) = (revocation_reason is null))
    );
    create unique index enrolment_bootstrap_once on enrolment_certificates (authorised_by) where way = 'bootstrap';
    create index enrolment_by_identity on enrolment_certificates (identity);
    create index enrolment_by_key on enrolment_certificates (key_digest);
    create index enrolment_revoked on enrolment_certificates (revoked_at) where revoked_at is not null;
    create table enrolment_challenges (
      digest bytea primary key,
      client text not null,
      expires_at timestamptz not null
    );
    create table enrolment_lists (
      number bigint primary key check (number > 0),
      this_update timestamptz not null,
      next_update timestamptz not null,
      revoked bigint not null,
      list bytea not null
    );
    create function enrolment_once() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' or old.serial <> new.serial or old.certificate <> new.certificate
        or old.revoked_at is not null then
        raise exception 'an issued certificate is neither deleted nor changed, and revoked once';
      end if;
      return new;
    end $$;
    create trigger enrolment_once before update or delete on enrolment_certificates
      for each row execute function enrolment_once();
  `,
}];
