import assert from "node:assert/strict";
import { FAULT_KINDS } from "device/card/fault_plan.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import { genuineCheck } from "device/wallet/genuine_check.ts";
import { parseTrust } from "device/wallet/trust.ts";
import { CodedError } from "shared/base/errors.ts";
import { fromHex } from "shared/base/bytes.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { personalizeCard } from "factory/service/station/engine.ts";
import { writeWalletTrust } from "factory/service/station/host_identity.ts";
import { reportFinished } from "factory/service/station/station.ts";
import { diagnose } from "factory/service/station/diagnose.ts";
import {
  type Line,
  makeLine,
  type ProfileJson,
  profileOf,
  TEST_CARD,
  TEST_KEY,
  VirtualCard,
} from "./bench_line.ts";

const OTHER_KEYS = { version: "30", enc: "11".repeat(16), mac: "22".repeat(16), dek: "33".repeat(16) };
/** A card with nothing but the issuer domain. */
const blank = () => VirtualCard.open({});

async function withLine(
  work: (line: Line) => Promise<void>,
  profile = profileOf("test-card"),
  more: Parameters<typeof makeLine>[1] = {},
): Promise<void> {
  const line = await makeLine(profile, more);
  try {
    await work(line);
  } finally {
    await line.close();
  }
}

/** The wallet's opinion of a card. */
async function check(line: Line, card: VirtualCard): Promise<{ serial: string; certificateSha256: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const path = await writeWalletTrust(folder, line.context.batch, line.context.host);
    const trust = parseTrust(await Deno.readTextFile(path), () => "");
    const channel = openInProcessChannel(card);
    return await genuineCheck({ channel, trust, random: SYSTEM_RANDOM }).finally(() => channel.close());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("personalizeCard() a test card under the ISD ends attested and genuine", () =>
  withLine(async (line) => {
    const card = await VirtualCard.open(TEST_CARD);
    const report = await line.present(card);
    assert.equal(report.outcome, "attested", report.message ?? "");
    assert.deepEqual(line.attestation.calls, ["host-certificate", "reserve", "attest", "close"]);
    const genuine = await check(line, card);
    assert.equal(genuine.serial, report.serial);
    assert.equal(genuine.certificateSha256, report.certificateSha256);
    assert.equal(line.attestation.closures[0]!.certificateSha256, report.certificateSha256);
  }));

Deno.test("personalizeCard() a blank card ends attested, secured, its transport keys thrown away", () =>
  withLine(async (line) => {
    const card = await blank();
    const report = await line.present(card);
    assert.equal(report.outcome, "attested", report.message ?? "");
    assert.equal((await check(line, card)).serial, report.serial);
    const channel = openInProcessChannel(card);
    const found = await diagnose({
      channel,
      profile: line.context.batch.profile,
      clock: line.context.clock,
      random: SYSTEM_RANDOM,
      authenticate: false,
      journal: line.journal,
    });
    await channel.close();
    assert.equal(found.isdKeys, "thrown away");
    assert.equal(found.applet?.lifeCycle, 2);
    assert.equal(found.next.kind === "refuse" && found.next.code, "CARD_ALREADY_ATTESTED");
  }, profileOf("recovery-key")));

Deno.test("personalizeCard() package preloaded under the ISD is given to the SSD", () =>
  withLine(
    async (line) => {
      const card = await VirtualCard.open({ preloaded: { package: {} } });
      const report = await line.present(card);
      assert.equal(report.outcome, "attested", report.message ?? "");
      assert.equal((await check(line, card)).serial, report.serial);
    },
    profileOf("recovery-key", (profile) => profile.applet = { state: "package" }),
  ));

Deno.test("personalizeCard() AES-256 keys, profile as for the recorded card", () =>
  withLine(
    async (line) => {
      const keys = { version: "30", enc: "11".repeat(32), mac: "22".repeat(32), dek: "33".repeat(32) };
      const card = await VirtualCard.open({ ...TEST_CARD, isdKeys: keys });
      assert.equal((await line.present(card)).outcome, "attested");
    },
    profileOf("test-card", (profile) => {
      profile.isdKeys = {
        version: 0x30,
        lengthBytes: 32,
        source: "given",
        given: { enc: "11".repeat(32), mac: "22".repeat(32), dek: "33".repeat(32) },
      };
    }),
  ));

for (const template of ["test-card", "recovery-key"] as const) {
  Deno.test(`personalizeCard() ${template}: torn at every APDU in every way, it ends attested with one serial`, () =>
    withLine(async (line) => {
      const make = () => template === "test-card" ? VirtualCard.open(TEST_CARD) : blank();
      const whole = await line.present(await make());
      assert.equal(whole.outcome, "attested", whole.message ?? "");
      const serials = new Set([whole.serial]);
      for (const kind of FAULT_KINDS) {
        for (let index = 0; index < whole.apdus; index++) {
          const where = `${kind}:${index}`;
          const card = await make();
          const torn = await line.present(card, [{ kind, index }]);
          if (torn.outcome !== "attested") {
            assert.equal(torn.reason, "CARD_REMOVED", where);
            const again = await line.present(card);
            assert.equal(again.outcome, "attested", `${where} ${again.reason} ${again.message}`);
            if (torn.serial !== null) assert.equal(again.serial, torn.serial, where);
          }
          const genuine = await check(line, card);
          assert.ok(!serials.has(genuine.serial), `${where}: serial ${genuine.serial} twice`);
          serials.add(genuine.serial);
          const live = [...line.attestation.records.values()].find((record) =>
            record.certificates.at(-1) === genuine.certificateSha256
          );
          assert.equal(live?.state, "good", where);
        }
      }
      assert.deepEqual(line.journal.unfinished(), []);
    }, profileOf(template, (profile) => profile.anonymousChips = template === "test-card")));
}

Deno.test("personalizeCard() wrong keys: refused, nothing tried, and never a second key set unasked", () =>
  withLine(async (line) => {
    const card = await VirtualCard.open({ ...TEST_CARD, isdKeys: OTHER_KEYS });
    const first = await line.present(card);
    assert.deepEqual([first.outcome, first.reason], ["refused", "SCP03_CARD_CRYPTOGRAM"]);
    // The batch now has the right keys, and still the card is not tried.
    Object.assign(line.context.batch.profile.isdKeys.given!, { enc: OTHER_KEYS.enc, mac: OTHER_KEYS.mac });
    const second = await line.present(card);
    assert.deepEqual([second.outcome, second.reason], ["refused", "CARD_AUTHENTICATION_BLOCKED"]);
    assert.deepEqual(line.attestation.calls, ["host-certificate"]);
  }, profileOf("test-card", (profile) => profile.anonymousChips = false)));

Deno.test("personalizeCard() a blocked card goes on when a human says so", () =>
  withLine(
    async (line) => {
      const card = await VirtualCard.open({ ...TEST_CARD, isdKeys: OTHER_KEYS });
      await line.present(card);
      Object.assign(line.context.batch.profile.isdKeys.given!, OTHER_KEYS);
      assert.equal((await line.present(card)).outcome, "attested");
    },
    profileOf("test-card", (profile) => profile.anonymousChips = false),
    { retryAuthentication: true },
  ));

Deno.test("personalizeCard() wrong chip, wrong key version, wrong target, no applet: refused before any key", async () => {
  const cases: [(profile: ProfileJson) => void, string, string][] = [
    [(profile) => profile.expectedCplc = { icFabricator: "1234" }, "PROFILE_CARD", "icFabricator"],
    [(profile) => profile.isdKeys.version = 7, "CARD_KEY_VERSION", "version 7"],
    [(profile) => profile.targetId = "33000004", "CARD_TARGET", "33400004"],
    [
      (profile) => profile.aids.appletInstance = "A0000000624C454447455230FF",
      "CARD_APPLET_MISSING",
      "applet",
    ],
    [(profile) => profile.aids.isd = "A000000003000000", "PROFILE_CARD", "A000000003000000"],
  ];
  for (const [change, code, word] of cases) {
    await withLine(async (line) => {
      const report = await line.present(await VirtualCard.open(TEST_CARD));
      assert.deepEqual([report.outcome, report.reason], ["refused", code]);
      assert.ok(report.message!.includes(word), report.message!);
      assert.deepEqual(line.attestation.calls, ["host-certificate"]);
    }, profileOf("test-card", change));
  }
});

Deno.test("personalizeCard() an attested card is refused without a call, by this station and by another", () =>
  withLine(async (line) => {
    const card = await VirtualCard.open(TEST_CARD);
    await line.present(card);
    line.attestation.calls.length = 0;
    const again = await line.present(card);
    assert.deepEqual([again.outcome, again.reason], ["refused", "CARD_ALREADY_ATTESTED"]);
    await withLine(async (other) => {
      const elsewhere = await other.present(card);
      assert.deepEqual([elsewhere.outcome, elsewhere.reason], ["refused", "CARD_ALREADY_ATTESTED"]);
    });
    assert.deepEqual(line.attestation.calls, []);
  }));

Deno.test("personalizeCard() a certificate that is not this card's is not written", () =>
  withLine(async (line) => {
    const { attestation } = line;
    const foreignKey = publicKeyOf(generatePrivateKey(SYSTEM_RANDOM));
    const bends: NonNullable<typeof attestation.bend>[] = [
      (_, request) => attestation.certify(fromHex(request.serial), foreignKey),
      (_, request) => attestation.certify(fromHex("0000ABCD"), fromHex(request.publicKey)),
      (_, request) => attestation.certify(fromHex(request.serial), fromHex(request.publicKey), 9),
      (answer) => ({ ...answer, certificate: answer.certificate.replace(/..$/, "00") }),
      (answer) => ({ ...answer, certificate: `${answer.certificate}00` }),
      (answer) => ({ ...answer, certificateSha256: "00".repeat(32) }),
    ];
    const card = await VirtualCard.open(TEST_CARD);
    for (const bend of bends) {
      attestation.bend = bend;
      const report = await line.present(card);
      assert.deepEqual([report.outcome, report.reason], ["failed", "CERTIFICATE_REFUSED"]);
    }
    attestation.bend = undefined;
    assert.equal((await line.present(card)).outcome, "attested");
  }));

/** Changes what a card answers. */
function bending(card: VirtualCard, bend: (answer: Uint8Array, apdu: Uint8Array) => Uint8Array): CardChannel {
  const channel = openInProcessChannel(card);
  return {
    atr: channel.atr,
    reset: () => channel.reset(),
    close: () => channel.close(),
    transmit: async (apdu) => bend(await channel.transmit(apdu), apdu),
  };
}

Deno.test("personalizeCard() malformed answers at every APDU never end attested and never crash", () =>
  withLine(async (line) => {
    const whole = await line.present(await VirtualCard.open(TEST_CARD));
    const bends: [string, (answer: Uint8Array) => Uint8Array][] = [
      ["empty", () => new Uint8Array(0)],
      ["cut", (answer) => answer.slice(0, Math.max(1, answer.length - 3))],
      [
        "flipped",
        (answer) =>
          answer.length > 2 ? answer.with(answer.length >> 1, answer[answer.length >> 1]! ^ 0x5a) : answer,
      ],
      ["refusal", () => Uint8Array.of(0x6a, 0x80)],
    ];
    for (const [name, bend] of bends) {
      for (let at = 0; at < whole.apdus; at++) {
        const card = await VirtualCard.open(TEST_CARD);
        let index = 0;
        const channel = bending(card, (answer) => index++ === at ? bend(answer) : answer);
        const report = await personalizeCard({ context: line.context, reader: "reader 1", channel });
        // Facts that a card may lack (CPLC, card data, key information) do not stop it.
        if (report.outcome === "attested") await check(line, card);
        else assert.notEqual(report.reason, "INTERNAL", `${name} at ${at}: ${report.message}`);
      }
    }
  }));

Deno.test("personalizeCard() the service is gone at every call: the card goes on afterwards, one serial", () =>
  withLine(async (line) => {
    for (let at = 0; at < 3; at++) {
      const card = await VirtualCard.open(TEST_CARD);
      const calls = line.attestation.calls.length;
      const gone = new CodedError("ATTESTATION_UNREACHABLE", "Cannot reach the attestation service");
      const original = line.attestation.failures;
      // Let `at` calls pass, then fail one.
      Object.defineProperty(line.attestation, "failures", {
        configurable: true,
        value: { shift: () => line.attestation.calls.length - calls === at + 1 ? gone : undefined },
      });
      const failed = await line.present(card);
      assert.deepEqual([failed.outcome, failed.reason], ["failed", "ATTESTATION_UNREACHABLE"], `call ${at}`);
      Object.defineProperty(line.attestation, "failures", {
        configurable: true,
        writable: true,
        value: original,
      });
      const again = await line.present(card);
      assert.equal(again.outcome, "attested", `call ${at}: ${again.message}`);
    }
    assert.deepEqual(line.journal.unfinished(), []);
    assert.equal(new Set(line.attestation.closures.map(({ reservation }) => reservation)).size, 3);
  }, profileOf("test-card", (profile) => profile.anonymousChips = false)));

Deno.test("reportFinished() tells what could not be told", () =>
  withLine(async (line) => {
    const card = await VirtualCard.open(TEST_CARD);
    const calls = line.attestation.calls.length;
    const gone = new CodedError("ATTESTATION_UNREACHABLE", "Cannot reach the attestation service");
    const failures = { shift: () => line.attestation.calls.length - calls === 3 ? gone : undefined };
    Object.defineProperty(line.attestation, "failures", {
      configurable: true,
      writable: true,
      value: failures,
    });
    assert.equal((await line.present(card)).reason, "ATTESTATION_UNREACHABLE");
    line.attestation.failures = [];
    assert.equal(line.journal.unfinished().length, 1);
    assert.equal(await reportFinished(line.context), 1);
    assert.equal(line.attestation.closures.length, 1);
    assert.deepEqual(line.journal.unfinished(), []);
  }));

Deno.test("personalizeCard() a card of another serial is scrapped with a reason and never continued", () =>
  withLine(async (line) => {
    const card = await VirtualCard.open(TEST_CARD);
    // The service knows another serial for the chip than the card has: the journal is that of another station.
    await line.present(card);
    await withLine(async (other) => {
      other.attestation.records.clear();
      const report = await other.present(card);
      assert.deepEqual(
        [report.outcome, report.reason],
        ["scrapped", "MUTUAL_CARD_CERTIFICATE"],
        report.message ?? "",
      );
      const after = await other.present(card);
      assert.deepEqual([after.outcome, after.reason], ["refused", "CARD_SCRAPPED"]);
      assert.equal(other.attestation.closures[0]!.reason, "MUTUAL_CARD_CERTIFICATE");
    }, profileOf("test-card", (profile) => profile.anonymousChips = false));
  }, profileOf("test-card", (profile) => profile.anonymousChips = false)));

Deno.test("personalizeCard() nothing secret is in the journal or in events", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/journal.sqlite`;
  const line = await makeLine(profileOf("recovery-key"), { journalPath: path });
  const drawn: string[] = [];
  const reserve = line.attestation.reserve.bind(line.attestation);
  line.attestation.reserve = async (request) => {
    const answer = await reserve(request);
    drawn.push(answer.personalizationKey.reveal().toHex());
    return answer;
  };
  assert.equal((await line.present(await blank())).outcome, "attested");
  await line.close();
  const bytes = Deno.readFileSync(path);
  const text = (bytes.toHex() + new TextDecoder("latin1").decode(bytes)).toLowerCase() +
    JSON.stringify(line.events).toLowerCase();
  for (const secret of [TEST_KEY, ...drawn]) {
    assert.ok(!text.includes(secret.toLowerCase()), "a key stands in the journal");
    assert.ok(
      !text.includes(new TextEncoder().encode(secret.toUpperCase()).toHex()),
      "a key stands in the journal",
    );
  }
  await Deno.remove(folder, { recursive: true });
});
