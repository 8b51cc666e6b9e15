import assert from "node:assert/strict";
import { CARD_RECORD_TYPE, cardRecordJson } from "../../domain/batch_record/card_record.ts";
import type { FindingCode } from "../../domain/batch_record/findings.ts";
import type { BatchManifest } from "../../domain/batch_record/manifest.ts";
import { verifyCardProof } from "../../domain/batch_record/proof.ts";
import {
  cardRecord,
  jsonLines,
  makeExport,
  makeRecordKey,
  signRecord,
  table,
} from "tests/environment/batch_export.ts";
import { type ExportVerdict, verifyExport } from "./verify_file.ts";

const KEY = await makeRecordKey();
const OTHER = await makeRecordKey();
const GOOD = await makeExport(KEY, 20);
const { jws, manifestJws } = GOOD;

/** Verifies a text as a file. */
async function verify(text: string, manifest?: string, serial?: string): Promise<ExportVerdict> {
  const folder = await Deno.makeTempDir({ prefix: "rk-export-" });
  try {
    const path = `${folder}/export`;
    await Deno.writeTextFile(path, text);
    if (manifest !== undefined) await Deno.writeTextFile(`${folder}/manifest`, manifest);
    const manifestPath = manifest === undefined ? undefined : `${folder}/manifest`;
    return await verifyExport({ path, manifestPath, key: KEY.publicKey, ...(serial ? { serial } : {}) });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const codes = ({ findings }: ExportVerdict) => [...new Set(findings.map(({ code }) => code))].sort();
const without = <T>(list: readonly T[], index: number) => list.toSpliced(index, 1);

/** One character in the middle of a part of a JWS, exchanged. */
function altered(text: string, part: 0 | 1 | 2): string {
  const parts = text.split(".");
  const at = Math.floor(parts[part]!.length / 2);
  const letter = parts[part]![at] === "A" ? "B" : "A";
  parts[part] = parts[part]!.slice(0, at) + letter + parts[part]!.slice(at + 1);
  return parts.join(".");
}

Deno.test("verifyExport() accepts what was signed, as JSON lines and as a table", async () => {
  for (const verdict of [await verify(jsonLines(jws, manifestJws)), await verify(table(GOOD), manifestJws)]) {
    assert.deepEqual(verdict.findings, []);
    assert.deepEqual(verdict.counts, { good: 13, scrapped: 5, missing: 2 });
    assert.equal(verdict.manifest?.batch, "spring-1");
  }
  const empty = await makeExport(KEY, 0);
  assert.deepEqual((await verify(jsonLines([], empty.manifestJws))).findings, [], "a batch without cards");
});

Deno.test("verifyExport() of every size up to 40 and one bit of every record", async () => {
  const whole = await makeExport(KEY, 40, (manifest) => manifest);
  for (const size of [1, 2, 3, 7, 8, 9, 31, 32, 33]) {
    const part = await makeExport(KEY, size);
    assert.deepEqual((await verify(jsonLines(part.jws, part.manifestJws))).findings, [], `${size} records`);
  }
  for (let index = 0; index < 40; index += 3) {
    const changed = whole.jws.with(index, altered(whole.jws[index]!, 1));
    const { findings } = await verify(jsonLines(changed, whole.manifestJws));
    const told = findings.find(({ line }) => line === index + 1);
    assert.ok(told?.code === "BATCH_RECORD_SIGNATURE", `record ${index}`);
  }
});

interface Planted {
  readonly what: string;
  readonly text: string | Promise<string>;
  readonly manifest?: string;
  /** Codes that are told, all of them. */
  readonly codes: readonly FindingCode[];
  /** Line or serial of the first finding. */
  readonly line?: number | null;
  readonly serial?: string;
}

const ROOT: FindingCode = "BATCH_MANIFEST_ROOT";
const COUNTS: FindingCode = "BATCH_MANIFEST_COUNTS";
const changedManifest = async (change: (manifest: BatchManifest) => BatchManifest, key = KEY) =>
  (await makeExport(key, 20, change)).manifestJws;
const relabelled = await signRecord(
  KEY,
  CARD_RECORD_TYPE,
  cardRecordJson(cardRecord(4, { operator: "eve" })),
);
const foreign = await signRecord(KEY, CARD_RECORD_TYPE, cardRecordJson(cardRecord(4, { batch: "summer-2" })));
const profile = { name: "test-card", sha256: "CD".repeat(32) };
const otherProfile = await signRecord(KEY, CARD_RECORD_TYPE, cardRecordJson(cardRecord(4, { profile })));
const outside = await signRecord(KEY, CARD_RECORD_TYPE, cardRecordJson(cardRecord(21)));
const unknown = await signRecord(KEY, CARD_RECORD_TYPE, {
  ...cardRecordJson(cardRecord(4)) as object,
  version: 2,
});
const otherKey = await signRecord(OTHER, CARD_RECORD_TYPE, cardRecordJson(cardRecord(4)));
const lines = (records: readonly string[], manifest = manifestJws) => jsonLines(records, manifest);
const csv = table(GOOD);

const PLANTED: readonly Planted[] = [
  {
    what: "a record removed",
    text: lines(without(jws, 4)),
    codes: [COUNTS, ROOT, "BATCH_RECORD_MISSING"],
    serial: "7F000014",
  },
  {
    what: "the last record removed",
    text: lines(jws.slice(0, -1)),
    codes: [COUNTS, ROOT, "BATCH_RECORD_MISSING"],
  },
  {
    what: "a record's content altered",
    text: lines(jws.with(4, altered(jws[4]!, 1))),
    codes: [COUNTS, ROOT, "BATCH_RECORD_MISSING", "BATCH_RECORD_SIGNATURE"],
    line: 5,
  },
  {
    what: "a record's signature altered",
    text: lines(jws.with(4, altered(jws[4]!, 2))),
    codes: [COUNTS, ROOT, "BATCH_RECORD_MISSING", "BATCH_RECORD_SIGNATURE"],
    line: 5,
  },
  {
    what: "a record replaced by one of the same key and serial",
    text: lines(jws.with(4, relabelled)),
    codes: [ROOT],
  },
  {
    what: "two records swapped",
    text: lines(jws.with(4, jws[5]!).with(5, jws[4]!)),
    codes: [ROOT, "BATCH_RECORD_ORDER"],
    line: 6,
    serial: "7F000014",
  },
  {
    what: "a record doubled",
    text: lines(jws.toSpliced(5, 0, jws[4]!)),
    codes: [COUNTS, ROOT, "BATCH_RECORD_DOUBLED"],
    line: 6,
    serial: "7F000014",
  },
  {
    what: "a record doubled in place of another",
    text: lines(jws.with(5, jws[4]!)),
    codes: [ROOT, "BATCH_RECORD_DOUBLED", "BATCH_RECORD_MISSING"],
    serial: "7F000014",
  },
  {
    what: "a record of another key",
    text: lines(jws.with(4, otherKey)),
    codes: ["BATCH_KEY_OTHER", COUNTS, ROOT, "BATCH_RECORD_MISSING"],
    line: 5,
  },
  {
    what: "a record of another batch",
    text: lines(jws.with(4, foreign)),
    codes: [ROOT, "BATCH_RECORD_MISSING", "BATCH_RECORD_OTHER_BATCH"],
    line: 5,
  },
  {
    what: "a record of another profile",
    text: lines(jws.with(4, otherProfile)),
    codes: [ROOT, "BATCH_RECORD_MISSING", "BATCH_RECORD_OTHER_BATCH"],
    line: 5,
  },
  {
    what: "a record of an unused serial added",
    text: lines([...jws, outside]),
    codes: [COUNTS, ROOT, "BATCH_RECORD_RANGE"],
    line: 21,
    serial: "7F000025",
  },
  {
    what: "a record of another version",
    text: lines(jws.with(4, unknown)),
    codes: [COUNTS, ROOT, "BATCH_RECORD_CONTENT", "BATCH_RECORD_MISSING"],
    line: 5,
  },
  {
    what: "a manifest in place of a record",
    text: lines(jws.with(4, manifestJws)),
    codes: [COUNTS, ROOT, "BATCH_RECORD_MISSING", "BATCH_RECORD_SIGNATURE"],
    line: 5,
  },
  { what: "a line that is nothing", text: "{}\n" + lines(jws), codes: ["BATCH_EXPORT_UNREADABLE"], line: 1 },
  {
    what: "the manifest removed",
    text: lines(jws).split("\n").slice(0, -2).join("\n") + "\n",
    codes: ["BATCH_EXPORT_TRUNCATED"],
  },
  {
    what: "the file cut off in the manifest",
    text: lines(jws).slice(0, -60),
    codes: ["BATCH_EXPORT_TRUNCATED"],
  },
  { what: "the last line feed cut off", text: lines(jws).slice(0, -1), codes: ["BATCH_EXPORT_TRUNCATED"] },
  { what: "an empty file", text: "", codes: ["BATCH_EXPORT_TRUNCATED"] },
  {
    what: "the manifest's content altered",
    text: lines(jws, altered(manifestJws, 1)),
    codes: ["BATCH_MANIFEST_SIGNATURE"],
  },
  {
    what: "a manifest of another key",
    text: lines(jws, (await makeExport(OTHER, 20)).manifestJws),
    codes: ["BATCH_KEY_OTHER"],
  },
  {
    what: "the whole batch of another key",
    text: (async () => {
      const other = await makeExport(OTHER, 20);
      return lines(other.jws, other.manifestJws);
    })(),
    codes: ["BATCH_KEY_OTHER"],
  },
  {
    what: "a manifest that does not balance",
    text: changedManifest((m) => ({ ...m, totals: { ...m.totals, good: 15 } })).then((each) =>
      lines(jws, each)
    ),
    codes: ["BATCH_MANIFEST_BALANCE", COUNTS],
  },
  {
    what: "a manifest that calls scrapped cards good",
    text: changedManifest((m) => ({ ...m, totals: { ...m.totals, good: 15, scrapped: 3 } })).then((each) =>
      lines(jws, each)
    ),
    codes: [COUNTS],
  },
  {
    what: "a manifest of another root",
    text: changedManifest((m) => ({ ...m, tree: { ...m.tree, rootSha256: "00".repeat(32) } })).then((each) =>
      lines(jws, each)
    ),
    codes: [ROOT],
  },
  {
    what: "a manifest that forgets unused serials",
    text: changedManifest((m) => ({ ...m, unused: null })).then((each) => lines(jws, each)),
    codes: ["BATCH_MANIFEST_BALANCE"],
  },
  {
    what: "a manifest of another version",
    text: changedManifest((m) => ({ ...m, version: 2 }) as unknown as BatchManifest).then((each) =>
      lines(jws, each)
    ),
    codes: ["BATCH_MANIFEST_CONTENT"],
  },
  {
    what: "a manifest before the records",
    text: JSON.stringify({ manifest: manifestJws }) + "\n" + lines(jws),
    codes: ["BATCH_EXPORT_UNREADABLE"],
    line: 2,
  },
  {
    what: "a cell of the table altered",
    text: csv.replace("0x7F000014,good", "0x7F000014,scrapped"),
    manifest: manifestJws,
    codes: ["BATCH_CSV_CELL"],
    serial: "7F000014",
  },
  {
    what: "the formula guard of a cell taken away",
    text: csv.replace("'=SUM", "=SUM"),
    manifest: manifestJws,
    codes: ["BATCH_CSV_CELL"],
    serial: "7F000010",
  },
  {
    what: "a table's row removed",
    text: table({ records: without(GOOD.records, 4), jws: without(jws, 4) }),
    manifest: manifestJws,
    codes: [COUNTS, ROOT, "BATCH_RECORD_MISSING"],
  },
  { what: "a table without manifest", text: csv, codes: ["BATCH_EXPORT_TRUNCATED"] },
  {
    what: "a table cut off in a signature",
    text: csv.slice(0, -12),
    manifest: manifestJws,
    codes: ["BATCH_EXPORT_TRUNCATED", COUNTS, ROOT, "BATCH_RECORD_MISSING", "BATCH_RECORD_SIGNATURE"],
  },
];

for (const planted of PLANTED) {
  Deno.test(`verifyExport() finds ${planted.what}`, async () => {
    const verdict = await verify(await planted.text, planted.manifest);
    assert.deepEqual(codes(verdict), [...planted.codes].sort());
    if (planted.line !== undefined) assert.equal(verdict.findings[0]?.line, planted.line);
    if (planted.serial !== undefined) assert.equal(verdict.findings[0]?.serial, planted.serial);
  });
}

Deno.test("verifyExport() proves each card alone, and no proof serves for another", async () => {
  for (const index of [0, 4, 15, 16, 19]) {
    const { card } = await verify(lines(jws), undefined, GOOD.records[index]!.serial);
    assert.ok(card);
    const verdict = await verifyCardProof(card.proof, KEY.publicKey);
    assert.deepEqual([verdict.findings, verdict.record], [[], GOOD.records[index]]);
    const wrong = async (change: Partial<typeof card.proof>, key = KEY.publicKey) =>
      (await verifyCardProof({ ...card.proof, ...change }, key)).findings.map(({ code }) => code);
    assert.deepEqual(await wrong({ record: jws[(index + 1) % 20]! }), ["BATCH_PROOF_WRONG"]);
    assert.deepEqual(await wrong({ record: relabelled }), ["BATCH_PROOF_WRONG"]);
    assert.deepEqual(await wrong({ index: index + 1 }), ["BATCH_PROOF_WRONG"]);
    assert.deepEqual(await wrong({ proof: card.proof.proof.slice(1) }), ["BATCH_PROOF_WRONG"]);
    assert.deepEqual(await wrong({ record: altered(card.proof.record, 1) }), ["BATCH_RECORD_SIGNATURE"]);
    assert.deepEqual(await wrong({ record: foreign }), ["BATCH_RECORD_OTHER_BATCH"]);
    assert.deepEqual(await wrong({}, OTHER.publicKey), ["BATCH_KEY_OTHER", "BATCH_KEY_OTHER"]);
  }
  const { card, findings } = await verify(lines(jws), undefined, "7F000025");
  assert.deepEqual([card, findings.map(({ code }) => code)], [undefined, ["BATCH_SERIAL_ABSENT"]]);
});
