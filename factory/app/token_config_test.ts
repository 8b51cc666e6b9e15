import assert from "node:assert/strict";
import { parseTokenConfig, tokenArguments, tokenFromOptions } from "./token_config.ts";

Deno.test("parseTokenConfig() both kinds, YAML and JSON, paths from the file's folder", () => {
  const software = parseTokenConfig("file: keys.json\npassphraseFile: /p", "/f");
  assert.deepEqual(software, { kind: "software", file: "/f/keys.json", passphraseFile: "/p" });
  const token = { library: "/lib.so", tokenLabel: "t", pinFile: "pin", environment: { A_CONF: "/c" } };
  const pkcs11 = parseTokenConfig(JSON.stringify(token), "/f");
  assert.deepEqual(pkcs11, { kind: "pkcs11", ...token, pinFile: "/f/pin" });
  assert.deepEqual(tokenFromOptions({ file: "k", passphraseFile: "p" }, "/f"), {
    kind: "software",
    file: "/f/k",
    passphraseFile: "/f/p",
  });
  assert.equal(tokenFromOptions({}, "/f"), undefined);
  for (const config of [software, pkcs11]) {
    const values = tokenArguments(config);
    assert.equal(values.length % 2, 0);
    assert.ok(values.includes(config.kind === "pkcs11" ? "/f/pin" : "/p"));
  }
});

Deno.test("parseTokenConfig() refuses half a token, both, and a PIN that stands in it", () => {
  const cases = [
    "file: keys.json",
    "library: /l\ntokenLabel: t",
    "library: /l\ntokenLabel: t\npinFile: p\nfile: f",
    "library: /l\ntokenLabel: t\npin: '123456'",
    "- a",
    "",
    "{",
  ];
  for (const text of cases) {
    assert.throws(() => parseTokenConfig(text, "/f"), (error) => {
      assert.equal((error as { code?: string }).code, "TOKEN_CONFIG");
      assert.ok(!String(error).includes("123456"));
      return true;
    });
  }
  assert.throws(() => tokenFromOptions({ file: "f" }, "/f"), { code: "TOKEN_CONFIG" });
});
