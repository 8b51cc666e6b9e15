import assert from "node:assert/strict";
import { ed25519 } from "@noble/curves/ed25519.js";
import { toUtf8 } from "../base/bytes.ts";
import { loadVector } from "tests/vectors/load.ts";
import { checkpointSigner } from "./testing/signers.ts";
import {
  formatNote,
  type Note,
  NOTE_BYTES_MAX,
  NOTE_SIGNATURES_MAX,
  parseNote,
  signNote,
  verifyNote,
} from "./note.ts";
import { ed25519Verifier, formatVerifierKey, parseVerifierKey, verifierKey } from "./vkey.ts";

const { note_verified: VERIFIED } = loadVector<{
  data: { note_verified: { vkey: string; note: string } };
}>("c2sp-notes.json").data;
const KEY = parseVerifierKey(VERIFIED.vkey);
const VERIFIER = ed25519Verifier(KEY);
const BYTES = toUtf8(VERIFIED.note);

Deno.test("parseNote() and verifyNote() accept the note of the specification", () => {
  const note = parseNote(BYTES);
  assert.equal(note.text, "This is an example message.\n");
  assert.equal(verifyNote(note, [VERIFIER])[0]!.name, "example.com/foo");
  assert.deepEqual(formatNote(note), BYTES);
});

Deno.test("no byte of the note can be changed", () => {
  for (let i = 0; i < BYTES.length; i++) {
    const changed = BYTES.slice();
    changed[i]! ^= 0x01;
    assert.throws(
      () => verifyNote(parseNote(changed), [VERIFIER]),
      (error: { code: string }) => /^NOTE_(MALFORMED|SIGNATURE|UNSIGNED)$/.test(error.code),
      `byte ${i}`,
    );
  }
});

Deno.test("parseNote() refuses every other form", () => {
  const line = VERIFIED.note.split("\n\n")[1]!;
  const blob = line.trimEnd().split(" ")[2]!;
  const hostile: Record<string, string> = {
    "empty": "",
    "text alone": "text\n",
    "no empty line": `text\n${line}`,
    "no signature": "text\n\n",
    "no final newline": `text\n\n${line.trimEnd()}`,
    "carriage return": `text\r\n\n${line}`,
    "tab": `te\txt\n\n${line}`,
    "nul": `te\0xt\n\n${line}`,
    "hyphen for dash": `text\n\n- example.com/foo ${blob}\n`,
    "two spaces": `text\n\n— example.com/foo  ${blob}\n`,
    "trailing space": `text\n\n— example.com/foo ${blob} \n`,
    "name with plus": `text\n\n— example.com+foo ${blob}\n`,
    "name with no-break space": `text\n\n— example.com\u00a0foo ${blob}\n`,
    "no name": `text\n\n—  ${blob}\n`,
    "no padding": `text\n\n— example.com/foo ${blob.replace(/=+$/, "")}\n`,
    "URL alphabet": `text\n\n— example.com/foo ${
      Uint8Array.from({ length: 9 }, () => 0xfb).toBase64({ alphabet: "base64url" })
    }\n`,
    "key ID alone": `text\n\n— example.com/foo ${Uint8Array.of(1, 2, 3, 4).toBase64()}\n`,
    "words among signatures": `text\n\n${line}words\n`,
  };
  for (const [name, text] of Object.entries(hostile)) {
    assert.throws(() => parseNote(toUtf8(text)), { code: "NOTE_MALFORMED" }, name);
  }
  assert.throws(() => parseNote(Uint8Array.of(0xff, 0x0a, 0x0a)), { code: "NOTE_MALFORMED" });
  assert.throws(() => parseNote(new Uint8Array(NOTE_BYTES_MAX + 1)), { code: "NOTE_TOO_LARGE" });
  assert.throws(() => parseNote(toUtf8(`text\n\n${line.repeat(NOTE_SIGNATURES_MAX + 1)}`)), {
    code: "NOTE_TOO_LARGE",
  });
});

Deno.test("a byte order mark is part of what was signed", () => {
  const marked = parseNote(toUtf8(`\ufeff${VERIFIED.note}`));
  assert.ok(marked.text.startsWith("\ufeff"));
  assert.throws(() => verifyNote(marked, [VERIFIER]), { code: "NOTE_SIGNATURE" });
});

Deno.test("the text ends at the last empty line", () => {
  const line = VERIFIED.note.split("\n\n")[1]!;
  assert.equal(parseNote(toUtf8(`a\n\nb\n\n${line}`)).text, "a\n\nb\n");
});

Deno.test("verifyNote() ignores unknown keys, refuses a known key's bad or second signature", async () => {
  const [one, two] = [checkpointSigner("log.example/one", 1), checkpointSigner("log.example/two", 2)];
  const note = parseNote(await signNote("text\n", [one.signer, two.signer]));
  assert.equal(verifyNote(note, [one.verifier]).length, 1);
  assert.equal(verifyNote(note, [two.verifier, one.verifier])[0]!.name, "log.example/one");
  assert.throws(() => verifyNote(note, [VERIFIER]), { code: "NOTE_UNSIGNED" });
  assert.throws(() => verifyNote(note, []), { code: "NOTE_UNSIGNED" });
  const sameName = checkpointSigner("log.example/one", 3);
  assert.throws(() => verifyNote(note, [sameName.verifier]), { code: "NOTE_UNSIGNED" });
  const other: Note = { text: "other\n", signatures: note.signatures };
  assert.throws(() => verifyNote(other, [one.verifier]), { code: "NOTE_SIGNATURE" });
  const first = note.signatures[0]!;
  const twice: Note = { text: note.text, signatures: [...note.signatures, first] };
  assert.throws(() => verifyNote(twice, [one.verifier]), { code: "NOTE_SIGNATURE_TWICE" });
  // Twice by a key that nobody knows is as good as once.
  assert.equal(verifyNote(twice, [two.verifier]).length, 1);
});

Deno.test("formatNote() writes nothing that parseNote() would refuse", () => {
  const { signatures } = parseNote(BYTES);
  const bad: Note[] = [
    { text: "no newline", signatures },
    { text: "a\tb\n", signatures },
    { text: "\ud800\n", signatures },
    { text: "text\n", signatures: [] },
    { text: "text\n", signatures: [{ ...signatures[0]!, name: "a b" }] },
    { text: "text\n", signatures: [{ ...signatures[0]!, signature: new Uint8Array(0) }] },
  ];
  for (const note of bad) assert.throws(() => formatNote(note), { code: "NOTE_MALFORMED" });
});

Deno.test("parseVerifierKey() reads the key of the specification and refuses every other form", () => {
  assert.equal(formatVerifierKey(KEY), VERIFIED.vkey);
  assert.equal(KEY.name, "example.com/foo");
  assert.equal(KEY.keyId, 0x530d903a);
  const [, , encoded] = /^([^+]+)\+([^+]+)\+(.+)$/.exec(VERIFIED.vkey)!.slice(1) as [string, string, string];
  const refused: [string, string][] = [
    ["", "VKEY_MALFORMED"],
    ["example.com/foo+530D903A+" + encoded, "VKEY_MALFORMED"],
    ["example.com/foo+30d903a+" + encoded, "VKEY_MALFORMED"],
    ["+530d903a+" + encoded, "VKEY_MALFORMED"],
    ["example .com/foo+530d903a+" + encoded, "VKEY_MALFORMED"],
    [VERIFIED.vkey + "\n", "VKEY_MALFORMED"],
    [VERIFIED.vkey + "=", "VKEY_MALFORMED"],
    [VERIFIED.vkey.slice(0, -4), "VKEY_MALFORMED"],
    ["example.com/fop+530d903a+" + encoded, "VKEY_ID"],
    ["example.com/foo+530d903b+" + encoded, "VKEY_ID"],
    [`x+00000000+${Uint8Array.of(2, ...KEY.publicKey).toBase64()}`, "VKEY_TYPE"],
    ["a".repeat(1025), "VKEY_MALFORMED"],
  ];
  for (const [text, code] of refused) assert.throws(() => parseVerifierKey(text), { code }, text);
});

Deno.test("ed25519Verifier() refuses a witness's key, and another length of signature", () => {
  const key = verifierKey("w.example", 4, ed25519.getPublicKey(new Uint8Array(32).fill(7)));
  assert.throws(() => ed25519Verifier(key), { code: "VKEY_TYPE" });
  assert.equal(VERIFIER.verify("text\n", new Uint8Array(63)), false);
  assert.equal(VERIFIER.verify("text\n", new Uint8Array(64)), false);
});
