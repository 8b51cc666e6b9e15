/** Opens what the enrolment stands on: token, database, authority; shared by the server and the commands. */

import { CodedError } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { readPemCertificates } from "shared/protocol/x509/trust.ts";
import { X509Certificate } from "shared/protocol/x509/library.ts";
import { type Clock, SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { EnrolmentIssuer, requireIssuerKey } from "../service/enrolment_issuer.ts";
import { ENROLMENT_MIGRATIONS } from "../transport/enrolment_store/migrations.ts";
import { EnrolmentStore } from "../transport/enrolment_store/store.ts";
import { besideConfig, readTextFile } from "./config_file.ts";
import type { EnrolConfig } from "./enrol_config.ts";
import "../transport/enrolment_errors.ts";

/** What was opened. */
export interface EnrolParts extends AsyncDisposable {
  readonly issuer: EnrolmentIssuer;
  readonly issuerPem: string;
}

/** Opens the token. @throws {CodedError} `HSM_*`, `SECRET_FILE_*`. */
export function openEnrolToken(configPath: string, config: EnrolConfig["hsm"], logger: Logger): Promise<Hsm> {
  const at = (path: string) => besideConfig(configPath, path);
  return config.kind === "software"
    ? openSoftwareHsm({ file: at(config.file), passphraseFile: at(config.passphraseFile), logger })
    : openPkcs11Hsm({
      library: config.library,
      tokenLabel: config.tokenLabel,
      pinFile: at(config.pinFile),
      logger,
    });
}

/** Opens the database and brings it up to date. @throws {CodedError} `DATABASE_*`, `MIGRATION_*`. */
export async function openEnrolDatabase(
  configPath: string,
  config: EnrolConfig["database"],
): Promise<Database> {
  const at = (path: string) => besideConfig(configPath, path);
  const { tls, passwordFile } = config;
  const database = openDatabase({
    url: config.url,
    applicationName: "enrolment",
    ...(passwordFile === undefined ? {} : { passwordFile: at(passwordFile) }),
    ...(tls === undefined ? {} : {
      tls: {
        caFile: at(tls.authority),
        certFile: at(tls.certificate),
        keyFile: at(tls.key),
        ...(tls.serverName === undefined ? {} : { serverName: tls.serverName }),
      },
    }),
  });
  try {
    await migrate(database, ENROLMENT_MIGRATIONS);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Opens everything. @throws {CodedError} `ENROL_ISSUER`, `GATEWAY_FILE`, `X509_*`, `HSM_*`, `DATABASE_*`. */
export async function openEnrolParts(
  configPath: string,
  config: EnrolConfig,
  logger: Logger,
  clock: Clock = SYSTEM_CLOCK,
): Promise<EnrolParts> {
  const { issuer } = config;
  const issuerPem = await readTextFile(besideConfig(configPath, issuer.certificate), "issuing authority");
  const [der, second] = readPemCertificates(issuer.certificate, issuerPem);
  if (der === undefined || second !== undefined) {
    throw new CodedError("ENROL_ISSUER", `Cannot issue: ${issuer.certificate} is not one certificate`);
  }
  const certificate = new X509Certificate(der);
  await using opened = new AsyncDisposableStack();
  const hsm = await openEnrolToken(configPath, config.hsm, logger);
  opened.defer(() => hsm.close());
  await requireIssuerKey(hsm, issuer.label, certificate);
  const database = await openEnrolDatabase(configPath, config.database);
  opened.defer(() => database.close());
  const parts = {
    hsm,
    label: issuer.label,
    certificate,
    store: new EnrolmentStore(database),
    clock,
    random: SYSTEM_RANDOM,
    listLifetimeMs: config.lists.validHours * 3_600_000,
  };
  const owned = opened.move();
  return { issuer: new EnrolmentIssuer(parts), issuerPem, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
