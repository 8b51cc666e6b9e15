/** An update service with its vault, a repository and cards in use, in this process: for tests of whole updates. */

import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import {
  DEFAULT_UPGRADE_DOMAIN_AID_HEX,
  UPGRADE_KEY_VERSION,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { encodePackageFile } from "shared/protocol/signed_package/package_file.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { createLogger } from "shared/base/log.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { memoryUpgradeStore, type UpgradeStore } from "factory/transport/update_store/port.ts";
import { RELEASE_LABEL, UPGRADE_MASTER_LABEL } from "factory/domain/factory_keys.ts";
import { signPackage } from "factory/service/package/sign.ts";
import { UpdateService } from "factory/service/update/update_service.ts";
import { makeUpdateVault, VAULT_LIMITS, type VaultOptions } from "factory/service/update/vault.ts";
import type { FaultPlan } from "device/card/fault_plan.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import { type CardState, decodeCardState, encodeCardState } from "device/card/state.ts";
import { memoryStore } from "device/card/store.ts";
import { VirtualCard } from "device/card/virtual_card.ts";
import { openUpdateJournal } from "device/update/journal.ts";
import { packageReader } from "device/update/package_reader.ts";
import type { UpdateServicePort } from "device/update/ports.ts";
import { type UpdateOptions, Updater, type UpdateResult } from "device/update/updater.ts";
import { type TestIssuer, testIssuer } from "device/wallet/testing/attested_cards.ts";
import { CARD_PIN, testFlow, testWallet } from "device/wallet/testing/bench.ts";
import { type Script, scriptedPerson } from "device/wallet/testing/scripted_person.ts";
import { type TestRepository, testRepository } from "./repository.ts";

/** Identity of the wallet's certificate. */
export const CLIENT = "urn:recovery-key:wallet:test";
/** The domain that may upgrade, as cards of the factory have it. */
export const DOMAIN = { aid: fromHex(DEFAULT_UPGRADE_DOMAIN_AID_HEX), keyVersion: UPGRADE_KEY_VERSION };
/** Name of every card made here. */
export const CARD_NAME = "Alice";

/** One run of an update, and what differs from the usual one. */
export interface SceneRun extends Script {
  readonly card: VirtualCard;
  /** Removals, by presentation. */
  readonly faults?: readonly FaultPlan[];
  readonly service?: UpdateServicePort;
  /** Journal folder; the scene's own otherwise. */
  readonly journal?: string;
  readonly more?: Partial<UpdateOptions>;
  /** Stands between wallet and card. */
  readonly intercept?: (channel: CardChannel) => CardChannel;
}

/** The scene. */
export interface UpdateScene extends AsyncDisposable {
  readonly hsm: Hsm;
  readonly issuer: TestIssuer;
  readonly repository: TestRepository;
  readonly store: UpgradeStore;
  readonly folder: string;
  readonly vaultOptions: VaultOptions;
  /** A fresh service with a fresh vault: as after both were killed. */
  service(vault?: Partial<VaultOptions>): UpdateService;
  /** The service as this wallet reaches it. */
  port(service?: UpdateService): UpdateServicePort;
  /** A card at 1.0 that is in use: a seed, a PIN, a name, one try spent. */
  card(): Promise<VirtualCard>;
  /** The same card once more: a copy of its memory. */
  copy(card: VirtualCard): Promise<VirtualCard>;
  /** A signed package file. */
  package(version: { major: number; minor: number }, payloadBytes?: number): Promise<Uint8Array>;
  /** An empty journal folder. */
  journalFolder(): Promise<string>;
  update(run: SceneRun): Promise<UpdateResult>;
}

/** Bytes of the packages: several LOADs, and no more. */
const PAYLOAD_BYTES = 900;

/** Makes a scene: packages 1.0 and 1.1 are released. */
export async function openScene(): Promise<UpdateScene> {
  await using started = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "rk-update-" });
  started.defer(() => Deno.remove(folder, { recursive: true }));
  ensureSecretFile(`${folder}/passphrase`);
  const hsm = await openSoftwareHsm({
    file: `${folder}/keys.json`,
    passphraseFile: `${folder}/passphrase`,
    logger: createLogger("test", { write: () => {} }),
  });
  started.defer(() => hsm.close());
  await hsm.generateMasterKey(UPGRADE_MASTER_LABEL);
  await hsm.generateSigningKey(RELEASE_LABEL, "p256");
  await hsm.generateStorageKey("upgrade-authorization");
  const issuer = testIssuer();
  const releaseKey = await hsm.publicKey(RELEASE_LABEL);
  const makePackage: UpdateScene["package"] = async (version, payloadBytes = PAYLOAD_BYTES) => {
    const cap = writeTestCap({ version, payloadBytes });
    const signed = await signPackage({
      hsm,
      keyLabel: RELEASE_LABEL,
      cap,
      securityDomainAid: fromHex("A000000151000000"),
      clock: SYSTEM_CLOCK,
    });
    return encodePackageFile(cap, signed);
  };
  const repository = testRepository();
  repository.publish(await makePackage({ major: 1, minor: 0 }), { replaces: [] });
  repository.publish(await makePackage({ major: 1, minor: 1 }));
  const store = memoryUpgradeStore();
  const vaultOptions: VaultOptions = {
    hsm,
    labels: { upgradeMaster: UPGRADE_MASTER_LABEL, authorization: "upgrade-authorization" },
    issuers: [issuer.publicKey],
    trustedRoot: repository.trustedRoot,
    releaseKey,
    domain: DOMAIN,
    chip: { chip: "P71D600", os: "JCOP 4.5" },
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    limits: { ...VAULT_LIMITS, sessions: 1024 },
  };
  const service: UpdateScene["service"] = (vault = {}) =>
    new UpdateService({
      vault: makeUpdateVault({ ...vaultOptions, ...vault }),
      store,
      revocations: () => Promise.resolve(issuer.revocations()),
      record: () => Promise.resolve(),
    });
  const port: UpdateScene["port"] = (of = service()) => ({
    challenge: (update) => of.challenge(CLIENT, update),
    begin: (update, request) => of.begin(CLIENT, update, request),
    resume: (update, request) => of.resume(CLIENT, update, request),
    step: (update, step, { answers }) => of.step(CLIENT, update, step, answers),
  });
  let serial = 0;
  let journals = 0;
  const oldFile = readCap(writeTestCap({ version: { major: 1, minor: 0 }, payloadBytes: PAYLOAD_BYTES }));
  const card: UpdateScene["card"] = async () => {
    serial++;
    const keyDiversificationData = SYSTEM_RANDOM(10);
    const keys = await diversifyKdf3(
      (input) => hsm.cmac(UPGRADE_MASTER_LABEL, input),
      keyDiversificationData,
      32,
    );
    const memory = memoryStore();
    const attested = await issuer.card(serial.toString(16).padStart(8, "0"), undefined, undefined, {
      store: memory,
      keyDiversificationData: toHex(keyDiversificationData),
      preloaded: {
        upgradeDomain: {
          keys: {
            version: toHex(Uint8Array.of(UPGRADE_KEY_VERSION)),
            enc: toHex(keys.enc.reveal()),
            mac: toHex(keys.mac.reveal()),
            dek: toHex(keys.dek.reveal()),
          },
        },
      },
    });
    const trust = issuer.trust();
    const wallet = await testWallet();
    const name = new TextEncoder().encode(CARD_NAME);
    const written = await testFlow("backup", { wallet, trust, cards: [attested], name });
    if (written.end !== "done") throw new Error(`Cannot make card: ${written.error?.message}`);
    attested.close();
    // Cards of the maker come with the package of the release that they were made with.
    const state = memory.load()!;
    const packages = state.packages.map((one) => ({
      ...one,
      size: oldFile.loadFileDataBlock.length,
      sha256: sha256(oldFile.loadFileDataBlock),
    }));
    return await cardWith({ ...state, packages });
  };
  const states = new WeakMap<VirtualCard, () => CardState>();
  const cardWith = async (state: CardState): Promise<VirtualCard> => {
    const store = memoryStore();
    store.save(decodeCardState(encodeCardState(state)));
    const made = await VirtualCard.open({ store });
    states.set(made, () => store.load()!);
    return made;
  };
  const owned = started.move();
  return {
    hsm,
    issuer,
    repository,
    store,
    folder,
    vaultOptions,
    service,
    port,
    card,
    copy: (of) => cardWith(states.get(of)!()),
    package: makePackage,
    async journalFolder() {
      const path = `${folder}/journal-${++journals}`;
      await Deno.mkdir(path);
      return path;
    },
    async update(run) {
      const journalFolder = run.journal ?? `${folder}/journal`;
      await Deno.mkdir(journalFolder, { recursive: true });
      using journal = openUpdateJournal(journalFolder);
      let presentation = 0;
      const person = scriptedPerson({ ...run, secrets: { cardPin: CARD_PIN, ...run.secrets } });
      return await new Updater({
        connect: () => {
          const channel = openInProcessChannel(run.card, { faultPlan: run.faults?.[presentation] ?? [] });
          presentation++;
          return Promise.resolve(run.intercept?.(channel) ?? channel);
        },
        trust: issuer.trust(),
        person,
        random: SYSTEM_RANDOM,
        clock: SYSTEM_CLOCK,
        journal,
        releases: repository,
        service: run.service ?? port(),
        readPackage: packageReader(releaseKey),
        domain: DOMAIN,
        ...run.more,
      }).run();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
