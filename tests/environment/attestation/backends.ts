/** Real databases and real tokens for tests: both pairs that the service runs on. */

import type { Hsm } from "shared/transport/hsm.ts";
import { startPGliteServer } from "shared/transport/pglite/server.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { createLogger } from "shared/base/log.ts";
import { startPostgres } from "../postgres.ts";
import { startSoftHsm } from "../softhsm.ts";
import { ATTESTATION_MIGRATIONS } from "factory/transport/issuance_store/migrations.ts";

/** Labels that the tests' tokens have. */
export const LABELS = { issuer: "issuer", transportMaster: "transport-master", record: "record" } as const;

/** The pairs. */
export type BackendKind = "pglite and software HSM" | "PostgreSQL and SoftHSM";

/** A database and a token, opened. */
export interface OpenBackends extends AsyncDisposable {
  readonly database: Database;
  readonly hsm: Hsm;
}

/** The same, with the means to open them once more, as a second instance does. */
export interface Backends extends OpenBackends {
  /** Address of the database. */
  readonly url: string;
  /** `hsm` of a configuration file. */
  readonly hsmConfig: Readonly<Record<string, string>>;
  /** Takes the database away as a crash does, and gives it back. Only with a PostgreSQL server. */
  readonly databaseOutage?: Outage;
  /** Takes the token away, and gives it back. Only with SoftHSM. */
  readonly tokenOutage?: Outage;
  again(): Promise<OpenBackends>;
}

/** Something goes away, and comes back. */
export interface Outage {
  begin(): Promise<void>;
  end(): Promise<void>;
}

const SILENT = createLogger("test", { level: "error", write: () => {} });

/** Starts a pair in a temporary folder, with a migrated schema and both keys. */
export async function openBackends(kind: BackendKind): Promise<Backends> {
  const folder = await Deno.makeTempDir({ prefix: "rk-attestation-" });
  await using started = new AsyncDisposableStack();
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const pglite = kind === "pglite and software HSM";

  let url: string;
  let databaseOutage: Outage | undefined;
  let tokenOutage: Outage | undefined;
  if (pglite) {
    const server = await startPGliteServer({
      directory: `${folder}/database`,
      listen: { kind: "tcp", hostname: "127.0.0.1", port: 0 },
      logger: SILENT,
      onDeath: (error) => console.error("the embedded database died", error),
    });
    started.defer(() => server.stop());
    url = server.url;
  } else {
    const server = started.use(await startPostgres({ directory: folder }));
    url = server.url;
    databaseOutage = { begin: () => server.kill(), end: () => server.restart() };
  }
  let hsmConfig: Record<string, string>;
  let openHsm: () => Promise<Hsm>;
  if (pglite) {
    const files = { file: `${folder}/hsm.json`, passphraseFile: `${folder}/passphrase` };
    ensureSecretFile(files.passphraseFile);
    hsmConfig = { kind: "software", ...files };
    openHsm = () => openSoftwareHsm({ ...files, logger: SILENT });
  } else {
    const { library, tokenLabel, pinFile, tokenDirectory } = await startSoftHsm({ directory: folder });
    tokenOutage = {
      begin: async () => {
        await Deno.rename(tokenDirectory, `${tokenDirectory}.away`);
        await Deno.mkdir(tokenDirectory);
      },
      end: async () => {
        await Deno.remove(tokenDirectory, { recursive: true });
        await Deno.rename(`${tokenDirectory}.away`, tokenDirectory);
      },
    };
    hsmConfig = { kind: "pkcs11", library, tokenLabel, pinFile };
    openHsm = () => openPkcs11Hsm({ library, tokenLabel, pinFile });
  }
  const again = () => openBoth(url, openHsm);
  const first = started.use(await again());
  await first.hsm.generateSigningKey(LABELS.issuer);
  await first.hsm.generateMasterKey(LABELS.transportMaster);
  await first.hsm.generateSigningKey(LABELS.record, "p256");
  await migrate(first.database, ATTESTATION_MIGRATIONS);
  const owned = started.move();
  return {
    ...first,
    url,
    ...(databaseOutage === undefined ? {} : { databaseOutage }),
    ...(tokenOutage === undefined ? {} : { tokenOutage }),
    hsmConfig,
    again,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function openBoth(url: string, openHsm: () => Promise<Hsm>): Promise<OpenBackends> {
  const database = openDatabase({ url, applicationName: "attestation-test", max: 8 });
  const hsm = await openHsm();
  return {
    database,
    hsm,
    [Symbol.asyncDispose]: async () => {
      await database.close();
      await hsm.close();
    },
  };
}
