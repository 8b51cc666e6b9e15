/** Providers for tests: real vault, service, database and token; the verifier and the lock authority are the test's. */

import { CompactSign, exportJWK, generateKeyPair, type JWK } from "jose";
import { toUtf8 } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { ecdsaSign } from "shared/crypto/secp256k1.ts";
import { encodeProviderCertificate, providerBytes } from "shared/protocol/recover/certificates.ts";
import { ROLE } from "shared/protocol/recover/constants.ts";
import type { ServiceEventLog } from "shared/log/writer/event_log.ts";
import { openDatabaseEventLog } from "shared/log/writer/service_event_log.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { startPGliteServer } from "shared/transport/pglite/server.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { type Database, type DatabaseOptions, openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { ProviderService } from "providers/service/provider_service.ts";
import { hourClock, recoverLog } from "providers/service/recover_log.ts";
import { PROVIDER_MIGRATIONS } from "providers/transport/migrations.ts";
import { ProviderStore } from "providers/transport/store.ts";
import type { StepAnswer, StepRequest, VaultPort } from "providers/vault/protocol.ts";
import type { ProviderFacts } from "providers/vault/scene.ts";
import { STATUS_TYPE } from "providers/vault/status_document.ts";
import { makeVault } from "providers/vault/vault.ts";
import { startPostgres } from "tests/environment/postgres.ts";
import { startSoftHsm } from "tests/environment/softhsm.ts";
import type { Maker } from "./device.ts";
import { makeVerifier, type TestVerifier } from "./verifier.ts";

/** What a provider runs on. */
export type ProviderBackends = "PGlite and software HSM" | "PostgreSQL and SoftHSM";

/** A clock that the test sets. */
export interface TestClock extends Clock {
  advance(seconds: number): void;
}

/** A provider under test. */
export interface TestProvider extends AsyncDisposable {
  readonly name: string;
  /** Of the devices that it serves. */
  readonly maker: Maker;
  readonly facts: ProviderFacts;
  readonly verifier: TestVerifier;
  readonly vaultKey: JWK;
  readonly database: Database;
  readonly events: ServiceEventLog;
  readonly service: ProviderService;
  /** The second node: its own vault over the same token and database. */
  readonly secondNode: ProviderService;
  /** A vault that has seen nothing. */
  readonly vault: VaultPort;
  /** All that went over the border of the vaults, newest last. */
  readonly crossed: { request: Omit<StepRequest, "operation">; answer: StepAnswer }[];
  /** Exchanges the status document. */
  setStatus(state: "open" | "locked" | null, notAfter?: number): Promise<void>;
  /** A node with a vault that has just been started. */
  freshNode(): ProviderService;
  /** The present document. */
  status(): string | null;
}

const LABELS = { identity: "identity", diversification: "diversification" } as const;
const SILENT = createLogger("test", { level: "error", write: () => {} });

/** A clock that stands at the machine's time, and goes on when it is told. */
export function testClock(): TestClock {
  let ahead = 0;
  const start = Date.now();
  return { now: () => start + ahead, monotonic: () => ahead, advance: (seconds) => ahead += seconds * 1000 };
}

/** Stands between a provider and what it works on, to measure. */
export interface Instrument {
  /** Reaches PostgreSQL over TCP with TLS, as another machine would. */
  readonly tls?: boolean;
  readonly hsm: (hsm: Hsm) => Hsm;
  readonly database: (database: Database) => Database;
}

/** Starts three providers over three databases and tokens. With SoftHSM they share one token with labels of their own. */
export async function startProviders(
  maker: Maker,
  clock: Clock,
  kind: ProviderBackends,
  change: Partial<Pick<ProviderFacts, "limits" | "verifies">> = {},
  indexes: readonly number[] = [1, 2, 3],
  instrument: Instrument = { hsm: (hsm) => hsm, database: (database) => database },
): Promise<{ providers: TestProvider[] } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "rk-providers-" });
  await using started = new AsyncDisposableStack();
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const real = kind === "PostgreSQL and SoftHSM";
  const softHsm = real ? await startSoftHsm({ directory: folder }) : undefined;
  const providers: TestProvider[] = [];
  for (const index of indexes) {
    const own = `${folder}/${index}`;
    await Deno.mkdir(own);
    let hsm: Hsm;
    let url: string;
    let tls: Pick<DatabaseOptions, "tls"> = {};
    if (softHsm) {
      hsm = instrument.hsm(await openPkcs11Hsm(softHsm));
      const server = started.use(await startPostgres({ directory: own, tls: instrument.tls ?? false }));
      url = server.url;
      if (server.tls) tls = { tls: server.tls };
    } else {
      const files = { file: `${own}/hsm.json`, passphraseFile: `${own}/passphrase` };
      ensureSecretFile(files.passphraseFile);
      hsm = await openSoftwareHsm({ ...files, logger: SILENT });
      const server = await startPGliteServer({
        directory: `${own}/database`,
        listen: { kind: "tcp", hostname: "127.0.0.1", port: 0 },
        logger: SILENT,
        onDeath: (error) => console.error("the embedded database died", error),
      });
      started.defer(() => server.stop());
      url = server.url;
    }
    started.defer(() => hsm.close());
    const database = instrument.database(
      openDatabase({ url, ...tls, applicationName: `provider-${index}`, max: 4 }),
    );
    started.defer(() => database.close());
    await migrate(database, PROVIDER_MIGRATIONS);
    const logDatabase = openDatabase({ url, ...tls, applicationName: `provider-${index}-log`, max: 2 });
    started.defer(() => logDatabase.close());
    const events = await openTestLog(own, index, logDatabase, clock);
    started.defer(() => events.stop());
    providers.push(await makeProvider({ maker, clock, hsm, database, index, change, events }));
  }
  const owned = started.move();
  return { providers, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function openTestLog(folder: string, index: number, database: Database, clock: Clock) {
  const config = {
    origin: `provider-${index}.example/log`,
    folder: `${folder}/log`,
    keyFile: `${folder}/log.key`,
    pseudonymKeyFile: `${folder}/pseudonym.key`,
  };
  await Deno.writeTextFile(config.keyFile, SYSTEM_RANDOM(32).toBase64(), { mode: 0o600 });
  ensureSecretFile(config.pseudonymKeyFile);
  const surroundings = { process: `provider-${index}`, clock: hourClock(clock), logger: SILENT };
  return await openDatabaseEventLog(config, database, surroundings);
}

async function makeProvider({ maker, clock, hsm, database, index, change, events }: {
  readonly events: ServiceEventLog;
  readonly maker: Maker;
  readonly clock: Clock;
  readonly hsm: Hsm;
  readonly database: Database;
  readonly index: number;
  readonly change: Partial<Pick<ProviderFacts, "limits" | "verifies">>;
}): Promise<TestProvider> {
  const name = `Provider ${index}`;
  const own = (label: string) => `${label}-${index}`;
  const publicKey = await hsm.generateSigningKey(own(LABELS.identity));
  await hsm.generateMacKey(own(LABELS.diversification));
  await hsm.generateStorageKey(own("storage-1"));
  const role = ROLE.PROVIDER_STATIC;
  const signature = ecdsaSign(maker.issuer, providerBytes(role, name, publicKey));
  const nowSeconds = Math.floor(clock.now() / 1000);
  const verifier = await makeVerifier(`https://verifier-${index}.example`, nowSeconds);
  const authority = await generateKeyPair("ES256", { extractable: true });
  const sealedTo = await generateKeyPair("ECDH-ES+A256KW", { extractable: true, crv: "P-256" });
  const facts: ProviderFacts = {
    name,
    index,
    staticCertificate: encodeProviderCertificate({ role, name, publicKey, signature }),
    deviceIssuers: [maker.issuerPublicKey],
    verifier: { issuer: verifier.issuer, pinnedKey: verifier.pinnedKey, url: `${verifier.issuer}/start` },
    verifies: { backup: false, delete: false },
    lockAuthority: await exportJWK(authority.publicKey),
    limits: { attempts: 3, releases: 2, sessionSeconds: 3600, lockSeconds: 3600 },
    ...change,
  };
  const crossed: TestProvider["crossed"] = [];
  let status: string | null = null;
  let sequence = 0;
  const setStatus = async (state: "open" | "locked" | null, notAfter = nowSeconds + 30 * 86_400) => {
    status = state && await new CompactSign(toUtf8(JSON.stringify({ state, sequence: ++sequence, notAfter })))
      .setProtectedHeader({ alg: "ES256", typ: STATUS_TYPE })
      .sign(authority.privateKey);
  };
  await setStatus("open");
  const vaultKey = await exportJWK(sealedTo.privateKey);
  const store = new ProviderStore(database, recoverLog(events));
  const makeOwnVault = () =>
    makeVault({
      facts,
      sealing: {
        hsm,
        providerName: name,
        storageLabel: (version) => own(`storage-${version}`),
        currentVersion: 1,
      },
      labels: { identity: own(LABELS.identity), diversification: own(LABELS.diversification) },
      verificationKey: vaultKey,
      clock,
      random: SYSTEM_RANDOM,
    });
  const freshNode = () => {
    const vault = makeOwnVault();
    const recorded: VaultPort = {
      locate: (about) => vault.locate(about),
      describe: () => vault.describe(),
      async step(request) {
        const answer = await vault.step(request);
        crossed.push({ request, answer });
        return answer;
      },
    };
    return new ProviderService({
      vault: recorded,
      store,
      clock,
      status: () => Promise.resolve(status),
      keySet: () => Promise.resolve(verifier.keySet()),
    });
  };
  const { d: _private, ...publicVaultKey } = vaultKey;
  return {
    name,
    maker,
    facts,
    verifier,
    vaultKey: publicVaultKey,
    database,
    events,
    service: freshNode(),
    secondNode: freshNode(),
    vault: makeOwnVault(),
    crossed,
    setStatus,
    freshNode,
    status: () => status,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
