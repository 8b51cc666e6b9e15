import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { unzipSync, type Zippable, zipSync } from "fflate";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { vectorBytes } from "tests/vectors/load.ts";
import { COMPONENT_BYTES_MAX, COMPONENTS } from "./components.ts";
import { type CapFile, readCap } from "./reader.ts";
import { writeTestCap } from "./writer.ts";
import { ZIP_BYTES_MAX } from "./zip.ts";

const FILES = {
  coims: vectorBytes("caps/coims_applet.cap"),
  keycard: vectorBytes("caps/keycard_math.cap"),
  minimal: vectorBytes("caps/minimal_stored.cap"),
  streaming: vectorBytes("caps/streaming_deflate.cap"),
};

const names = (cap: CapFile) => cap.components.map(({ name }) => name);
const versions = (cap: CapFile) => [cap.version, cap.format].map(({ major, minor }) => `${major}.${minor}`);

/** Takes an archive apart, changes its files, and puts it together again. */
function rebuilt(change: (files: Zippable) => void, from: Uint8Array = FILES.minimal): Uint8Array {
  const files: Zippable = unzipSync(from);
  change(files);
  return zipSync(files);
}

Deno.test("readCap() reads the applet of coims_applet.cap", () => {
  const cap = readCap(FILES.coims, { strict: true });
  equal(toHex(cap.packageAid), "A00000015141434C");
  deepEqual(cap.applets.map(toHex), ["A00000015141434C00"]);
  deepEqual(versions(cap), ["0.1", "2.1"]);
  deepEqual(cap.imports.map(({ aid, version }) => `${toHex(aid)} ${version.major}.${version.minor}`), [
    "A0000000620101 1.2",
    "A0000000620102 1.2",
    "A0000000620001 1.0",
  ]);
  deepEqual(names(cap), [
    "Header",
    "Directory",
    "Import",
    "Applet",
    "Class",
    "Method",
    "StaticField",
    "ConstantPool",
    "RefLocation",
  ]);
  deepEqual(cap.irregularities, []);
});

Deno.test("readCap() reads keycard_math.cap, a library with Export, Debug and class files", () => {
  const cap = readCap(FILES.keycard, { strict: true });
  equal(toHex(cap.packageAid), "A0000008040002");
  deepEqual(cap.applets, []);
  deepEqual(versions(cap), ["1.0", "2.2"]);
  deepEqual(names(cap), [
    "Header",
    "Directory",
    "Import",
    "Class",
    "Method",
    "StaticField",
    "Export",
    "ConstantPool",
    "RefLocation",
  ]);
});

for (const which of ["minimal", "streaming"] as const) {
  Deno.test(`readCap() reads the ${which} file, whose component sizes are not right, unless strict`, () => {
    const cap = readCap(FILES[which]);
    equal(toHex(cap.packageAid), "A0000000620301");
    deepEqual(cap.applets.map(toHex), ["A00000006203010A"]);
    deepEqual(versions(cap), ["1.0", "2.1"]);
    equal(
      cap.components.find(({ name }) => name === "Method")!.bytes.length,
      which === "minimal" ? 4 : 52000,
    );
    equal(cap.irregularities.length, cap.components.length);
    throws(() => readCap(FILES[which], { strict: true }), { code: "CAP_COMPONENT" });
  });
}

Deno.test("readCap() the load file data block is the components in the order of loading, without Descriptor and Debug", () => {
  for (const file of Object.values(FILES)) {
    const cap = readCap(file);
    const files = unzipSync(file);
    const order = ["Header", "Directory", "Import", "Applet", "Class", "Method", "StaticField", "Export"];
    const expected = [...order, "ConstantPool", "RefLocation"].flatMap((name) =>
      Object.entries(files).filter(([path]) => path.endsWith(`/javacard/${name}.cap`)).map(([, bytes]) =>
        bytes
      )
    );
    equal(toHex(cap.loadFileDataBlock), toHex(concat(...expected)));
    equal(toHex(cap.sha256).toLowerCase(), createHash("sha256").update(cap.loadFileDataBlock).digest("hex"));
    equal(toHex(cap.fileSha256).toLowerCase(), createHash("sha256").update(file).digest("hex"));
  }
});

Deno.test("readCap() every truncation of every file is refused with a CAP code", () => {
  for (const [name, file] of Object.entries(FILES)) {
    const step = name === "minimal" || name === "streaming" ? 1 : 7;
    for (let length = 0; length < file.length; length += step) {
      throws(
        () => readCap(file.subarray(0, length)),
        { name: "CodedError", code: /^CAP_/ },
        `${name} at ${length}`,
      );
    }
  }
});

Deno.test("readCap() bytes in front or behind are refused", () => {
  for (const file of Object.values(FILES)) {
    throws(() => readCap(concat(Uint8Array.of(0), file)), { code: "CAP_ZIP" });
    throws(() => readCap(concat(file, Uint8Array.of(0))), { code: "CAP_ZIP" });
  }
});

Deno.test("readCap() every changed bit of the minimal file is refused, or leaves what is loaded as it was", () => {
  const reference = toHex(readCap(FILES.minimal).loadFileDataBlock);
  for (let at = 0; at < FILES.minimal.length; at++) {
    for (let bit = 1; bit <= 0x80; bit <<= 1) {
      const changed = FILES.minimal.slice();
      changed[at]! ^= bit;
      try {
        equal(toHex(readCap(changed).loadFileDataBlock), reference, `byte ${at}`);
      } catch (error) {
        ok(error instanceof CodedError && error.code.startsWith("CAP_"), `byte ${at}: ${error}`);
      }
    }
  }
});

Deno.test("readCap() reads or refuses with a CAP code, whatever is overwritten", () => {
  const patch = fc.record({
    at: fc.nat(FILES.streaming.length),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
  });
  fc.assert(
    fc.property(fc.array(patch, { minLength: 1, maxLength: 4 }), (patches) => {
      const changed = FILES.streaming.slice();
      for (const { at, bytes } of patches) changed.set(bytes.subarray(0, changed.length - at), at);
      try {
        readCap(changed);
      } catch (error) {
        ok(error instanceof CodedError && error.code.startsWith("CAP_"), String(error));
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("readCap() refuses what is no zip archive", () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(21), new Uint8Array(100), fromHex("DECAFFED")]) {
    throws(() => readCap(bytes), { code: "CAP_ZIP" });
  }
});

for (const { name, required } of COMPONENTS) {
  Deno.test(`readCap() ${required ? "wants" : "does without"} component ${name}`, () => {
    const file = rebuilt((files) => delete files[`p/javacard/${name}.cap`]);
    if (required) throws(() => readCap(file), { code: "CAP_MISSING", message: new RegExp(name) });
    else ok(!names(readCap(file)).includes(name));
  });
}

Deno.test("readCap() refuses a second component of one kind, and a second entry of one name", () => {
  const two = rebuilt((files) => files["q/javacard/Method.cap"] = fromHex("AABB"));
  throws(() => readCap(two), { code: "CAP_DUPLICATE" });

  // Two entries whose names differ, made equal in both headers: fflate alone would take the second.
  const twin = rebuilt((files) => files["p/javacard/Methoe.cap"] = fromHex("AABB"));
  const name = fromHex("4D6574686F65");
  for (let at = 0; at + name.length <= twin.length; at++) {
    if (name.every((byte, i) => twin[at + i] === byte)) twin[at + 5] = "d".charCodeAt(0);
  }
  throws(() => readCap(twin), { code: "CAP_DUPLICATE" });
});

Deno.test("readCap() refuses a component that no format it knows has", () => {
  throws(() => readCap(rebuilt((files) => files["p/javacard/StaticResources.cap"] = fromHex("AA"))), {
    code: "CAP_FORMAT",
  });
});

Deno.test("readCap() does not inflate what it does not load", () => {
  const bomb = new Uint8Array(50 * COMPONENT_BYTES_MAX);
  const file = rebuilt((files) => {
    files["p/javacard/Debug.cap"] = bomb;
    files["p/Some.class"] = bomb;
  });
  equal(toHex(readCap(file).sha256), toHex(readCap(FILES.minimal).sha256));
});

Deno.test("readCap() refuses a component over 65,538 bytes, said openly or hidden (zip bomb)", () => {
  const bomb = new Uint8Array(50 * COMPONENT_BYTES_MAX);
  const open = rebuilt((files) => files["p/javacard/Method.cap"] = bomb);
  throws(() => readCap(open), { code: "CAP_TOO_LARGE" });

  // The same, with both headers claiming 100 bytes.
  const hidden = open.slice();
  const view = new DataView(hidden.buffer);
  for (let at = 0; at + 4 <= hidden.length; at++) {
    if (view.getUint32(at, true) === bomb.length) view.setUint32(at, 100, true);
  }
  throws(() => readCap(hidden), { code: "CAP_ZIP" });
});

Deno.test("readCap() refuses an archive over 1 MiB or with too many entries", () => {
  throws(() => readCap(new Uint8Array(ZIP_BYTES_MAX + 1)), { code: "CAP_TOO_LARGE" });
  const crowd = rebuilt((files) => {
    for (let i = 0; i < 1100; i++) files[`f${i}`] = new Uint8Array(0);
  });
  throws(() => readCap(crowd), { code: "CAP_TOO_LARGE" });
});

Deno.test("readCap() refuses an encrypted entry, other compression, zip64, several parts, overlap", () => {
  const end = FILES.minimal.length - 22;
  const view = new DataView(FILES.minimal.buffer, FILES.minimal.byteOffset);
  const directory = view.getUint32(end + 16, true);
  const changes: [string, (v: DataView) => void][] = [
    ["encrypted", (v) => v.setUint16(directory + 8, 1, true)],
    ["compression", (v) => v.setUint16(directory + 10, 12, true)],
    ["several parts", (v) => v.setUint16(end + 4, 1, true)],
    ["entry count", (v) => v.setUint16(end + 10, 11, true)],
    ["both entry counts", (v) => (v.setUint16(end + 8, 11, true), v.setUint16(end + 10, 11, true))],
    ["zip64", (v) => v.setUint32(end + 16, 0xffffffff, true)],
    ["local offset", (v) => v.setUint32(directory + 42, 0xffffff00, true)],
    ["compressed size", (v) => v.setUint32(directory + 20, 0x7fffffff, true)],
  ];
  for (const [name, change] of changes) {
    const copy = FILES.minimal.slice();
    change(new DataView(copy.buffer));
    throws(() => readCap(copy), { code: "CAP_ZIP" }, name);
  }
});

Deno.test("readCap() refuses a wrong checksum", () => {
  const copy = FILES.minimal.slice();
  const at = new TextDecoder("latin1").decode(copy).indexOf("MTHD");
  copy[at]! ^= 1;
  throws(() => readCap(copy), { code: "CAP_CHECKSUM" });
});

Deno.test("readCap() refuses a header that is none, another format, a bad AID", () => {
  const header = unzipSync(FILES.minimal)["p/javacard/Header.cap"]!;
  const withHeader = (change: (bytes: Uint8Array) => Uint8Array | void) =>
    rebuilt((files) => {
      const copy = header.slice();
      files["p/javacard/Header.cap"] = change(copy) ?? copy;
    });
  const cases: [string, (bytes: Uint8Array) => Uint8Array | void][] = [
    ["CAP_HEADER", (bytes) => void (bytes[3] = 0xdf)],
    ["CAP_HEADER", (bytes) => void (bytes[0] = 2)],
    ["CAP_FORMAT", (bytes) => void (bytes[8] = 3)],
    ["CAP_FORMAT", (bytes) => void (bytes[9]! |= 0x08)],
    ["CAP_COMPONENT", (bytes) => void (bytes[12] = 4)],
    ["CAP_HEADER", (bytes) => void (bytes[12] = 16)],
    ["CAP_HEADER", (bytes) => bytes.slice(0, 5)],
    ["CAP_HEADER", () => new Uint8Array(0)],
  ];
  for (const [code, change] of cases) throws(() => readCap(withHeader(change)), { code });
});

Deno.test("readCap() refuses Applet and Import components that are cut off", () => {
  for (const name of ["Applet", "Import"]) {
    const path = `p/javacard/${name}.cap`;
    const whole = unzipSync(FILES.minimal)[path]!;
    for (let length = 0; length < whole.length; length++) {
      const file = rebuilt((files) => files[path] = whole.slice(0, length));
      throws(() => readCap(file), { code: "CAP_COMPONENT" }, `${name} of ${length}`);
    }
  }
});

Deno.test("readCap() strict refuses a single component whose size is wrong", () => {
  const good = writeTestCap();
  const path = "test/javacard/StaticField.cap";
  const file = rebuilt((files) => files[path] = concat(files[path] as Uint8Array, Uint8Array.of(0)), good);
  deepEqual(readCap(file).irregularities, ["StaticField"]);
  throws(() => readCap(file, { strict: true }), { code: "CAP_COMPONENT", message: /StaticField/ });
});
