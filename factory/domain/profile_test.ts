import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { checkProfile, CONTRADICTIONS, parseProfile, type Profile, withoutExplanations } from "./profile.ts";
import { encodeBatchFile, parseBatchFile } from "./profile_batch.ts";
import { canonicalJson } from "shared/base/canonical_json.ts";
import { profileHash } from "./profile_hash.ts";
import { profileTemplate, TEMPLATE_NAMES } from "./profile_template.ts";

type Json = Record<string, unknown>;

const template = (name: string) => JSON.parse(profileTemplate(name)) as Json;

/** A profile with values put at paths. */
function changed(name: string, changes: Readonly<Record<string, unknown>>): Json {
  const value = template(name);
  for (const [path, put] of Object.entries(changes)) {
    const keys = path.split(".");
    let at = value;
    for (const key of keys.slice(0, -1)) at = at[key] as Json;
    if (put === undefined) delete at[keys.at(-1)!];
    else at[keys.at(-1)!] = put;
  }
  return value;
}

function refused(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof CodedError && error.code === code && words.test(error.message);
}

for (const name of TEMPLATE_NAMES) {
  Deno.test(`profileTemplate() ${name} is a profile, and every field is explained`, () => {
    const value = template(name);
    const profile = checkProfile(value);
    assert.equal(profile.name, name);
    const walk = (node: Json) => {
      for (const [key, inner] of Object.entries(node)) {
        if (key.startsWith("//")) continue;
        assert.equal(typeof node[`//${key}`], "string", key);
        if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) walk(inner as Json);
      }
    };
    walk(value);
    // Every field of the schema is in the template: without a default left out, nothing changes.
    assert.deepEqual(withoutExplanations(value), profile);
  });
}

Deno.test("profileTemplate() unknown name", () => {
  assert.throws(() => profileTemplate("other"), refused("PROFILE_TEMPLATE_UNKNOWN", /other/));
});

Deno.test("checkProfile() names the field and never its value", () => {
  const secret = "0123456789ABCDEF0123456789ABCDEX";
  const cases: [Json, RegExp][] = [
    [{ "isdKeys.given.enc": secret }, /isdKeys\.given\.enc/],
    [{ "isdKeys.typo": 1 }, /isdKeys\.typo: there is no such field/],
    [{ colour: "red" }, /colour: there is no such field/],
    [{ name: undefined }, /name/],
    [{ "aids.isd": "A0" }, /aids\.isd: give 5 to 16 bytes/],
    [{ "isdKeys.version": 256 }, /isdKeys\.version/],
    [{ securityLevel: "01" }, /securityLevel: give 03, 13 or 33/],
    [{ loadBlockSize: 240 }, /loadBlockSize: at most 239/],
    [{ targetId: "3340" }, /targetId: give 4 bytes/],
    [{ expectedCplc: { icType: "D6" } }, /expectedCplc\.icType: give 2 bytes/],
    [{ "secure.setSecured": "yes" }, /secure\.setSecured/],
    [{ "testLimits.minimumVersion": "1.2" }, /testLimits\.minimumVersion/],
  ];
  for (const [change, words] of cases) {
    assert.throws(() => checkProfile(changed("test-card", change)), (error) => {
      assert.ok(error instanceof CodedError);
      assert.equal(error.code, "PROFILE_FIELD");
      assert.match(error.message, words);
      assert.ok(!error.message.includes(secret) && !JSON.stringify(error.details).includes(secret));
      return true;
    });
  }
  assert.throws(() => parseProfile(`{"isdKeys": ${secret}`), (error) => {
    assert.ok(error instanceof CodedError && error.code === "PROFILE_NOT_JSON");
    return !error.message.includes(secret);
  });
});

Deno.test("checkProfile() every contradiction is found and names its fields", () => {
  const key = "11".repeat(16);
  const cases: [string, string, Json][] = [
    ["isdKeys.source", "test-card", { "isdKeys.given": null }],
    ["isdKeys.lengthBytes", "test-card", { "isdKeys.lengthBytes": 32 }],
    ["ssdKeys.enc", "recovery-key", { "ssdKeys.enc": key.repeat(2) }],
    ["ssd and ssdKeys", "recovery-key", { ssdKeys: null }],
    ["ssd and personalizeThrough", "recovery-key", { ssd: "none", ssdKeys: null }],
    ["personalizeThrough and appletChannel", "recovery-key", { appletChannel: "isd" }],
    ["appletChannel and isdKeys.source", "recovery-key", { appletChannel: "isd", personalizeThrough: "isd" }],
    ["appletChannel and secure.replaceIsdKeys", "test-card", {
      "secure.replaceIsdKeys": true,
      "secure.newKeyVersion": 2,
    }],
    ["secure.replaceIsdKeys and secure.newKeyVersion", "recovery-key", { "secure.newKeyVersion": null }],
    ["secure.newKeyVersion and isdKeys.version", "recovery-key", { "secure.newKeyVersion": 48 }],
    ["applet.state and applet.capPath", "recovery-key", { "applet.capPath": null, "applet.capSha256": null }],
    ["applet.signedPath and applet.releaseKey", "recovery-key", { "applet.releaseKey": null }],
    ["applet.state, applet.signedPath and applet.unsigned", "recovery-key", {
      "applet.signedPath": null,
      "applet.releaseKey": null,
      "applet.dapDomain": null,
    }],
    ["applet.unsigned and isdKeys.source", "recovery-key", {
      "applet.signedPath": null,
      "applet.releaseKey": null,
      "applet.dapDomain": null,
      "applet.unsigned": true,
    }],
    ["applet.unsigned and secure", "test-card", {
      "applet.state": "load",
      "applet.capPath": "a.cap",
      "applet.capSha256": "11".repeat(32),
      "applet.unsigned": true,
      "secure.setSecured": true,
    }],
    ["applet.dapDomain and applet.signedPath", "test-card", { "applet.dapDomain": "A000000151000000" }],
    ["applet.dapDomain and isdKeys.source", "recovery-key", { "applet.dapDomain": null }],
    ["applet.state and ssd", "recovery-key", { applet: { state: "instance" } }],
    ["aids.ssdInstance", "test-card", { "aids.appletInstance": "A000000151000000" }],
    ["aids.appletPackage", "test-card", {
      "aids.appletInstance": "A0000000624C4544474552303100",
      "applet.state": "package",
    }],
    ["certificateTags", "test-card", { certificateTags: ["20", "33", "15"] }],
  ];
  for (const [fields, name, change] of cases) {
    assert.throws(
      () => checkProfile(changed(name, change)),
      (error) =>
        error instanceof CodedError && error.code === "PROFILE_CONTRADICTION" &&
        error.message.includes(fields),
      fields,
    );
  }
  assert.equal(cases.length, CONTRADICTIONS.length);
});

Deno.test("checkProfile() a package is loaded unsigned on a test card that says so, and on no other", () => {
  const load = {
    "applet.state": "load",
    "applet.capPath": "a.cap",
    "applet.capSha256": "11".repeat(32),
  };
  assert.ok(checkProfile(changed("test-card", { ...load, "applet.unsigned": true })).applet.unsigned);
  const words = /applet\.(signedPath|unsigned)/;
  assert.throws(() => checkProfile(changed("test-card", load)), refused("PROFILE_CONTRADICTION", words));
  const both = { "applet.unsigned": true };
  assert.throws(() => checkProfile(changed("recovery-key", both)), refused("PROFILE_CONTRADICTION", words));
});

Deno.test("profileHash() of a profile from before packages were signed stays what it was", () => {
  const value = withoutExplanations(template("test-card")) as Json;
  value.applet = { state: "instance", capPath: null, capSha256: null };
  const old = "0C346B2DDBD27E88E26FCD16DA587EBB350A9FC43AA68367E398656EDD0DA35D";
  assert.equal(profileHash(checkProfile(value)), old);
});

Deno.test("checkProfile() what a foreign card lacks may be left out", () => {
  const key = "11".repeat(32);
  const profile = checkProfile({
    name: "foreign",
    aids: { isd: "A000000151000000", appletInstance: "a0 00 00 00 62 4c 45 44 47 45 52 30 31" },
    isdKeys: { version: 0x30, lengthBytes: 32, source: "given", given: { enc: key, mac: key, dek: key } },
    ssd: "none",
    applet: { state: "instance" },
    appletChannel: "isd",
    personalizeThrough: "isd",
    secure: { setSecured: false, replaceIsdKeys: false },
  });
  assert.equal(profile.aids.appletInstance, "A0000000624C45444745523031");
  assert.equal(profile.expectedCplc, null);
  assert.equal(profile.anonymousChips, true);
});

Deno.test("profileHash() does not depend on explanations, order or spacing, and on every value", () => {
  const value = template("recovery-key");
  const hash = profileHash(checkProfile(value));
  const reversed = Object.fromEntries(Object.entries(withoutExplanations(value) as Json).reverse());
  assert.equal(profileHash(checkProfile(reversed)), hash);
  const other: Profile = checkProfile(changed("recovery-key", { loadBlockSize: 200 }));
  assert.notEqual(profileHash(other), hash);
});

Deno.test("canonicalJson() RFC 8785, 3.2.3: members by UTF-16 code units", () => {
  assert.equal(
    canonicalJson({ "\u20ac": 1, "\r": 2, "1": [true, null, "\u000f\n"] }),
    '{"\\r":2,"1":[true,null,"\\u000f\\n"],"€":1}',
  );
});

Deno.test("parseBatchFile() takes what encodeBatchFile wrote and refuses another profile", () => {
  const profile = checkProfile(template("test-card"));
  const batch = {
    batch: "b-1",
    profile,
    profileSha256: profileHash(profile),
    quantity: 3,
    firstSerial: "00000001",
    lastSerial: "00000003",
    issuerPublicKey: "04".repeat(65),
  };
  assert.deepEqual(parseBatchFile(encodeBatchFile(batch)), batch);
  const other = { ...batch, profile: { ...profile, loadBlockSize: 100 } };
  assert.throws(() => parseBatchFile(encodeBatchFile(other)), refused("BATCH_FILE_CHANGED", /profileSha256/));
  assert.throws(() => parseBatchFile("{}"), refused("BATCH_FILE_UNREADABLE", /profileSha256/));
  assert.throws(() => parseBatchFile("no"), refused("BATCH_FILE_UNREADABLE", /JSON/));
});
