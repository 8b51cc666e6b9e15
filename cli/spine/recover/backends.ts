/** Tokens and databases of Recover in a local spine: each provider has its own, and so have the orchestrators. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { DENO, REPOSITORY } from "../../home.ts";
import { environment } from "../../process/child.ts";
import { type OwnPostgres, ownPostgres } from "../backends.ts";
import type { DatabaseSection, TokenSection } from "./configurations.ts";

/** A token with the environment of the processes that use it. */
export interface OwnToken {
  readonly section: TokenSection;
  readonly env: Readonly<Record<string, string>>;
}

/** A token in `folder/hsm`: software, or SoftHSM2 with a configuration and a PIN of its own. @throws {CodedError} `SPINE_TOKEN`. */
export async function ownToken(folder: string, label: string, real: boolean): Promise<OwnToken> {
  const hsm = `${folder}/hsm`;
  if (!real) {
    const section = {
      kind: "software",
      file: `${hsm}/keys.json`,
      passphraseFile: `${folder}/passphrase`,
    } as const;
    ensureSecretFile(section.passphraseFile);
    return { section, env: {} };
  }
  const { success, stdout, stderr } = await new Deno.Command(DENO, {
    args: ["run", "--quiet", "--frozen", "--allow-all", "tests/environment/softhsm_main.ts", hsm, label],
    cwd: REPOSITORY,
    env: environment({}),
    clearEnv: true,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new CodedError("SPINE_TOKEN", `Cannot make token ${label}: ${decoder.decode(stderr)}`);
  const { library, tokenLabel, pinFile, env } = JSON.parse(decoder.decode(stdout));
  return { section: { kind: "pkcs11", library, tokenLabel, pinFile }, env };
}

/** A PostgreSQL server of one company's own. */
export interface OwnDatabase {
  readonly section: DatabaseSection;
  /** Where tests look at it, past whatever stands before it. */
  readonly url: string;
  readonly postgres?: OwnPostgres;
}

/** Opens it as its own services do. */
export function openOwn({ section }: OwnDatabase, applicationName: string): Database {
  const { url, tls } = section;
  return openDatabase({
    url,
    applicationName,
    max: 1,
    ...(tls ? { tls: { caFile: tls.authority, certFile: tls.certificate, keyFile: tls.key } } : {}),
  });
}

/** See `SpineOptions.databaseProxy`. */
export type DatabaseProxy = (postgres: OwnPostgres, name: string) => Promise<string | undefined>;

/** Starts PostgreSQL in `folder/database`. @param proxy may stand between, without TLS. */
export async function ownDatabase(
  folder: string,
  name: string,
  proxy: DatabaseProxy | undefined,
): Promise<Required<OwnDatabase>> {
  const postgres = await ownPostgres(folder);
  const { url, socketUrl, tls } = postgres;
  const address = await proxy?.(postgres, name);
  if (address !== undefined) {
    const { username, pathname } = new URL(url);
    return { section: { url: `postgres://${username}@${address}${pathname}` }, url: socketUrl, postgres };
  }
  const { caFile, certFile, keyFile } = tls!;
  const section = { url, tls: { authority: caFile, certificate: certFile, key: keyFile } };
  return { section, url: socketUrl, postgres };
}

/** The embedded one at an address. */
export function embeddedDatabase(address: string): OwnDatabase {
  const url = `postgres://postgres@${address}/postgres`;
  return { section: { url }, url };
}

defineErrors({
  SPINE_TOKEN: {
    fault: "installation",
    retry: false,
    next: "Read what it said; SoftHSM2 has to be installed.",
  },
});
