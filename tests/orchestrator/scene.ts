/** Maker, three providers in memory, an orchestrator over a store, and real devices: the parties of a Recover session in one process. */

import { createLogger } from "shared/base/log.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { toHex } from "shared/base/bytes.ts";
import { deviceStaticBytes, hostStaticBytes } from "shared/protocol/recover/certificates.ts";
import { ROLE } from "shared/protocol/recover/constants.ts";
import type { RecoverIdentity } from "shared/protocol/wire/recover.ts";
import type { CreateRecoverSession, RecoverSessionAnswer } from "shared/protocol/wire/recover_session.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { type CompanionContext, type OrchestratorPort, runSession } from "device/recover/companion.ts";
import type { RecoverPerson } from "device/recover/ports.ts";
import { RecoverDevice } from "device/recover/recover_device.ts";
import { Orchestrator } from "orchestrator/service/orchestrator.ts";
import type { OrchestratorContext, ProviderPort } from "orchestrator/service/ports.ts";
import type { SessionStore } from "orchestrator/transport/session_store/port.ts";
import { MemoryStore } from "./memory_store.ts";
import { InMemoryProvider, verifiedAs } from "./in_memory_provider.ts";

/** Whose backup the tests make. */
export const IDENTITY: RecoverIdentity = {
  backupName: "My backup",
  firstName: "Ada",
  lastName: "Lovelace",
  dateOfBirth: "10 December 1815",
  placeOfBirth: "LONDON",
};
/** The companion's name in its certificate. */
export const CLIENT = "urn:recovery-key:wallet:test";

/** How long the orchestrator leaves sessions alone, in milliseconds. */
export const TIMES = { sessionMs: 1_800_000, carryThroughMs: 10_000 } as const;

/** A device and what it remembers. */
export class TestDevice {
  readonly device: RecoverDevice;
  readonly told: string[] = [];
  readonly codes: string[] = [];
  entropy: Uint8Array | undefined;
  /** Set by a test: what the person answers. */
  says = true;

  constructor(issuer: Secret, entropyEncryptionKey: Uint8Array, entropy: Uint8Array | undefined) {
    this.entropy = entropy;
    const staticKey = generatePrivateKey(SYSTEM_RANDOM);
    const header = SYSTEM_RANDOM(4);
    const publicKey = publicKeyOf(staticKey);
    const yes = () => Promise.resolve(this.says);
    const person: RecoverPerson = {
      confirmIdentity: yes,
      showSecurityCode: (code) => this.codes.push(code),
      confirmRestore: yes,
      confirmRoot: yes,
      confirmDelete: yes,
      tell: (what, provider) => this.told.push(`${what} ${provider}`),
    };
    this.device = new RecoverDevice({
      identity: {
        targetId: Uint8Array.of(0x33, 0, 0, 4),
        staticKey,
        certificate: {
          header,
          publicKey,
          signature: ecdsaSign(issuer, deviceStaticBytes(header, publicKey)),
        },
        issuerPublicKey: publicKeyOf(issuer),
        entropyEncryptionKey: new Secret(entropyEncryptionKey),
      },
      memory: {
        entropy: () => this.entropy && new Secret(this.entropy.slice()),
        restore: (restored) => {
          this.entropy = restored.reveal().slice();
        },
        roots: () => [],
        enrol: () => {},
        remove: () => false,
      },
      person,
      random: SYSTEM_RANDOM,
    });
  }
}

/** Everything. */
export class RecoverScene {
  readonly issuer = generatePrivateKey(SYSTEM_RANDOM);
  readonly entropyEncryptionKey = SYSTEM_RANDOM(32);
  readonly hostKey = generatePrivateKey(SYSTEM_RANDOM);
  readonly providers: readonly InMemoryProvider[];
  readonly logged: string[] = [];
  now = 1_000_000;
  orchestrator: Orchestrator;

  constructor(readonly store: SessionStore = new MemoryStore()) {
    this.providers = [1, 2, 3].map((index) =>
      new InMemoryProvider(index, `Backup_${index}`, this.issuer, publicKeyOf(this.issuer), { backup: true })
    );
    this.orchestrator = this.start();
  }

  /** An orchestrator over the same store and providers, as after a restart. `change` puts a test's own ports in between. */
  start(change: (context: OrchestratorContext) => OrchestratorContext = (context) => context): Orchestrator {
    const hostPublic = publicKeyOf(this.hostKey);
    const context: OrchestratorContext = {
      scene: {
        host: {
          certificate: {
            publicKey: hostPublic,
            signature: ecdsaSign(this.issuer, hostStaticBytes(ROLE.ORCHESTRATOR_STATIC, hostPublic)),
          },
          deviceIssuers: [publicKeyOf(this.issuer)],
          targetId: Uint8Array.of(0x33, 0, 0, 4),
        },
        providers: this.providers.map(({ index, name, publicKey }) => ({
          index,
          name,
          publicKey: toHex(publicKey),
        })),
        providerRoot: publicKeyOf(this.issuer),
      },
      store: this.store,
      providers: this.providers,
      sign: (message) => Promise.resolve(ecdsaSign(this.hostKey, message)),
      clock: { now: () => this.now, monotonic: () => this.now },
      random: SYSTEM_RANDOM,
      times: TIMES,
      log: createLogger("orchestrator", { level: "debug", write: (line) => this.logged.push(line) }),
    };
    return this.orchestrator = new Orchestrator(change(context));
  }

  /** A device with a seed of this length in bytes, or an empty one. */
  device(entropyLength?: number): TestDevice {
    const entropy = entropyLength === undefined ? undefined : SYSTEM_RANDOM(entropyLength);
    return new TestDevice(this.issuer, this.entropyEncryptionKey, entropy);
  }

  /** The orchestrator as a companion reaches it: whichever runs at the moment of the request. */
  port(): OrchestratorPort {
    return {
      create: (request) => this.orchestrator.create(CLIENT, request),
      apdus: (session, { batch, answers }) =>
        this.orchestrator.answer(CLIENT, session, batch, { kind: "apdus", answers }),
      verification: (session, { batch, sealedVerification }) =>
        this.orchestrator.answer(CLIENT, session, batch, { kind: "verification", sealedVerification }),
      giveUp: (session) => this.orchestrator.giveUp(CLIENT, session),
    };
  }

  /** Runs a session to its end. */
  run(
    device: TestDevice,
    request: Request,
    change: Partial<CompanionContext> = {},
  ): Promise<RecoverSessionAnswer> {
    return runSession({
      orchestrator: this.port(),
      device: (apdu) => device.device.process(apdu),
      verify: ({ nonce }) => Promise.resolve(verifiedAs(nonce)),
      pause: () => Promise.resolve(),
      ...change,
    }, { session: crypto.randomUUID(), ...request } as CreateRecoverSession);
  }

  /** At how many providers a backup is in force; fails when one holds half of it. */
  inForce(backupId: string): number {
    return this.providers.filter(({ rows }) => rows.get(backupId)?.inForce).length;
  }

  /** Rows that are not in force at any provider. */
  leftOver(): number {
    return this.providers.flatMap(({ rows }) => [...rows.values()]).filter(({ inForce }) => !inForce).length;
  }

  /** Takes each provider's list of requests and begins a new one. */
  takeRequests(): string[][] {
    return this.providers.map((provider) => {
      const { requests } = provider;
      provider.requests = [];
      return requests;
    });
  }
}

/** A session's request without its identifier. */
export type Request =
  | { readonly flow: "backup"; readonly identity: RecoverIdentity }
  | { readonly flow: "restore" | "delete"; readonly backupId: string; readonly avoid?: number };

/** Asks for a backup. */
export const BACKUP: Request = { flow: "backup", identity: IDENTITY };
/** Puts a test's own code around every request to providers. */
export function aroundProviders(
  providers: readonly ProviderPort[],
  around: <T>(operation: string, index: number, work: () => Promise<T>) => Promise<T>,
): ProviderPort[] {
  return providers.map((provider, i) => ({
    open: (request) => around("open", i, () => provider.open(request)),
    deposit: (session, request) => around("deposit", i, () => provider.deposit(session, request)),
    commit: (session) => around("commit", i, () => provider.commit(session)),
    abandon: (session) => around("abandon", i, () => provider.abandon(session)),
    confirm: (session, request) => around("confirm", i, () => provider.confirm(session, request)),
    release: (session, request) => around("release", i, () => provider.release(session, request)),
    delete: (session, request) => around("delete", i, () => provider.delete(session, request)),
    deletion: (session, request) => around("deletion", i, () => provider.deletion(session, request)),
  }));
}
