import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { command, encodeCommand } from "../apdu/command.ts";
import {
  installForExtradition,
  installForInstall,
  installForLoad,
  installForMakeSelectable,
  installForPersonalization,
  installForRegistryUpdate,
} from "./install.ts";
import { parseInstall } from "./install_parser.ts";
import { PRIVILEGE } from "./constants.ts";

const PACKAGE = fromHex("A0000000624C4544474552303100");
const APPLET = fromHex("A0000000624C45444745523031");
const SSD = fromHex("5353445F4C4544474552");
const EMPTY = new Uint8Array(0);

const AID = fc.uint8Array({ minLength: 5, maxLength: 16 });
const PRIVILEGES = fc.integer({ min: 0, max: 0xffffff });
const SHORT = fc.uint8Array({ maxLength: 40 });

Deno.test("installForLoad() lays out package, domain, hash, parameters, token", () => {
  equal(
    toHex(
      encodeCommand(installForLoad({ packageAid: PACKAGE, securityDomainAid: SSD, hash: fromHex("AABB") })),
    ),
    "80E602001F" + "0EA0000000624C4544474552303100" + "0A5353445F4C4544474552" + "02AABB" + "00" + "00",
  );
  equal(
    toHex(installForLoad({ packageAid: PACKAGE, parameters: fromHex("EF00"), token: fromHex("01") }).data),
    "0EA0000000624C4544474552303100" + "00" + "00" + "02EF00" + "0101",
  );
});

Deno.test("installForInstall() lays out package, module, instance, privileges, C9, token", () => {
  const apdu = installForInstall({ packageAid: PACKAGE, moduleAid: APPLET, instanceAid: APPLET });
  equal(
    toHex(encodeCommand(apdu)),
    "80E60C0031" + "0EA0000000624C4544474552303100" + "0DA0000000624C45444745523031".repeat(2) +
      "0100" + "02C900" + "00",
  );
  const domain = installForInstall({
    packageAid: fromHex("A0000001515350"),
    moduleAid: fromHex("A000000151535041"),
    instanceAid: SSD,
    privileges: PRIVILEGE.SECURITY_DOMAIN | PRIVILEGE.TRUSTED_PATH,
    applicationParameters: fromHex("810203708201"),
    systemParameters: fromHex("EF00"),
    makeSelectable: false,
    cla: 0x84,
  });
  equal(
    toHex(encodeCommand(domain)),
    "84E604002C" + "07A0000001515350" + "08A000000151535041" + "0A5353445F4C4544474552" + "03808000" +
      "0AC906810203708201EF00" + "00",
  );
});

Deno.test("installForMakeSelectable(), installForExtradition(), installForRegistryUpdate() byte for byte", () => {
  equal(
    toHex(encodeCommand(installForMakeSelectable({ instanceAid: APPLET }))),
    "80E6080014" + "0000" + "0DA0000000624C45444745523031" + "0100" + "00" + "00",
  );
  equal(
    toHex(encodeCommand(installForExtradition({ securityDomainAid: SSD, aid: APPLET }))),
    "80E610001D" + "0A5353445F4C4544474552" + "00" + "0DA0000000624C45444745523031" + "00" + "00" + "00",
  );
  equal(
    toHex(encodeCommand(installForRegistryUpdate({ instanceAid: APPLET, privileges: 0 }))),
    "80E6400014" + "0000" + "0DA0000000624C45444745523031" + "0100" + "00" + "00",
  );
});

Deno.test("installForLoad() writes lengths of parameters and token from 128 bytes on as BER does", () => {
  const token = new Uint8Array(128).fill(1);
  ok(toHex(installForLoad({ packageAid: PACKAGE, token }).data).endsWith("008180" + toHex(token)));
});

Deno.test("parseInstall() undoes every builder", () => {
  fc.assert(fc.property(
    AID,
    AID,
    AID,
    PRIVILEGES,
    SHORT,
    SHORT,
    fc.boolean(),
    (packageAid, moduleAid, instanceAid, privileges, some, token, makeSelectable) => {
      deepEqual(
        parseInstall(
          installForLoad({ packageAid, securityDomainAid: moduleAid, hash: some, parameters: some, token }),
        ),
        { kind: "load", packageAid, securityDomainAid: moduleAid, hash: some, parameters: some, token },
      );
      const install = parseInstall(installForInstall({
        packageAid,
        moduleAid,
        instanceAid,
        privileges,
        applicationParameters: some,
        systemParameters: fromHex("EF00"),
        token,
        makeSelectable,
      }));
      ok(install.kind === "install");
      const { parameters, ...rest } = install;
      ok(toHex(parameters).endsWith(toHex(some) + "EF00"));
      deepEqual(rest, {
        kind: "install",
        makeSelectable,
        packageAid,
        moduleAid,
        instanceAid,
        privileges,
        applicationParameters: some,
        token,
      });
      deepEqual(
        parseInstall(installForMakeSelectable({ instanceAid, privileges, parameters: some, token })),
        { kind: "make-selectable", instanceAid, privileges, parameters: some, token },
      );
      deepEqual(
        parseInstall(
          installForExtradition({ securityDomainAid: moduleAid, aid: instanceAid, parameters: some, token }),
        ),
        { kind: "extradition", securityDomainAid: moduleAid, aid: instanceAid, parameters: some, token },
      );
      deepEqual(
        parseInstall(installForRegistryUpdate({ instanceAid, privileges, parameters: some, token })),
        {
          kind: "registry-update",
          securityDomainAid: undefined,
          instanceAid,
          privileges,
          parameters: some,
          token,
        },
      );
      deepEqual(parseInstall(installForPersonalization(instanceAid)), {
        kind: "personalization",
        instanceAid,
      });
    },
  ));
});

Deno.test("parseInstall() absent optional fields are undefined or empty", () => {
  deepEqual(parseInstall(installForLoad({ packageAid: PACKAGE })), {
    kind: "load",
    packageAid: PACKAGE,
    securityDomainAid: undefined,
    hash: EMPTY,
    parameters: EMPTY,
    token: EMPTY,
  });
  deepEqual(parseInstall(installForRegistryUpdate({ securityDomainAid: SSD })), {
    kind: "registry-update",
    securityDomainAid: SSD,
    instanceAid: undefined,
    privileges: undefined,
    parameters: EMPTY,
    token: EMPTY,
  });
});

Deno.test("parseInstall() every truncation and every added byte is refused", () => {
  const commands = [
    installForLoad({
      packageAid: PACKAGE,
      securityDomainAid: SSD,
      hash: fromHex("AABB"),
      token: new Uint8Array(130),
    }),
    installForInstall({ packageAid: PACKAGE, moduleAid: APPLET, instanceAid: APPLET, privileges: 0x808000 }),
    installForMakeSelectable({ instanceAid: APPLET }),
    installForExtradition({ securityDomainAid: SSD, aid: APPLET }),
    installForRegistryUpdate({ instanceAid: APPLET, privileges: 0 }),
    installForPersonalization(APPLET),
  ];
  for (const apdu of commands) {
    for (let length = 0; length < apdu.data.length; length++) {
      throws(() => parseInstall({ ...apdu, data: apdu.data.slice(0, length) }), { code: "GP_COMMAND" });
    }
    const longer = new Uint8Array(apdu.data.length + 1);
    longer.set(apdu.data);
    throws(() => parseInstall({ ...apdu, data: longer }), { code: "GP_COMMAND" });
  }
});

Deno.test("parseInstall() reads or refuses with a code, whatever the bytes", () => {
  const p1 = fc.constantFrom(0x02, 0x04, 0x0c, 0x08, 0x10, 0x20, 0x40, 0x00, 0x80);
  fc.assert(
    fc.property(p1, fc.uint8Array({ maxLength: 40 }), (variant, data) => {
      try {
        parseInstall(command(0x80, 0xe6, variant, 0, data));
      } catch (error) {
        ok(/^(GP_COMMAND|TLV_)/.test((error as { code: string }).code), String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseInstall() tells a wrong P1 from wrong data", () => {
  throws(() => parseInstall(command(0x80, 0xe6, 0x01, 0)), {
    code: "GP_COMMAND",
    details: { parameters: true },
  });
});

Deno.test("installFor...() refuses AIDs, privileges and lengths out of range", () => {
  throws(() => installForPersonalization(new Uint8Array(4)), { code: "GP_AID" });
  throws(() => installForPersonalization(new Uint8Array(17)), { code: "GP_AID" });
  const some = { packageAid: PACKAGE, moduleAid: APPLET, instanceAid: APPLET };
  throws(() => installForInstall({ ...some, privileges: 0x1000000 }), { code: "GP_PRIVILEGES" });
  throws(() => installForInstall({ ...some, privileges: new Uint8Array(2) }), { code: "GP_PRIVILEGES" });
  throws(() => installForInstall({ ...some, applicationParameters: new Uint8Array(240) }), {
    code: "GP_FIELD_LENGTH",
  });
  throws(() => installForLoad({ packageAid: PACKAGE, hash: new Uint8Array(256) }), {
    code: "GP_FIELD_LENGTH",
  });
});
