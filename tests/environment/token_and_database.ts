/** An empty token and an empty database, both real, in a folder: either pair that a service may run on. */

import type { Hsm } from "shared/transport/hsm.ts";
import { createLogger } from "shared/base/log.ts";
import { startPGliteServer } from "shared/transport/pglite/server.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { startPostgres } from "./postgres.ts";
import { startSoftHsm } from "./softhsm.ts";

/** The pairs. */
export type BackendKind = "pglite and software HSM" | "PostgreSQL and SoftHSM";

/** A token and a database. */
export interface TokenAndDatabase extends AsyncDisposable {
  /** Address of the database. */
  readonly url: string;
  /** `hsm` of a configuration file. */
  readonly hsmConfig: Readonly<Record<string, string>>;
  openHsm(): Promise<Hsm>;
  /** Takes a PostgreSQL server away as a crash does, and gives it back; undefined with the embedded one. */
  readonly databaseOutage: { begin(): Promise<void>; end(): Promise<void> } | undefined;
}

const SILENT = createLogger("test", { level: "error", write: () => {} });

/** Starts a pair. */
export async function openTokenAndDatabase(kind: BackendKind, folder: string): Promise<TokenAndDatabase> {
  await Deno.mkdir(folder, { recursive: true });
  await using started = new AsyncDisposableStack();
  if (kind === "pglite and software HSM") {
    const server = await startPGliteServer({
      directory: `${folder}/database`,
      listen: { kind: "tcp", hostname: "127.0.0.1", port: 0 },
      logger: SILENT,
      onDeath: (error) => console.error("the embedded database died", error),
    });
    started.defer(() => server.stop());
    await Deno.mkdir(`${folder}/hsm`);
    const files = { file: `${folder}/hsm/keys.json`, passphraseFile: `${folder}/hsm/passphrase` };
    ensureSecretFile(files.passphraseFile);
    const owned = started.move();
    return {
      url: server.url,
      hsmConfig: { kind: "software", ...files },
      openHsm: () => openSoftwareHsm({ ...files, logger: SILENT }),
      databaseOutage: undefined,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  }
  const server = started.use(await startPostgres({ directory: folder }));
  const { library, tokenLabel, pinFile } = await startSoftHsm({ directory: folder });
  const owned = started.move();
  return {
    url: server.url,
    hsmConfig: { kind: "pkcs11", library, tokenLabel, pinFile },
    openHsm: () => openPkcs11Hsm({ library, tokenLabel, pinFile }),
    databaseOutage: { begin: () => server.kill(), end: () => server.restart() },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
