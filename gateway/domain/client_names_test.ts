import assert from "node:assert/strict";
import fc from "fast-check";
import type { CertificateNames } from "shared/protocol/x509/names.ts";
import { decideAccess } from "./access.ts";
import { compileClientPatterns, isClientPattern } from "./client_names.ts";

const names = (more: Partial<CertificateNames>): CertificateNames => ({
  uris: [],
  dns: [],
  subject: [],
  ...more,
});
const accepts = (pattern: string, more: Partial<CertificateNames>) =>
  compileClientPatterns([pattern])(names(more));

Deno.test("compileClientPatterns() compares DNS names label by label", () => {
  const pattern = "dns:*.line.example";
  assert.ok(accepts(pattern, { dns: ["a.line.example"] }));
  assert.ok(accepts("dns:A.Line.example", { dns: ["a.line.example"] }));
  for (
    const dns of [
      "line.example",
      "a.b.line.example",
      "a.line.example.evil",
      "*.line.example",
      ".line.example",
      "axline.example",
    ]
  ) {
    assert.ok(!accepts(pattern, { dns: [dns] }), dns);
  }
  assert.ok(!accepts(pattern, { uris: ["dns:a.line.example"] }), "a URI is no DNS name");
  assert.ok(!accepts("urn:a:b", { dns: ["urn:a:b"] }));
});

Deno.test("compileClientPatterns() compares whole subjects, attribute by attribute", () => {
  const pattern = "subject:CN=*,O=Factory";
  assert.ok(accepts(pattern, { subject: [{ CN: ["a"] }, { O: ["Factory"] }] }));
  const others: CertificateNames["subject"][] = [
    [{ CN: ["a"] }],
    [{ O: ["Factory"] }, { CN: ["a"] }],
    [{ CN: ["a"] }, { O: ["Factory"] }, { OU: ["x"] }],
    [{ CN: ["a,O=Factory"] }],
    [{ CN: [""] }, { O: ["Factory"] }],
    [{ CN: ["a"], OU: ["x"] }, { O: ["Factory"] }],
    [{ CN: ["a"] }, { O: ["factory"] }],
    [],
  ];
  for (const subject of others) assert.ok(!accepts(pattern, { subject }), JSON.stringify(subject));
  assert.ok(accepts("subject:CN=a\\,b", { subject: [{ CN: ["a,b"] }] }));
  assert.ok(accepts("subject:CN=\\*", { subject: [{ CN: ["*"] }] }));
  assert.ok(!accepts("subject:CN=\\*", { subject: [{ CN: ["a"] }] }));
});

Deno.test("compileClientPatterns() has no regular expression in it", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (a, b) => {
    fc.pre(!/[*,\\]/.test(a));
    assert.equal(accepts(`subject:CN=${a}`, { subject: [{ CN: [b] }] }), a === b);
  }));
});

Deno.test("isClientPattern() takes what can be meant", () => {
  for (
    const good of [
      "urn:a:*",
      "dns:a.example",
      "dns:*.example",
      "subject:CN=a",
      "subject:CN=*,O=b",
      "subject:cn=a",
    ]
  ) {
    assert.ok(isClientPattern(good), good);
  }
  for (
    const bad of [
      ...["dns:", "dns:*", "dns:a*.example", "dns:*.*.example", "dns:a..b", "dns:.a", "dns:a b"],
      ...[
        "subject:",
        "subject:CN=*",
        "subject:CN=",
        "subject:a",
        "subject:X=a",
        "subject:CN=a*",
        "subject:CN=a,",
      ],
      ...["*", "urn:a:x*", "a"],
    ]
  ) assert.ok(!isClientPattern(bad), bad);
});

Deno.test("decideAccess() asks for authority, then for name or role, and says which failed", () => {
  const stations = compileClientPatterns(["urn:x:station:*"]);
  const admins = compileClientPatterns(["urn:x:admin:*"]);
  const rule = {
    authorities: ["line", "staff"],
    identities: stations,
    roles: [{ authorities: ["staff"], identities: admins }],
  };
  const client = (uri: string, group?: string) => ({ names: names({ uris: [uri] }), group });
  const reason = (uri: string, group?: string) => decideAccess(rule, client(uri, group))?.reason;
  assert.equal(reason("urn:x:station:a", "line"), undefined);
  assert.equal(reason("urn:x:station:a", "other"), "authority-not-allowed");
  assert.equal(
    reason("urn:x:station:a"),
    "authority-not-allowed",
    "an authority without a name is not on a list",
  );
  assert.equal(reason("urn:x:guest:a", "line"), "identity-not-allowed");
  assert.equal(reason("urn:x:admin:a", "staff"), undefined);
  assert.equal(reason("urn:x:admin:a", "line"), "role-authority-not-allowed");
});
