/** The applet: its data, its key, its certificate, its status. spec/card.md, section 7, steps 4 to 7. */

import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import { installForPersonalization } from "shared/protocol/gp/install.ts";
import { storeDataCommands } from "shared/protocol/gp/store_data.ts";
import {
  getPublicKeyCommand,
  getStatusCommand,
  setCertificateCommand,
  setStatusAttestedCommand,
} from "shared/protocol/recovery_key/commands.ts";
import { personalizationData } from "shared/protocol/recovery_key/personalization_data.ts";
import { parsePublicKeyAnswer } from "shared/protocol/recovery_key/public_key.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import { type AppletStatus, parseStatus } from "shared/protocol/recovery_key/status.ts";
import { type Exchange, type Exchanges, expectData, known } from "./exchange.ts";
import type { CardFacts } from "./facts.ts";
import { APPLET_LIFE_CYCLE } from "./start.ts";

/** INSTALL [for personalization] and STORE DATA, one DGI for each command, in the recorded order. */
export const personalize: Exchanges = (facts, profile) => {
  const stores = storeDataCommands(personalizationData({
    serial: known(facts.serial, "the serial"),
    attestationKey: known(facts.personalizationKey, "the DGI 8137 key"),
    issuerPublicKey: facts.issuerPublicKey,
  }));
  return [
    {
      name: "begin to personalize the applet",
      command: installForPersonalization(fromHex(profile.aids.appletInstance)),
      // `00`, no confirmation, as recorded; GPC 2.3.1, 11.5.3.1 lets a card leave it out.
      check: (answer) =>
        answer.data.length === 0 || expectData(answer, Uint8Array.of(0), "INSTALL [for personalization]"),
    },
    ...stores.map((command, i): Exchange => ({
      name: `store part ${i + 1} of ${stores.length} of the applet's data`,
      command,
      check: (answer, facts) => {
        expectData(answer, new Uint8Array(0), "STORE DATA");
        // It is on the card, and nothing needs it here any more.
        if (i === stores.length - 1) facts.personalizationKey?.wipe();
      },
    })),
  ];
};

function readStatus(
  name: string,
  lifeCycle: number,
  more?: (status: AppletStatus, facts: CardFacts) => void,
): Exchange {
  return {
    name,
    command: getStatusCommand(),
    check: (answer, facts) => {
      const status = parseStatus(answer.data);
      if (!equal(status.serial, known(facts.serial, "the serial"))) {
        throw new CodedError(
          "CARD_SERIAL_MISMATCH",
          `Cannot ${name}: the card has serial ${toHex(status.serial)}, ${
            toHex(facts.serial!)
          } was reserved for it`,
        );
      }
      if (status.lifeCycle !== lifeCycle) {
        throw new CodedError(
          "CARD_NOT_ATTESTED",
          `Cannot ${name}: the applet reports life cycle ${status.lifeCycle}, not ${lifeCycle}`,
        );
      }
      facts.applet = status;
      more?.(status, facts);
    },
  };
}

/** Reads back what STORE DATA wrote, as far as it can be read: the serial, and that nothing is certified yet. */
export const readBack: Exchanges = () => [readStatus("read the serial back", APPLET_LIFE_CYCLE.FABRICATION)];

/** GET PUBLIC KEY: the card makes its key. The answer is in the journal before it is looked at. */
export const createKey: Exchanges = (_facts, profile) => [{
  name: "create the card's key",
  command: getPublicKeyCommand(),
  check: (answer, facts) => {
    const { publicKey, serial, signature } = parsePublicKeyAnswer(answer.data);
    if (!equal(serial, known(facts.serial, "the serial"))) {
      throw new CodedError(
        "CARD_SERIAL_MISMATCH",
        `Cannot accept the card's key: it comes with serial ${toHex(serial)}`,
      );
    }
    const message = cardKeyMessage(fromHex(profile.targetId), publicKey);
    const signer = known(facts.personalizationPublicKey, "the DGI 8137 public key");
    if (!ecdsaVerify(signer, message, signature)) {
      throw new CodedError("CARD_KEY_SIGNATURE", "Cannot accept the card's key: its signature is wrong");
    }
    facts.publicKey = publicKey;
    facts.publicKeySignature = signature;
  },
}];

/** SET CERTIFICATE, read back by the life cycle. */
export const setCertificate: Exchanges = (facts) => [
  {
    name: "write the certificate",
    command: setCertificateCommand(known(facts.certificate, "the certificate")),
    check: (answer) => expectData(answer, new Uint8Array(0), "SET CERTIFICATE"),
  },
];

/** Factory tests: what the card reports, against the profile's limits. */
export const testCard: Exchanges = (_facts, profile) => [
  readStatus("test the card", APPLET_LIFE_CYCLE.PENDING_TESTS, ({ version }, { cardMilliseconds }) => {
    const { minimumVersion, cardMillisecondsMax } = profile.testLimits;
    if (cardMillisecondsMax !== null && cardMilliseconds > cardMillisecondsMax) {
      throw new CodedError(
        "CARD_TEST_FAILED",
        `Cannot pass card: it took ${Math.round(cardMilliseconds)} ms, ${cardMillisecondsMax} are allowed`,
      );
    }
    if (minimumVersion === null) return;
    const [major = 0, minor = 0, patch = 0] = minimumVersion.split(".").map(Number);
    const older = version.major - major || version.minor - minor || version.patch - patch;
    if (older < 0) {
      throw new CodedError(
        "CARD_TEST_FAILED",
        `Cannot pass card: applet version ${version.major}.${version.minor}.${version.patch} is older than ${minimumVersion}`,
      );
    }
  }),
];

/** SET STATUS attested, and GET STATUS, which must say 2/1. */
export const setAttested: Exchanges = () => [
  {
    name: "declare the card attested",
    command: setStatusAttestedCommand(),
    check: (answer) => expectData(answer, new Uint8Array(0), "SET STATUS"),
  },
  ...readAttested,
];

/** Transient state Initialized; spec/card.md, section 3. */
const TRANSIENT_INITIALIZED = 1;

/** GET STATUS that must say 2/1. */
export const readAttested: readonly Exchange[] = [
  readStatus("see that the card is attested", APPLET_LIFE_CYCLE.ATTESTED, ({ transient }) => {
    if (transient !== TRANSIENT_INITIALIZED) {
      throw new CodedError(
        "CARD_NOT_ATTESTED",
        `Cannot pass card: its transient state is ${transient}, not 1`,
      );
    }
  }),
];
