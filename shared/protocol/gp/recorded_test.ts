import { deepEqual, equal } from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { encodeCommand } from "../apdu/command.ts";
import { encodeDgi } from "../tlv/dgi.ts";
import { loadVector } from "tests/vectors/load.ts";
import { CARD_LIFE_CYCLE, cardLifeCycleName, hasPrivilege, PRIVILEGE } from "./constants.ts";
import { cplcChipId, cplcHex, encodeCplc, getCplcCommand, parseCplc } from "./cplc.ts";
import { encodeCardData, getCardDataCommand, parseCardData } from "./card_data.ts";
import { encodeStatusEntry, getStatusCommand, parseStatusEntries, STATUS_SCOPE } from "./get_status.ts";
import { installForPersonalization } from "./install.ts";
import {
  encodeKeyInformation,
  getKeyInformationCommand,
  keyVersions,
  parseKeyInformation,
} from "./key_information.ts";
import { encodeSelectAnswer, parseSelectAnswer, selectCommand } from "./select.ts";
import { storeDataCommands } from "./store_data.ts";

interface Exchange {
  readonly step: string;
  readonly plain_command: string;
  readonly plain_response: string;
}
const { exchanges, secrets } = loadVector<
  { exchanges: Exchange[]; secrets: { issuer_private: string; issuer_public: string } }
>("card/a_personalization.json");

/** The recorded exchange of a step; the first that has that name. */
function recorded(step: string): Exchange {
  const found = exchanges.find((exchange) => exchange.step === step);
  if (found === undefined) throw new Error(`Cannot find exchange ${step}`);
  return found;
}
const answerTo = (step: string) => fromHex(recorded(step).plain_response);
const ISD = fromHex("A000000151000000");
const APPLET = fromHex("A0000000624C45444745523031");

Deno.test("CPLC command, parser and encoder give the recording", () => {
  const { plain_command, plain_response } = recorded("GET DATA CPLC");
  equal(toHex(encodeCommand(getCplcCommand())), plain_command);
  const cplc = parseCplc(fromHex(plain_response));
  equal(toHex(cplc.icFabricator), "4790");
  equal(toHex(cplc.icType), "D600");
  equal(toHex(cplc.operatingSystemReleaseLevel), "0000");
  equal(toHex(cplc.icFabricationDate), "0100");
  equal(toHex(cplc.icSerialNumber), "52494743");
  equal(toHex(cplc.icPersonalizationEquipmentId), "52494743");
  equal(toHex(encodeCplc(cplc)), plain_response);
  equal(cplcHex(cplc), plain_response.slice(6));
  equal(cplcChipId(cplc).length, 24);
});

Deno.test("card data command, parser and encoder give the recording", () => {
  const { plain_command, plain_response } = recorded("GET DATA card data");
  equal(toHex(encodeCommand(getCardDataCommand())), plain_command);
  const card = parseCardData(fromHex(plain_response));
  deepEqual(card, { globalPlatformVersion: "2.3.1", secureChannels: [{ scp: 3, i: 0x70 }] });
  equal(toHex(encodeCardData(card)), plain_response);
});

Deno.test("key information command, parser and encoder give the recording", () => {
  const { plain_command, plain_response } = recorded("GET DATA key information");
  equal(toHex(encodeCommand(getKeyInformationCommand())), plain_command);
  const keys = parseKeyInformation(fromHex(plain_response));
  deepEqual(keys, [1, 2, 3].map((id) => ({ id, version: 0x30, components: [{ type: 0x88, length: 32 }] })));
  deepEqual(keyVersions(keys), [0x30]);
  equal(toHex(encodeKeyInformation(keys)), plain_response);
});

Deno.test("SELECT command and answer give the recording, for domain and applet", () => {
  const { plain_command, plain_response } = recorded("SELECT ISD");
  equal(toHex(encodeCommand(selectCommand(ISD))), plain_command);
  const answer = parseSelectAnswer(fromHex(plain_response));
  equal(toHex(answer.aid), toHex(ISD));
  equal(answer.maxCommandData, 0xff);
  equal(answer.cardData?.globalPlatformVersion, "2.3.1");
  equal(toHex(encodeSelectAnswer(answer)), plain_response);
  equal(
    toHex(encodeCommand(selectCommand(APPLET))),
    recorded("SELECT applet").plain_command,
  );
});

Deno.test("GET STATUS commands give the recording", () => {
  const scopes = [
    ["GET STATUS ISD", STATUS_SCOPE.ISSUER_SECURITY_DOMAIN],
    ["GET STATUS applications", STATUS_SCOPE.APPLICATIONS],
    ["GET STATUS load files and modules", STATUS_SCOPE.LOAD_FILES_AND_MODULES],
  ] as const;
  for (const [step, scope] of scopes) {
    const hex = recorded(step).plain_command;
    equal(toHex(encodeCommand(getStatusCommand(scope, undefined, false, { cla: 0x84 }))), hex);
  }
});

Deno.test("parseStatusEntries() and encodeStatusEntry() give the recorded registry", () => {
  const [isd, ...more] = parseStatusEntries(answerTo("GET STATUS ISD"));
  equal(more.length, 0);
  equal(cardLifeCycleName(isd!.lifeCycle), "SECURED");
  deepEqual(isd, {
    aid: ISD,
    lifeCycle: CARD_LIFE_CYCLE.SECURED,
    privileges: 0x9efe80,
    packageAid: fromHex("A0000001515350"),
    securityDomainAid: ISD,
  });
  equal(hasPrivilege(isd!.privileges!, PRIVILEGE.AUTHORIZED_MANAGEMENT), true);
  equal(hasPrivilege(isd!.privileges!, PRIVILEGE.MANDATED_DAP_VERIFICATION), false);
  deepEqual(parseStatusEntries(answerTo("GET STATUS applications")), [{
    aid: APPLET,
    lifeCycle: 0x07,
    privileges: 0,
    packageAid: fromHex("A0000000624C4544474552303100"),
    securityDomainAid: ISD,
  }]);
  deepEqual(parseStatusEntries(answerTo("GET STATUS load files and modules")), [{
    aid: fromHex("A0000000624C4544474552303100"),
    lifeCycle: 0x01,
    moduleAids: [APPLET],
    securityDomainAid: ISD,
  }]);
  for (const step of ["GET STATUS ISD", "GET STATUS applications", "GET STATUS load files and modules"]) {
    const answer = answerTo(step);
    equal(toHex(encodeStatusEntry(parseStatusEntries(answer)[0]!)), toHex(answer));
  }
});

Deno.test("installForPersonalization() gives the recording", () => {
  const apdu = installForPersonalization(APPLET, { cla: 0x84 });
  equal(toHex(encodeCommand(apdu)), "84E620001300000DA0000000624C45444745523031000000");
  equal(toHex(encodeCommand(apdu)), recorded("INSTALL [for personalization]").plain_command);
  equal(installForPersonalization(APPLET).cla, 0x80);
});

Deno.test("storeDataCommands() gives the recording", () => {
  const commands = storeDataCommands([
    encodeDgi(0x00b9, fromHex("9501028001B1810120820121830101"), { lengthByte: false }),
    encodeDgi(0x0002, fromHex("DEADBEEF")),
    encodeDgi(0x8137, fromHex(secrets.issuer_private)),
    encodeDgi(0x0036, fromHex(secrets.issuer_public)),
  ], { cla: 0x84 });
  const steps = ["STORE DATA 00B9", "STORE DATA 0002", "STORE DATA 8137", "STORE DATA 0036"];
  deepEqual(commands.map((c) => toHex(encodeCommand(c))), steps.map((step) => recorded(step).plain_command));
});
