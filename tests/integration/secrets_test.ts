/** Marked secrets go through a whole run; afterwards nothing that was written holds one. */

import assert from "node:assert/strict";
import { HOME } from "cli/home.ts";
import { runDemo } from "cli/demo/demo.ts";
import { DEMO_IDENTITY } from "cli/demo/recover.ts";
import { startFeeder } from "cli/demo/feeder.ts";
import type { LineCard } from "cli/demo/line.ts";
import type { Spine } from "cli/spine/spine.ts";
import { LOCAL_STATION } from "cli/spine/configurations.ts";
import { EVENT_LOGS, eventLogPaths } from "cli/spine/event_logs.ts";
import { PROVIDERS, RECOVER_FOLDERS } from "cli/spine/recover/layout.ts";
import { parseLeaf } from "shared/log/leaf.ts";
import { LogReader } from "shared/log/reader.ts";
import { parseTrust, trustPolicy } from "shared/log/trust.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { TRANSPORT_MASTER_LABEL } from "cli/spine/card_maker.ts";
import { readTrustFile, type WalletTrust } from "device/wallet/trust.ts";
import { fromHex, toUtf8 } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { setPinCommand, setSeedCommand } from "shared/protocol/recovery_key/commands.ts";
import { CLA_RECOVERY_KEY } from "shared/protocol/recovery_key/constants.ts";
import { mutualAuthenticate } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openVirtualReaders } from "shared/transport/virtual_reader/service.ts";
import { type Artifact, filesOf, findSecrets, type NamedSecret, processesNaming } from "./secret_search.ts";

const MARKED_PIN = Uint8Array.of(3, 1, 4, 1, 5, 9, 2, 6);
const MARKED_SEED = fromHex("5EED" + "C0FFEE".repeat(10));

Deno.test("findSecrets() finds a secret in each form in which it can be written", () => {
  const secret = { name: "seed", bytes: MARKED_SEED };
  const written = [
    MARKED_SEED.toHex(),
    MARKED_SEED.toHex().toUpperCase(),
    MARKED_SEED.toBase64(),
    MARKED_SEED.toBase64({ alphabet: "base64url", omitPadding: true }),
    JSON.stringify([...MARKED_SEED]),
  ].map((text) => new TextEncoder().encode(`{"x":"${text}"}`));
  for (const content of [...written, MARKED_SEED]) {
    assert.deepEqual(findSecrets([secret], [{ name: "log", content }]), ["log: seed"]);
  }
  assert.deepEqual(findSecrets([secret], [{ name: "log", content: MARKED_SEED.slice(1) }]), []);
});

Deno.test("marked secrets of a run are in no log, journal, database, metric, command line or environment", async (t) => {
  await Deno.mkdir(HOME, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: HOME, prefix: "secrets-" });
  const artifacts: Artifact[] = [];
  const secrets: NamedSecret[] = [];
  const processes = new Map<string, Artifact>();
  // Twenty processes live for a minute: each is looked through once, and again when what it shows has changed.
  const watching = setInterval(
    () =>
      void processesNaming(folder).then((found) => {
        for (const each of found) processes.set(`${each.name} ${each.content.toHex()}`, each);
      }),
    100,
  );
  try {
    const { recover } = await runDemo({
      folder,
      cards: 2,
      readers: 2,
      real: false,
      keep: false,
      tell: () => {},
      onEvent: (event) =>
        artifacts.push({ name: "event", content: new TextEncoder().encode(JSON.stringify(event)) }),
      onLineEnd: () => {},
      onUpdate: () => {},
      onRecover: (line) => artifacts.push({ name: "told", content: toUtf8(line) }),
      inspect: async (spine, cards) => {
        await t.step(
          "no entry of a log names anybody or anything",
          () => assertPseudonymous(folder, spine, cards),
        );
        await useCard(folder, cards[0]!);
        secrets.push(...await secretsOf(folder, spine, cards));
        artifacts.push(...await publicFaces(spine));
        await t.step("no process may write a core file", async () => {
          for (const child of spine.children.values()) {
            // The gateway that the demo stops is gone.
            const limits = await Deno.readTextFile(`/proc/${child.pid}/limits`).catch(() => undefined);
            if (limits !== undefined) assert.match(limits, /Max core file size\s+0\s+0/);
          }
        });
      },
    });
    await t.step("the seed of the demo went to three providers, came back, and was deleted", () => {
      assert.deepEqual(recover, { backup: true, restore: true, refused: true, delete: true });
    });
  } finally {
    clearInterval(watching);
  }
  artifacts.push(...processes.values());
  for (
    const place of [
      "logs",
      "event-logs",
      "database",
      "gateway-a",
      "gateway-b",
      "attestation-a",
      "attestation-b",
      "pki",
    ]
  ) {
    const ofPlace = await filesOf(`${folder}/${place}`);
    // Each private key stands in its own file, and nowhere else.
    artifacts.push(...ofPlace.filter(({ name }) => !name.endsWith(".key")));
  }
  for (const name of RECOVER_FOLDERS.filter((each) => each.endsWith("/hsm"))) {
    artifacts.push(...await filesOf(`${folder}/${name}`));
  }
  artifacts.push(...(await filesOf(`${folder}/station`)).filter(({ name }) => name.includes("journal")));
  await t.step(`${secrets.length} secrets, ${artifacts.length} artifacts`, () => {
    assert.ok(secrets.length >= 20, "the secrets were collected");
    assert.ok(artifacts.some(({ name }) => name.includes("journal")), "the journal is among the artifacts");
    assert.ok(artifacts.some(({ name }) => name.startsWith("command line")), "command lines were seen");
    assert.ok(artifacts.some(({ name }) => name === "rows"), "the database was read");
    assert.deepEqual(findSecrets(secrets, artifacts), []);
  });
  await Deno.remove(folder, { recursive: true });
});

/** Longest wait for the checkpoint with what was told last: the writers take one second. */
const PUBLISHED_MS = 30_000;

/**
 * Reads every entry as a stranger does and looks for what a person, a card or an address is called. Each member must also have its
 * one form, or the log would not parse.
 */
async function assertPseudonymous(folder: string, spine: Spine, cards: readonly LineCard[]): Promise<void> {
  const { addresses } = spine.descriptor;
  const serials = cards.flatMap(({ report }) => [report.serial!, report.cplc!, report.certificateSha256!]);
  const batch = JSON.parse(await Deno.readTextFile(`${folder}/batch.json`)) as { batch: string };
  const endpoints = [addresses.gatewayA, addresses.gatewayB, addresses.attestationA, addresses.attestationB];
  const names = [
    ...serials,
    batch.batch,
    LOCAL_STATION,
    "127.0.0.1",
    "urn:",
    "/v1/",
    ...endpoints.map(({ listen }) => listen),
  ].map((name) => name.toLowerCase());
  const missing = new Set([
    "gateway.canaries-proven",
    "gateway.serving",
    "gateway.draining",
    "attestation.opened",
    "attestation.batch-created",
    "attestation.keys-released",
    "attestation.card-reserved",
    "attestation.card-attested",
    "attestation.card-installed",
    "attestation.card-closed",
    "station.ready",
    "station.card",
  ]);
  // What has no effect of its own is told: it comes into the next checkpoint.
  for (const end = performance.now() + PUBLISHED_MS; missing.size > 0 && performance.now() < end;) {
    for (const name of EVENT_LOGS) {
      const { log, trust } = eventLogPaths(folder, name);
      const policy = trustPolicy(parseTrust(await Deno.readTextFile(trust)));
      const reader = await LogReader.open(directorySource(log), policy);
      for await (const { bytes } of reader.entries(0, reader.checkpoint.size)) {
        const { event, actor, subject } = parseLeaf(bytes);
        missing.delete(event);
        const text = new TextDecoder().decode(bytes).toLowerCase();
        assert.deepEqual(names.filter((each) => text.includes(each)), [], `${event} in ${name}`);
        for (const each of [actor, subject ?? "none:AAAAAAAAAAAAAAAAAAAAAA"]) {
          assert.match(each, /^[a-z]+:[A-Za-z0-9_-]{22}$/);
        }
      }
    }
    if (missing.size > 0) await new Promise((resolve) => setTimeout(resolve, 250));
  }
  assert.deepEqual([...missing], [], "entered");
}

/** What a wallet does with a card, with a marked PIN and seed, over a virtual reader and the card's own process. */
async function useCard(folder: string, card: LineCard): Promise<void> {
  const readers = await openVirtualReaders({ host: "127.0.0.1", readers: [{ name: "Reader", port: 0 }] });
  const feeder = await startFeeder({
    cards: `${folder}/cards`,
    slots: [`127.0.0.1:${readers.ports()[0]}`],
    logFile: `${folder}/logs/cards.log`,
  });
  const stop = new AbortController();
  try {
    const inserted = (async () => {
      for await (const event of readers.watch(stop.signal)) if (event.kind === "card-inserted") return;
    })();
    await feeder.insert(0, card.stateFile);
    await inserted;
    const channel = await readers.connect("Reader");
    await setPinAndSeed(
      readTrustFile(`${folder}/station/wallet-trust.json`),
      (command) => transceive((bytes) => channel.transmit(bytes), command),
    );
    await channel.close();
    await feeder.remove(0);
  } finally {
    stop.abort();
    await feeder.stop();
    await readers.close();
  }
}

async function setPinAndSeed(
  trust: WalletTrust,
  transmit: (command: CommandApdu) => ReturnType<typeof transceive>,
): Promise<void> {
  assert.equal((await transmit(selectCommand(trust.appletAid))).sw, 0x9000);
  const secure = await SecureChannel.open({
    transmit,
    keyVersion: trust.channelKeyVersion,
    keys: trust.channelKeys,
    level: 0x33,
    random: SYSTEM_RANDOM,
    wireCla: CLA_RECOVERY_KEY,
  });
  const { capsuleKeys } = await mutualAuthenticate({
    send: (command) => secure.send(command),
    issuerPublicKey: trust.issuerPublicKey,
    host: trust.host,
    random: SYSTEM_RANDOM,
    strict: true,
  });
  const send = async (command: CommandApdu) => assert.equal((await secure.send(command)).sw, 0x9000);
  await send(setPinCommand(capsuleKeys, MARKED_PIN, SYSTEM_RANDOM(16)));
  await send(setSeedCommand(capsuleKeys, new Secret(MARKED_SEED.slice()), SYSTEM_RANDOM(16)));
}

/** Every secret of the run that can be known: from the cards' memories, the token and the private files. */
async function secretsOf(folder: string, spine: Spine, cards: readonly LineCard[]): Promise<NamedSecret[]> {
  const secrets: NamedSecret[] = [
    { name: "PIN", bytes: MARKED_PIN },
    { name: "seed", bytes: MARKED_SEED },
  ];
  for (const [i, card] of cards.entries()) {
    const memory = JSON.parse(await Deno.readTextFile(card.stateFile)) as unknown;
    collect(memory, `card ${i}`, secrets);
    const { keyDiversificationData } = findMember(memory, "keyDiversificationData");
    const keys = await diversifyKdf3(
      (input) => spine.token.hsm.cmac(TRANSPORT_MASTER_LABEL, input),
      fromHex(keyDiversificationData as string),
      32,
    );
    for (const kind of ["enc", "mac", "dek"] as const) {
      secrets.push({ name: `transport ${kind} of card ${i}`, bytes: keys[kind].reveal() });
    }
  }
  const text = (file: string) => Deno.readTextFile(`${folder}/${file}`);
  secrets.push({
    name: "HSM passphrase",
    bytes: new TextEncoder().encode((await text("hsm/passphrase")).trim()),
  });
  for (const owner of ["station", "batch-manager"]) {
    for (const kind of ["signing", "sealing"]) {
      const { d } = JSON.parse(await text(`${owner}/${kind}.jwk`)) as { d: string };
      secrets.push({
        name: `${owner} ${kind} key`,
        bytes: Uint8Array.fromBase64(d, { alphabet: "base64url" }),
      });
    }
    secrets.push({ name: `${owner} TLS key`, bytes: pemSecret(await text(`${owner}/tls.key`)) });
  }
  const { privateKey } = JSON.parse(await text("station/host-identity.json")) as { privateKey: string };
  secrets.push({ name: "factory host key", bytes: fromHex(privateKey) });
  for (const wallet of ["maker", "owner", "new-1"]) {
    collect(JSON.parse(await text(`wallet/${wallet}.json`)), wallet, secrets);
  }
  for (const index of PROVIDERS) {
    const own = `recover/provider-${index}`;
    const { d } = JSON.parse(await text(`${own}/lock-authority.jwk`)) as { d: string };
    secrets.push(
      { name: `lock key of ${own}`, bytes: Uint8Array.fromBase64(d, { alphabet: "base64url" }) },
      { name: `HSM passphrase of ${own}`, bytes: toUtf8((await text(`${own}/passphrase`)).trim()) },
      { name: `TLS key of ${own}`, bytes: pemSecret(await text(`${own}/server-a.key`)) },
    );
  }
  // What an identity is made of is nobody's but the owner's and, for a session, the orchestrator's memory.
  for (const member of ["lastName", "dateOfBirth"] as const) {
    secrets.push({ name: member, bytes: toUtf8(DEMO_IDENTITY[member]) });
  }
  for (const name of ["client", "server", "internal"]) {
    secrets.push({ name: `${name} authority key`, bytes: pemSecret(await text(`pki/${name}.key`)) });
  }
  return secrets;
}

/** The private scalar in a PKCS #8 P-256 key: 32 bytes behind the ECPrivateKey's version. */
function pemSecret(pem: string): Uint8Array {
  const der = Uint8Array.fromBase64(pem.replace(/-----[A-Z ]+-----/g, "").replace(/\s+/g, ""));
  const at = der.findIndex((_, i) =>
    der[i] === 0x02 && der[i + 1] === 0x01 && der[i + 2] === 0x01 && der[i + 3] === 0x04
  );
  return der.slice(at + 5, at + 37);
}

const SECRET_MEMBERS = new Set([
  "enc",
  "mac",
  "dek",
  "attestationKey",
  "privateKey",
  "issuerPrivateKey",
  "entropyEncryptionKey",
  "entropy",
]);

function collect(value: unknown, name: string, secrets: NamedSecret[]): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    if (SECRET_MEMBERS.has(key) && typeof member === "string") {
      secrets.push({ name: `${key} of ${name}`, bytes: fromHex(member) });
    } else collect(member, name, secrets);
  }
}

function findMember(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null) {
    if (name in value) return value as Record<string, unknown>;
    for (const member of Object.values(value)) {
      const found = findMember(member, name);
      if (name in found) return found;
    }
  }
  return {};
}

/** What anyone on call can see: metrics, and every row of every table. */
async function publicFaces(spine: Spine): Promise<Artifact[]> {
  const { addresses, databaseUrl } = spine.descriptor;
  const artifacts: Artifact[] = [];
  for (const { admin } of [addresses.gatewayB, addresses.attestationA, addresses.attestationB]) {
    const answer = await fetch(`http://${admin}/metrics`);
    artifacts.push({ name: `metrics of ${admin}`, content: new Uint8Array(await answer.arrayBuffer()) });
  }
  const { providers, database } = await spine.startRecover();
  const recover = [database, ...providers.map((each) => each.database)].map(({ url }) => url);
  for (const url of [databaseUrl, ...recover]) artifacts.push(...await rowsOf(url));
  return artifacts;
}

/** Every row of every table of a database. */
async function rowsOf(url: string): Promise<Artifact[]> {
  const database = openDatabase({ url, applicationName: "secrets-test", max: 1 });
  try {
    const tables = await database.sql<{ name: string }[]>`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')`;
    assert.ok(tables.length > 2);
    return await Promise.all(tables.map(async ({ name }) => {
      const rows = await database.sql.unsafe(`select * from ${name}`);
      const printed = JSON.stringify(rows, (_, value) => typeof value === "bigint" ? String(value) : value);
      return { name: "rows", content: toUtf8(printed) };
    }));
  } finally {
    await database.close();
  }
}
