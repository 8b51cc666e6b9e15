/**
 * Recomputes the recorded exchanges with the genuine applet from the keys recorded with them: what the host sends,
 * built by this project's builders and wrapped; what the card answers, encoded by this project's codecs and
 * wrapped by the card's end; and every signature and capsule inside. Random numbers are the recorded ones, and
 * signatures are verified, not made again.
 */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdhPoint, ecdsaVerify, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { command, type CommandApdu, decodeCommand, encodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse, encodeResponse, response } from "shared/protocol/apdu/response.ts";
import { getStatusCommand as getRegistryCommand, type StatusScope } from "shared/protocol/gp/get_status.ts";
import { installForPersonalization } from "shared/protocol/gp/install.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { storeDataCommands } from "shared/protocol/gp/store_data.ts";
import { Scp03CardSession } from "shared/protocol/scp03/card_session.ts";
import {
  finishHandshake,
  type Scp03HostSession,
  startHandshake,
} from "shared/protocol/scp03/host_session.ts";
import {
  encodeInitializeUpdate,
  type InitializeUpdateAnswer,
  parseInitializeUpdate,
} from "shared/protocol/scp03/initialize_update.ts";
import type { SecurityLevel } from "shared/protocol/scp03/constants.ts";
import { deriveSessionKeys, hostCryptogram, pseudoRandomCardChallenge } from "shared/protocol/scp03/keys.ts";
import { loadVector } from "tests/vectors/load.ts";
import { type CapsuleKeys, deriveCapsuleKeys, openCapsule, sealCapsule } from "./capsule.ts";
import { parseCardCertificate, verifyCardCertificate } from "./certificate.ts";
import * as commands from "./commands.ts";
import { APPLET_AID, ISD_AID, LIFE_CYCLE, TARGET_ID, TRANSIENT } from "./constants.ts";
import {
  encodeCardEphemeral,
  parseCardEphemeral,
  parseHostCertificate,
  parseHostEphemeral,
  verifyCardEphemeral,
  verifyHostCertificate,
  verifyHostEphemeral,
} from "./host_certificate.ts";
import { mutualAuthenticate } from "./mutual_authentication.ts";
import { personalizationData } from "./personalization_data.ts";
import { encodePublicKeyAnswer, parsePublicKeyAnswer } from "./public_key.ts";
import { cardKeyMessage } from "./signed_messages.ts";
import { encodeStatus, parseStatus } from "./status.ts";
import {
  type RecordedCapsule,
  recordedCapsuleKeys,
  type RecordedExchange,
  type RecordedScp03,
  recordedStaticKeys,
  type Recording,
} from "./testing/recording.ts";

const APPLET = toHex(APPLET_AID);

/** Both ends of one recorded SCP03 session, from INITIALIZE UPDATE on. */
interface Ends {
  readonly secrets: RecordedScp03;
  readonly parsed: InitializeUpdateAnswer;
  readonly card: Scp03CardSession;
  host?: Scp03HostSession;
}

class Replay {
  readonly #recording: Recording;
  /** SCP03 sessions by index. */
  readonly #sessions = new Map<number, Ends>();
  #last: Ends | undefined;
  /** The mutual authentication under way. */
  #capsule: RecordedCapsule | undefined;

  constructor(recording: Recording) {
    this.#recording = recording;
  }

  get #secrets() {
    return this.#recording.secrets;
  }

  /** Recomputes one row. @returns the command rebuilt and the answer rebuilt, as sent and received. */
  row(row: RecordedExchange): { sent: string; received: string } {
    const sent = decodeCommand(fromHex(row.sent));
    if (sent.ins === 0x50) return this.#initializeUpdate(row, sent);
    if (sent.ins === 0x82) return this.#externalAuthenticate(row);
    if (row.scp03_session === undefined) return this.#bare(row, sent);
    return this.#secured(row, this.#sessions.get(row.scp03_session)!);
  }

  #initializeUpdate(row: RecordedExchange, sent: CommandApdu) {
    const index = this.#secrets.scp03.findIndex(({ host_challenge }) => host_challenge === toHex(sent.data));
    const secrets = this.#secrets.scp03[index]!;
    const keys = recordedStaticKeys(secrets);
    const hostChallenge = fromHex(secrets.host_challenge);
    const counter = fromHex(secrets.sequence_counter);
    const cardChallenge = pseudoRandomCardChallenge(keys.enc, counter, fromHex(secrets.aid));
    assert.equal(toHex(cardChallenge), secrets.card_challenge, "pseudo-random card challenge");

    const session = deriveSessionKeys(keys, hostChallenge, cardChallenge);
    assert.equal(toHex(session.enc.reveal()), secrets.s_enc);
    assert.equal(toHex(session.mac.reveal()), secrets.s_mac);
    assert.equal(toHex(session.rmac.reveal()), secrets.s_rmac);
    assert.equal(toHex(hostCryptogram(session.mac, hostChallenge, cardChallenge)), secrets.host_cryptogram);

    const card = new Scp03CardSession({
      keys,
      hostChallenge,
      cardChallenge,
      mode: "S8",
      ...(secrets.aid === APPLET ? { macCla: 0x84 } : {}),
    });
    assert.equal(toHex(card.cardCryptogram), secrets.card_cryptogram);
    const answer = encodeInitializeUpdate({
      keyDiversificationData: fromHex(secrets.key_diversification),
      keyVersion: parseInt(secrets.key_version, 16),
      scpId: 3,
      i: parseInt(secrets.i, 16),
      cardChallenge,
      cardCryptogram: card.cardCryptogram,
      sequenceCounter: counter,
    });
    this.#last = { secrets, card, parsed: parseInitializeUpdate(decodeResponse(fromHex(row.received)).data) };
    this.#sessions.set(index, this.#last);
    return {
      sent: toHex(encodeCommand(startHandshake({ keyVersion: 0, hostChallenge }).command)),
      received: toHex(encodeResponse(response(0x9000, answer))),
    };
  }

  #externalAuthenticate(row: RecordedExchange) {
    const ends = this.#last!;
    const { session, externalAuthenticate } = finishHandshake({
      parsed: ends.parsed,
      hostChallenge: fromHex(ends.secrets.host_challenge),
      keys: recordedStaticKeys(ends.secrets),
      level: parseInt(ends.secrets.level, 16) as SecurityLevel,
    });
    ends.host = session;
    const accepted = ends.card.verifyExternalAuthenticate(decodeCommand(fromHex(row.sent)));
    return { sent: toHex(encodeCommand(externalAuthenticate)), received: accepted ? "9000" : "refused" };
  }

  #bare(row: RecordedExchange, sent: CommandApdu) {
    const answer = decodeResponse(fromHex(row.received));
    switch (sent.ins) {
      case 0xa4: {
        const aid = row.step === "SELECT ISD" ? ISD_AID : APPLET_AID;
        this.#capsule = undefined;
        return { sent: toHex(encodeCommand(selectCommand(aid))), received: row.received };
      }
      case 0xca:
        return {
          sent: toHex(encodeCommand(command(0x80, 0xca, sent.p1, sent.p2, undefined, 256))),
          received: toHex(encodeResponse(answer)),
        };
      case 0xf2: {
        const status = parseStatus(answer.data);
        const literal = toHex(encodeStatus(status)) + "9000";
        return {
          sent: toHex(encodeCommand(commands.getStatusCommand())),
          received: literal + "9000",
        };
      }
    }
    throw new Error(`nothing recomputes ${row.step}`);
  }

  #secured(row: RecordedExchange, ends: Ends) {
    const applet = ends.secrets.aid === APPLET;
    const keys = row.capsule_session === undefined
      ? undefined
      : recordedCapsuleKeys(this.#secrets.capsule[row.capsule_session]!);
    const plain = decodeCommand(fromHex(row.plain_command));
    const built = applet ? this.#appletCommand(plain, keys) : this.#isdCommand(plain);
    const wrapped = ends.host!.wrap(built, applet ? { wireCla: 0x08 } : {});

    const unwrapped = ends.card.unwrap(decodeCommand(fromHex(row.sent)));
    assert.ok("data" in unwrapped, "the card's end refuses the recorded command");
    assert.equal(
      toHex(encodeCommand(unwrapped)),
      toHex(encodeCommand(applet ? plain : { ...plain, cla: 0x80 })),
    );

    const received = decodeResponse(fromHex(row.received));
    const host = ends.host!.unwrap(received);
    assert.equal(toHex(host.data), row.plain_response ?? "");
    assert.equal(host.sw, parseInt(row.sw, 16));
    const answer = applet && row.plain_response !== null
      ? this.#appletAnswer(plain, host.data, keys)
      : host.data;
    return {
      sent: toHex(encodeCommand(wrapped)),
      received: toHex(encodeResponse(ends.card.wrap(response(host.sw, answer)))),
    };
  }

  #isdCommand(plain: CommandApdu): CommandApdu {
    const { card_serial, issuer_private, issuer_public } = this.#secrets;
    switch (plain.ins) {
      case 0xe6:
        return installForPersonalization(APPLET_AID);
      case 0xe2:
        return storeDataCommands(personalizationData({
          serial: fromHex(card_serial),
          attestationKey: new Secret(fromHex(issuer_private)),
          issuerPublicKey: fromHex(issuer_public),
        }))[plain.p2]!;
      case 0xf2:
        return getRegistryCommand(plain.p1 as StatusScope);
    }
    throw new Error("nothing builds this ISD command");
  }

  /** Builds the applet's command anew from what it means. */
  #appletCommand(plain: CommandApdu, keys: CapsuleKeys | undefined): CommandApdu {
    const { secrets } = this.#recording;
    const iv = plain.data.slice(1, 17);
    const opened = keys !== undefined && plain.data[0] === 0x10 ? openCapsule(keys, plain.data) : undefined;
    const field = opened?.slice(1);
    const pinCommand = (build: (keys: CapsuleKeys, pin: Uint8Array, iv: Uint8Array) => CommandApdu) => {
      assert.equal(opened![0], field!.length);
      // The builders refuse to send a PIN of three digits; the recording does it once.
      if (field!.length < commands.PIN_LENGTH.min) {
        assert.throws(() => build(keys!, field!, iv));
        return { ...plain, data: sealCapsule(keys!, opened!, iv) };
      }
      return build(keys!, field!, iv);
    };
    switch (plain.ins) {
      case 0xf2:
        return commands.getStatusCommand();
      case 0x40:
        return commands.getPublicKeyCommand();
      case 0x41:
        return commands.setCertificateCommand(this.#certificate());
      case 0xf0:
        return commands.setStatusAttestedCommand();
      case 0x52:
        if (plain.p1 === 0x80) return commands.getCardEphemeralCommand();
        this.#capsule = secrets.capsule.find(({ host_challenge }) => host_challenge === toHex(plain.data));
        return commands.getCardCertificateCommand(plain.data);
      case 0x51:
        return plain.p1 === 0x80 ? this.#hostEphemeral(plain.data) : this.#hostStatic(plain.data);
      case 0xd0:
        return pinCommand(commands.setPinCommand);
      case 0x20:
        return pinCommand(commands.verifyPinCommand);
      case 0x24:
        return pinCommand(commands.pinChangeCommand);
      case 0xe5:
        return pinCommand(commands.requestUpgradeCommand);
      case 0xe0:
        assert.equal(toHex(field!), secrets.seed);
        return commands.setSeedCommand(keys!, new Secret(fromHex(secrets.seed)), iv);
      case 0x2a:
        this.#seedChallenge = field!;
        return commands.verifySeedCommand(keys!, field!, iv);
      case 0xda:
        return commands.setCardNameCommand(keys!, field!, iv);
      case 0xca:
        return commands.getDataCommand(keys!, plain.p1 * 256 + plain.p2);
      case 0x14:
        return commands.restoreSeedCommand(keys!);
      case 0xe4:
        return commands.factoryResetCommand(keys!);
    }
    throw new Error("nothing builds this command of the applet");
  }

  #seedChallenge: Uint8Array | undefined;

  #certificate(): Uint8Array {
    const { card_certificate, card_public, card_serial, issuer_public } = this.#secrets;
    const certificate = parseCardCertificate(fromHex(card_certificate), { strict: false });
    assert.equal(toHex(certificate.serial), card_serial);
    assert.equal(toHex(certificate.publicKey!), card_public);
    assert.equal(verifyCardCertificate(certificate, fromHex(issuer_public)), true);
    return certificate.bytes;
  }

  #hostStatic(data: Uint8Array): CommandApdu {
    const { host_serial, host_static_private, host_static_public, issuer_public } = this.#secrets;
    const certificate = parseHostCertificate(data);
    assert.equal(toHex(certificate.serial), host_serial);
    assert.equal(toHex(certificate.publicKey), host_static_public);
    assert.equal(toHex(publicKeyOf(fromHex(host_static_private))), host_static_public);
    assert.equal(verifyHostCertificate(certificate, fromHex(issuer_public)), true);
    return commands.validateHostCertificateCommand(certificate);
  }

  /** Also derives the keys of the second channel as both ends do, and compares them with the recorded ones. */
  #hostEphemeral(data: Uint8Array): CommandApdu {
    const { host_static_public, host_serial, card_serial } = this.#secrets;
    const capsule = this.#capsule!;
    const certificate = parseHostEphemeral(data);
    const hostChallenge = fromHex(capsule.host_challenge);
    const cardChallenge = fromHex(capsule.card_challenge);
    assert.equal(
      verifyHostEphemeral(certificate, fromHex(host_static_public), hostChallenge, cardChallenge),
      true,
    );
    assert.equal(toHex(certificate.ephemeral), capsule.host_ephemeral_public);
    const key = fromHex(capsule.host_ephemeral_private);
    assert.equal(toHex(publicKeyOf(key)), capsule.host_ephemeral_public);
    const sharedPoint = ecdhPoint(key, fromHex(capsule.card_ephemeral_public));
    assert.equal(toHex(sharedPoint), capsule.shared_point);
    const keys = deriveCapsuleKeys({
      sharedPoint,
      hostChallenge,
      cardChallenge,
      hostSerial: fromHex(host_serial),
      cardSerial: fromHex(card_serial),
    });
    assert.equal(toHex(keys.enc.reveal()), capsule.enc_key);
    assert.equal(toHex(keys.mac.reveal()), capsule.mac_key_used);
    return commands.validateHostEphemeralCommand(certificate);
  }

  /** Reads the applet's answer and writes it anew. */
  #appletAnswer(plain: CommandApdu, data: Uint8Array, keys: CapsuleKeys | undefined): Uint8Array {
    const { secrets } = this.#recording;
    const reseal = (opened: Uint8Array) => sealCapsule(keys!, opened, data.slice(1, 17));
    switch (plain.ins) {
      case 0xf2:
        assert.equal(toHex(parseStatus(data).serial), secrets.card_serial);
        return encodeStatus(parseStatus(data));
      case 0x40: {
        const answer = parsePublicKeyAnswer(data);
        assert.equal(toHex(answer.publicKey), secrets.card_public);
        assert.equal(toHex(answer.serial), secrets.card_serial);
        const message = cardKeyMessage(TARGET_ID, answer.publicKey);
        // The recording's DGI 8137 holds the issuer's private key.
        assert.equal(
          ecdsaVerify(publicKeyOf(fromHex(secrets.issuer_private)), message, answer.signature),
          true,
        );
        return encodePublicKeyAnswer(answer);
      }
      case 0x52: {
        if (plain.p1 === 0x00) {
          assert.equal(toHex(data), secrets.card_certificate);
          return this.#certificate();
        }
        const capsule = this.#capsule!;
        const certificate = parseCardEphemeral(data);
        assert.equal(toHex(certificate.ephemeral), capsule.card_ephemeral_public);
        assert.equal(toHex(certificate.cardChallenge), capsule.card_challenge);
        const challenge = fromHex(capsule.host_challenge);
        assert.equal(verifyCardEphemeral(certificate, fromHex(secrets.card_public), challenge), true);
        return encodeCardEphemeral(certificate);
      }
      case 0x14: {
        const opened = openCapsule(keys!, data);
        assert.equal(toHex(commands.decodeEntropy(opened).reveal()), secrets.seed);
        return reseal(commands.encodeEntropy(fromHex(secrets.seed)));
      }
      case 0x2a: {
        const opened = openCapsule(keys!, data);
        const signature = opened.slice(1);
        assert.equal(opened[0], signature.length);
        if (secrets.seed_verification_public !== undefined) {
          const key = fromHex(secrets.seed_verification_public);
          assert.equal(ecdsaVerify(key, this.#seedChallenge!, signature), true);
        }
        return reseal(opened);
      }
      case 0xca: {
        const opened = openCapsule(keys!, data);
        commands.parseDataAnswer(opened, plain.p1 * 256 + plain.p2);
        return reseal(opened);
      }
      default:
        assert.equal(data.length, 0);
        return data;
    }
  }
}

for (
  const [file, exchanges] of [
    ["a_personalization", 28],
    ["b_backup", 14],
    ["c_restore_manage", 46],
    ["e_pin_wipe", 43],
  ] as const
) {
  const recording = loadVector<Recording>(`card/${file}.json`);
  const rows = recording.exchanges.filter(({ sent }) => sent !== "");
  Deno.test(`host and card recompute all ${rows.length} exchanges of ${file}.json byte for byte`, () => {
    const replay = new Replay(recording);
    let recomputed = 0;
    for (const row of rows) {
      const { sent, received } = replay.row(row);
      assert.equal(sent, row.sent, `${recomputed} ${row.step} ${row.note}: sent`);
      assert.equal(received, row.received, `${recomputed} ${row.step} ${row.note}: received`);
      recomputed++;
    }
    assert.equal(recomputed, exchanges);
  });
}

Deno.test("host and card recompute SCP03 of every wrapped command of d_errors.json", () => {
  const { secrets, exchanges } = loadVector<Recording>("card/d_errors.json");
  const sessions = new Map<number, { host: Scp03HostSession; card: Scp03CardSession }>();
  let opened: { secrets: RecordedScp03; parsed: InitializeUpdateAnswer } | undefined;
  let rows = 0;
  let refused = 0;
  for (const row of exchanges) {
    const label = `${row.step} ${row.note}`;
    if (row.sent.startsWith("8050") && row.sw === "9000") {
      const found = secrets.scp03.find(({ host_challenge }) => host_challenge === row.sent.slice(10, 26));
      if (found === undefined) continue;
      opened = { secrets: found, parsed: parseInitializeUpdate(decodeResponse(fromHex(row.received)).data) };
    } else if (row.sent.startsWith("8482") && row.sw === "9000") {
      const { secrets: found, parsed } = opened!;
      const keys = recordedStaticKeys(found);
      const hostChallenge = fromHex(found.host_challenge);
      const level = parseInt(found.level, 16) as SecurityLevel;
      const { session, externalAuthenticate } = finishHandshake({ parsed, hostChallenge, keys, level });
      assert.equal(toHex(encodeCommand(externalAuthenticate)), row.sent, label);
      const macCla = found.aid === APPLET ? { macCla: 0x84 } : {};
      const card = new Scp03CardSession({
        keys,
        hostChallenge,
        cardChallenge: parsed.cardChallenge,
        ...macCla,
      });
      assert.equal(card.verifyExternalAuthenticate(externalAuthenticate), true);
      sessions.set(secrets.scp03.indexOf(found), { host: session, card });
    } else if (row.scp03_session !== undefined) {
      rows++;
      const { host, card } = sessions.get(row.scp03_session)!;
      const applet = secrets.scp03[row.scp03_session]!.aid === APPLET;
      const sent = decodeCommand(fromHex(row.sent));
      // One row has a Le that its plain command does not show; Le is not under the MAC.
      const plain = { ...decodeCommand(fromHex(row.plain_command)), le: sent.le };
      const wrapped = toHex(encodeCommand(host.wrap(plain, applet ? { wireCla: plain.cla } : {})));
      // Two rows carry a C-MAC with one bit changed on purpose.
      const damaged = wrapped !== row.sent;
      if (damaged) assert.equal(wrapped.slice(0, -2), row.sent.slice(0, -2), label);
      const unwrapped = card.unwrap(sent);
      if (damaged || !card.alive) {
        assert.deepEqual(unwrapped, { sw: 0x6988 }, label);
        assert.ok(["6988", "6982"].includes(row.sw), label);
        refused++;
        continue;
      }
      assert.ok("data" in unwrapped, label);
      assert.deepEqual(unwrapped.data, plain.data, label);
      const answer = host.unwrap(decodeResponse(fromHex(row.received)));
      assert.equal(toHex(answer.data), row.plain_response ?? "", label);
      assert.equal(toHex(encodeResponse(card.wrap(answer))), row.received, label);
    }
  }
  assert.equal(rows, 610);
  // The two damaged ones, and the two that follow the first.
  assert.equal(refused, 4);
});

Deno.test("mutualAuthenticate() derives the recorded keys from the recorded answers of b_backup.json", async () => {
  const { secrets, exchanges } = loadVector<Recording>("card/b_backup.json");
  const capsule = secrets.capsule[0]!;
  const draws = [capsule.host_challenge, capsule.host_ephemeral_private].map(fromHex);
  const rows = exchanges.filter(({ step }) => step.endsWith("CERTIFICATE"));
  const recordedHost = parseHostCertificate(decodeCommand(fromHex(rows[2]!.plain_command)).data);
  const seen: CommandApdu[] = [];
  const result = await mutualAuthenticate({
    send: (c) => {
      const row = rows[seen.push(c) - 1]!;
      return Promise.resolve(response(parseInt(row.sw, 16), fromHex(row.plain_response!)));
    },
    issuerPublicKey: fromHex(secrets.issuer_public),
    host: { ...recordedHost, privateKey: new Secret(fromHex(secrets.host_static_private)) },
    random: () => draws.shift()!,
    strict: false,
    expectedSerial: fromHex(secrets.card_serial),
  });
  seen.slice(0, 3).forEach((c, i) => assert.equal(toHex(encodeCommand(c)), rows[i]!.plain_command));
  // The fourth holds a signature, which is another one each time; the key under it is the recorded one.
  const ephemeral = parseHostEphemeral(seen[3]!.data);
  assert.equal(toHex(ephemeral.ephemeral), capsule.host_ephemeral_public);
  assert.equal(toHex(result.capsuleKeys.enc.reveal()), capsule.enc_key);
  assert.equal(toHex(result.capsuleKeys.mac.reveal()), capsule.mac_key_used);
  assert.equal(toHex(result.cardSerial), secrets.card_serial);
  assert.equal(toHex(result.cardChallenge), capsule.card_challenge);
});

Deno.test("parseStatus() names the recorded states", () => {
  const { exchanges } = loadVector<Recording>("card/b_backup.json");
  const states = exchanges.filter(({ step }) => step === "GET STATUS")
    .map(({ plain_response }) => parseStatus(fromHex(plain_response!)));
  assert.deepEqual(states.map(({ lifeCycle, transient }) => [lifeCycle, transient]), [
    [LIFE_CYCLE.ATTESTED, TRANSIENT.INITIALIZED],
    [LIFE_CYCLE.ATTESTED, TRANSIENT.AUTHENTICATED],
    [LIFE_CYCLE.ATTESTED, TRANSIENT.AUTHENTICATED],
    [LIFE_CYCLE.USER_PERSONALIZED, TRANSIENT.PIN_UNLOCKED],
  ]);
  assert.deepEqual(states[0]!.version, { major: 1, minor: 0, patch: 0 });
});
