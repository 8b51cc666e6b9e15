import assert from "node:assert/strict";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { lifeCycleWord, parsePrivileges, privilegeNames, versionWord } from "./names.ts";

Deno.test("privileges have names both ways, and hex", () => {
  assert.deepEqual(privilegeNames(0x808000), ["SECURITY_DOMAIN", "TRUSTED_PATH"]);
  assert.deepEqual(privilegeNames(0), []);
  for (const [name, bits] of Object.entries(PRIVILEGE)) {
    assert.equal(parsePrivileges(name.toLowerCase()), bits);
  }
  assert.equal(parsePrivileges("security-domain, trusted path"), 0x808000);
  assert.equal(parsePrivileges("80"), 0x800000);
  assert.equal(parsePrivileges("808000"), 0x808000);
  for (const wrong of ["8080", "ROOT", ""]) {
    assert.throws(() => parsePrivileges(wrong), { code: "CARDTOOL_USAGE" });
  }
});

Deno.test("lifeCycleWord() reads a number by what it belongs to", () => {
  assert.equal(lifeCycleWord("issuer-domain", 0x0f), "SECURED");
  assert.equal(lifeCycleWord("issuer-domain", 0x7f), "CARD_LOCKED");
  assert.equal(lifeCycleWord("domain", 0x0f), "PERSONALIZED");
  assert.equal(lifeCycleWord("application", 0x0f), "SPECIFIC 0F");
  assert.equal(lifeCycleWord("application", 0x87), "LOCKED (SELECTABLE)");
  assert.equal(lifeCycleWord("package", 0x01), "LOADED");
  assert.equal(versionWord(Uint8Array.of(1, 2)), "1.2");
  assert.equal(versionWord(undefined), null);
});
