/**
 * The vault's process: `vault_main.ts init --config FILE` makes the keys that are missing and prints what is public;
 * `vault_main.ts serve --config FILE` serves its node over the pipes. It has no network permission in either.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { readText } from "shared/base/text_file.ts";
import { decodeProviderCertificate, providerBytes } from "shared/protocol/recover/certificates.ts";
import { ROLE } from "shared/protocol/recover/constants.ts";
import { runVaultProcess } from "shared/service/vault_process.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { serveVault } from "../vault/vault_server.ts";
import { makeVault } from "../vault/vault.ts";
import { readVaultConfig, type VaultConfig } from "./vault_config.ts";
import { ensureVerificationKey, openVerificationKey } from "./verification_key.ts";
import "../provider_errors.ts";

const storageLabel = ({ labels }: VaultConfig, version: number) => `${labels.storage}-${version}`;

/** Makes what is missing; repeat it freely. */
async function init(config: VaultConfig, hsm: Hsm): Promise<void> {
  const { labels, storageVersion, name } = config;
  const known = new Set((await hsm.keys()).map(({ label }) => label));
  if (!known.has(labels.identity)) await hsm.generateSigningKey(labels.identity);
  if (!known.has(labels.diversification)) await hsm.generateMacKey(labels.diversification);
  const storage = storageLabel(config, storageVersion);
  if (!known.has(storage)) await hsm.generateStorageKey(storage);
  const publicKey = await hsm.publicKey(labels.identity);
  const verificationKey = await ensureVerificationKey(config.verificationKeyFile, hsm, storage);
  // The root signs `toSign`; name, role and key are in it.
  const toSign = toHex(providerBytes(ROLE.PROVIDER_STATIC, name, publicKey));
  console.log(JSON.stringify({ name, publicKey: toHex(publicKey), toSign, verificationKey }));
}

async function serve(config: VaultConfig, hsm: Hsm, log: Logger): Promise<never> {
  const { name, index, labels, limits, verifier, verifies, lockAuthority } = config;
  const staticCertificate = fromHex((await readText(config.certificateFile)).trim());
  const certified = decodeProviderCertificate(staticCertificate);
  const own = toHex(await hsm.publicKey(labels.identity)) === toHex(certified.publicKey);
  if (!own || certified.name !== name || certified.role !== ROLE.PROVIDER_STATIC) {
    throw new CodedError(
      "PROVIDER_CONFIG",
      "Cannot serve: the certificate is not of this provider's key and name",
    );
  }
  const vault = makeVault({
    facts: {
      name,
      index,
      staticCertificate,
      deviceIssuers: config.deviceIssuers.map((issuer) => fromHex(issuer)),
      verifier,
      verifies,
      lockAuthority,
      limits,
    },
    sealing: {
      hsm,
      providerName: name,
      storageLabel: (version) => storageLabel(config, version),
      currentVersion: config.storageVersion,
    },
    labels,
    verificationKey: await openVerificationKey(config.verificationKeyFile, hsm),
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
  });
  console.log(JSON.stringify({ ready: true, pipes: config.pipes }));
  return await serveVault(vault, config.pipes, log);
}

if (import.meta.main) {
  await runVaultProcess<VaultConfig>({
    usage: "PROVIDER_USAGE",
    read: readVaultConfig,
    logger: ({ name }) => createLogger("vault", { bound: { provider: name } }),
    init,
    // Nothing is held between two requests but the database's rows.
    serve,
  }, Deno.args);
}
