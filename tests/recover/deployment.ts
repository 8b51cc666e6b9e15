/** One provider deployed in a folder: certificates, configurations and keys, for tests that start its processes. */

import assert from "node:assert/strict";
import { CompactSign, exportJWK, generateKeyPair, type JWK } from "jose";
import { stringify } from "yaml";
import { vaultSpec } from "cli/commands/provider.ts";
import { runCollected } from "cli/process/foreground.ts";
import { freePort } from "cli/spine/ports.ts";
import { concat, fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { ecdsaSign } from "shared/crypto/secp256k1.ts";
import { joinPrefixed } from "shared/protocol/recovery_key/length_prefixed.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { readVaultConfig } from "providers/app/vault_config.ts";
import { STATUS_TYPE } from "providers/vault/status_document.ts";
import { PROBE } from "tests/permissions/probed.ts";
import { makeMaker, type Maker } from "./device.ts";

/** Origin of the node's log. */
export const LOG_ORIGIN = "provider-1.example/log";

/** Where a node finds its verifier. */
export interface DeployedVerifier {
  readonly issuer: string;
  readonly pinnedKey: JWK;
  /** Section `keySet` or `keySetFile` of the node's configuration. */
  readonly node: Readonly<Record<string, unknown>>;
}

/** Writes what a node and its vault need, and makes the vault's keys. @param verifies other than the vault's standard. */
export async function deploy<V extends DeployedVerifier>(
  folder: string,
  databaseUrl: string,
  verifier: V,
  verifies: Readonly<Record<string, boolean>> = {},
  { index = 1, maker = makeMaker() }: { readonly index?: number; readonly maker?: Maker } = {},
) {
  const now = Date.now();
  const nowSeconds = Math.floor(now / 1000);
  const lock = await generateKeyPair("ES256", { extractable: true });
  const status = await new CompactSign(
    toUtf8(JSON.stringify({ state: "open", sequence: 1, notAfter: nowSeconds + 3600 })),
  ).setProtectedHeader({ alg: "ES256", typ: STATUS_TYPE }).sign(lock.privateKey);
  const internal = await makeAuthority("test internal", { now });
  const clients = await makeAuthority("test clients", { now });
  const server = await issue(internal, {
    now,
    commonName: "node",
    ipAddresses: ["127.0.0.1"],
    usages: ["server"],
  });
  const gateway = await issue(internal, { now, commonName: "gateway", uris: ["urn:recovery-key:gateway:a"] });
  const certificate = async (uri: string) =>
    new Uint8Array((await issue(clients, { now, commonName: "client", uris: [uri] })).certificate.rawData);
  ensureSecretFile(`${folder}/passphrase`);
  ensureSecretFile(`${folder}/pseudonym.key`);
  await Deno.mkdir(`${folder}/event-log`);
  const write = (name: string, text: string) =>
    Deno.writeTextFile(`${folder}/${name}`, text, { mode: 0o600 });
  await write("event-log.key", SYSTEM_RANDOM(32).toBase64());
  await write("server.crt", server.certificatePem);
  await write("server.key", server.privateKeyPem);
  await write("internal.crt", internal.certificatePem);
  await write("client.crt", clients.certificatePem);
  await write("status.jwt", status);
  await write(
    "vault.yaml",
    stringify({
      name: `Provider ${index}`,
      index,
      pipes: "pipes",
      hsm: { kind: "software", file: "hsm/keys.json", passphraseFile: "passphrase" },
      certificateFile: "certificate.hex",
      verificationKeyFile: "verification-key.json",
      deviceIssuers: [toHex(maker.issuerPublicKey)],
      verifier: { issuer: verifier.issuer, url: `${verifier.issuer}/start`, pinnedKey: verifier.pinnedKey },
      verifies,
      lockAuthority: await exportJWK(lock.publicKey),
    }),
  );
  const accept = (authority: string) => ({ authority, whenStale: "accept" });
  await write(
    "node.yaml",
    stringify({
      name: "provider-1-a",
      listen: `127.0.0.1:${freePort()}`,
      admin: `127.0.0.1:${freePort()}`,
      tls: {
        certificate: "server.crt",
        key: "server.key",
        gateways: accept("internal.crt"),
        orchestrators: accept("client.crt"),
      },
      database: { url: databaseUrl, connections: 2 },
      eventLog: {
        origin: LOG_ORIGIN,
        folder: "event-log",
        keyFile: "event-log.key",
        pseudonymKeyFile: "pseudonym.key",
      },
      pipes: "pipes",
      statusFile: "status.jwt",
      ...verifier.node,
    }),
  );
  await Deno.mkdir(`${folder}/hsm`);
  await Deno.mkdir(`${folder}/logs`);
  const vaultFile = `${folder}/vault.yaml`;
  const made = await runCollected(vaultSpec(vaultFile, await readVaultConfig(vaultFile), "init"));
  assert.equal(made.code, 0, made.errors);
  const init = JSON.parse(made.output) as { toSign: string; verificationKey: Record<string, unknown> };
  const toSign = fromHex(init.toSign);
  await write("certificate.hex", toHex(concat(toSign, joinPrefixed(ecdsaSign(maker.issuer, toSign)))));
  return {
    maker,
    verifier,
    vaultKey: init.verificationKey,
    paths: { vaultFile, nodeFile: `${folder}/node.yaml`, logs: `${folder}/logs`, preload: PROBE },
    client: Deno.createHttpClient({
      caCerts: [internal.certificatePem],
      cert: gateway.certificatePem,
      key: gateway.privateKeyPem,
    }),
    orchestrator: await certificate("urn:recovery-key:orchestrator:main"),
    stranger: await certificate("urn:recovery-key:station:line-1"),
  };
}
