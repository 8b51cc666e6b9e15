/** The token and the database of a local spine: embedded by default, SoftHSM2 and PostgreSQL with `real`. */

import type { Hsm } from "shared/transport/hsm.ts";
import type { Logger } from "shared/base/log.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { makeFactoryKeys } from "factory/service/factory_keys/keys.ts";
import { startPostgres } from "tests/environment/postgres.ts";
import { startSoftHsm } from "tests/environment/softhsm.ts";
import type { Backends } from "./configurations.ts";

export { ISSUER_LABEL, RELEASE_LABEL, UPGRADE_MASTER_LABEL } from "factory/domain/factory_keys.ts";

/** An open token with what the services' configuration and environment need. */
export interface Token {
  readonly hsm: Hsm;
  readonly configuration: Backends["hsm"];
  readonly env: Readonly<Record<string, string>>;
}

/** Opens, and at first makes, the spine's token and its keys. */
export async function openToken(folder: string, real: boolean, logger: Logger): Promise<Token> {
  const token = real ? await softHsm(`${folder}/hsm`, logger) : await softwareHsm(`${folder}/hsm`, logger);
  await makeFactoryKeys(token.hsm);
  return token;
}

async function softwareHsm(folder: string, logger: Logger): Promise<Token> {
  const configuration = {
    kind: "software",
    file: `${folder}/keys.json`,
    passphraseFile: `${folder}/passphrase`,
  } as const;
  ensureSecretFile(configuration.passphraseFile);
  return { hsm: await openSoftwareHsm({ ...configuration, logger }), configuration, env: {} };
}

async function softHsm(folder: string, logger: Logger): Promise<Token> {
  const { library, tokenLabel, pinFile, env } = await startSoftHsm({ directory: folder });
  const configuration = { kind: "pkcs11", library, tokenLabel, pinFile } as const;
  return { hsm: await openPkcs11Hsm({ ...configuration, logger }), configuration, env };
}

/** A PostgreSQL server of the spine's own. */
export type OwnPostgres = Awaited<ReturnType<typeof startPostgres>>;

/** Starts PostgreSQL in the spine's folder, kept from one start to the next; it takes TLS with client certificates only. */
export async function ownPostgres(folder: string): Promise<OwnPostgres> {
  return await startPostgres({ directory: `${folder}/database`, tls: true });
}
