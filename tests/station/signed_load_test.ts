/** CARD-SIGNED-LOAD at the station: what goes to the card, what is told, and what never gets that far. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { encodeSignedPackage } from "shared/protocol/signed_package/document.ts";
import { parseInstall } from "shared/protocol/gp/install_parser.ts";
import { acceptLoadBlock, dapFor, LOAD_START, type LoadFile } from "shared/protocol/gp/load_parser.ts";
import { runStationCommand } from "factory/app/station_run.ts";
import { plainLine } from "factory/app/screen/live_screen.ts";
import { afterEvent, EMPTY_VIEW } from "factory/app/screen/model.ts";
import { footer } from "factory/app/screen/render.ts";
import { loadPackage } from "factory/domain/personalization/content.ts";
import type { CardFacts } from "factory/domain/personalization/facts.ts";
import { planLoad } from "factory/domain/package/load_plan.ts";
import type { Profile } from "factory/domain/profile.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { profileHash } from "factory/domain/profile_hash.ts";
import { announcePackage } from "factory/service/station/package_announcement.ts";
import type { StationEvent } from "factory/service/station/events.ts";
import { CAP, CAP_BYTES, makeLine, profileOf, SIGNED, VirtualCard } from "./bench_line.ts";

const ISD = fromHex("A000000151000000");
const TOOLS = {
  encryptWithDek: () => new Uint8Array(),
  randomKeys: () => {
    throw new Error("no keys are drawn for a load");
  },
};
const unsigned = () =>
  profileOf("test-card", (value) => {
    value.applet = { state: "load", capPath: "a.cap", capSha256: toHex(CAP.fileSha256), unsigned: true };
  });

/** What the step of loading would send. */
function commandsOf(profile: Profile, loadPlan = planLoad(profile, CAP, SIGNED)) {
  const facts = { loadPlan } as unknown as CardFacts;
  return loadPackage(facts, profile, TOOLS).map(({ command }) => command);
}

function assembled(blocks: ReturnType<typeof commandsOf>): LoadFile {
  let progress = LOAD_START;
  for (const block of blocks) {
    const taken = acceptLoadBlock(progress, block);
    progress = taken.progress;
    if (taken.step.kind === "complete") return taken.step.file;
    assert.equal(taken.step.kind, "more");
  }
  throw new Error("the load has no end");
}

Deno.test("loadPackage() INSTALL [for load] carries the hash, LOAD the DAP for the card's domain", () => {
  const [install, ...blocks] = commandsOf(profileOf("recovery-key"));
  const parsed = parseInstall(install!);
  assert.ok(parsed.kind === "load");
  assert.equal(toHex(parsed.hash), toHex(CAP.sha256));
  const file = assembled(blocks);
  assert.equal(file.dapBlocks.length, 1);
  assert.equal(toHex(dapFor(file, ISD)!.signature), SIGNED.signatures[0]!.signature);
  assert.deepEqual(file.loadFileDataBlock, CAP.loadFileDataBlock);
});

Deno.test("loadPackage() an unsigned package on a test card comes bare; with another profile not at all", () => {
  const profile = unsigned();
  const plan = planLoad(profile, CAP, undefined);
  const [install, ...blocks] = commandsOf(profile, plan);
  const parsed = parseInstall(install!);
  assert.ok(parsed.kind === "load");
  assert.equal(parsed.hash.length, 0);
  assert.deepEqual(assembled(blocks).dapBlocks, []);
  assert.throws(() => commandsOf(profileOf("recovery-key"), plan), { code: "PACKAGE_UNSIGNED" });
});

Deno.test("personalizeCard() a plan that is not the profile's never loads, and the card stays without it", async () => {
  const line = await makeLine(profileOf("recovery-key"));
  try {
    const loadPlan = planLoad(unsigned(), CAP, undefined);
    Object.assign(line.context, { loadPlan });
    const card = await VirtualCard.open({});
    const report = await line.present(card);
    assert.equal(report.reason, "PACKAGE_UNSIGNED");
    assert.equal(report.step, "load-package");
    assert.notEqual(report.outcome, "attested");
    assert.equal(line.attestation.calls.includes("attest"), false);
  } finally {
    await line.close();
  }
});

Deno.test("announcePackage() name, version and hash are told and stay on the screen; unsigned warns", () => {
  const tell = (profile: Profile, signed: typeof SIGNED | undefined) => {
    const events: StationEvent[] = [];
    announcePackage(planLoad(profile, CAP, signed), (event) => events.push(event));
    const view = events.reduce((now, event) => afterEvent(now, event, 0), EMPTY_VIEW);
    return { events, lines: events.map(plainLine).join("\n"), foot: footer(view), notice: view.notice };
  };
  const signed = tell(profileOf("recovery-key"), SIGNED);
  assert.deepEqual(signed.events.map(({ event }) => event), ["package"]);
  assert.equal(signed.lines, `package test 1.0, SHA-256 ${toHex(CAP.sha256)}, signed by release`);
  assert.ok(signed.foot.endsWith(`package test 1.0 ${toHex(CAP.sha256).slice(0, 8)}`), signed.foot);
  const bare = tell(unsigned(), undefined);
  assert.deepEqual(bare.events.map(({ event }) => event), ["package", "warning"]);
  assert.match(bare.lines, /UNSIGNED[^]*warning PACKAGE_UNSIGNED: UNSIGNED PACKAGE/);
  assert.match(bare.foot, /package UNSIGNED test 1\.0/);
  assert.match(bare.notice, /UNSIGNED PACKAGE/);
});

/** Runs a station on the files of a package; it has no reader and no service, and must not come so far. */
async function refusal(files: { cap?: Uint8Array; signed?: string }, profile: Profile): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "rk-signed-load-" });
  try {
    if (files.cap) await Deno.writeFile(`${folder}/recovery_key.cap`, files.cap);
    if (files.signed !== undefined) {
      await Deno.writeTextFile(`${folder}/recovery_key.signed.json`, files.signed);
    }
    const batch = {
      batch: "b-1",
      profile,
      profileSha256: profileHash(profile),
      quantity: 1,
      firstSerial: "00000001",
      lastSerial: "00000001",
      issuerPublicKey: "04".repeat(65),
    };
    await Deno.writeTextFile(`${folder}/batch.json`, encodeBatchFile(batch));
    const station = {
      name: "line-1",
      gateways: ["https://127.0.0.1:9"],
      tls: { ca: "none", cert: "none", key: "none" },
      signingKeyFile: "none",
      sealingKeyFile: "none",
      stateFolder: "state",
      operator: "ada",
    };
    await Deno.writeTextFile(`${folder}/station.yaml`, JSON.stringify(station));
    const written: string[] = [];
    const never = new AbortController().signal;
    const run = runStationCommand(
      {
        batch: `${folder}/batch.json`,
        station: `${folder}/station.yaml`,
        json: true,
        virtualReaders: "127.0.0.1:0",
      },
      { write: (line) => written.push(line), finish: never, stop: never },
    );
    const code = await run.then(() => "accepted", codeOf);
    assert.deepEqual(written, []);
    return code;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runStationCommand() an unsigned, altered or other package is refused before a reader is opened", async () => {
  const profile = profileOf("recovery-key");
  const text = encodeSignedPackage(SIGNED);
  const change = (from: string | RegExp, to: string) => {
    const changed = text.replace(from, to);
    assert.notEqual(changed, text);
    return changed;
  };
  const newer = writeTestCap({ payloadBytes: 700, version: { major: 1, minor: 1 } });
  const altered = CAP_BYTES.with(CAP_BYTES.length >> 1, CAP_BYTES[CAP_BYTES.length >> 1]! ^ 1);
  const cases: [string, { cap?: Uint8Array; signed?: string }, RegExp][] = [
    ["no file at all", {}, /^PACKAGE_FILE$/],
    ["no signatures beside it", { cap: CAP_BYTES }, /^PACKAGE_FILE$/],
    [
      "signatures: none",
      { cap: CAP_BYTES, signed: JSON.stringify({ ...SIGNED, signatures: [] }) },
      /^PACKAGE_UNSIGNED$/,
    ],
    ["not a signed package", { cap: CAP_BYTES, signed: "{}" }, /^PACKAGE_FORMAT$/],
    ["altered CAP", { cap: altered, signed: text }, /^(CAP_\w+|PACKAGE_HASH|PACKAGE_ALTERED)$/],
    ["another version's CAP", { cap: newer, signed: text }, /^PACKAGE_VERSION$/],
    ["another version claimed", { cap: CAP_BYTES, signed: change('"1.0"', '"1.1"') }, /^PACKAGE_VERSION$/],
    [
      "another date",
      { cap: CAP_BYTES, signed: change(/"signedAt": "20/, '"signedAt": "19') },
      /^PACKAGE_SIGNATURE$/,
    ],
    [
      "another signer",
      { cap: CAP_BYTES, signed: change(/"publicKey": "04../, '"publicKey": "0400') },
      /^PACKAGE_KEY$/,
    ],
  ];
  for (const [name, files, code] of cases) assert.match(await refusal(files, profile), code, name);
  // What passes the package goes on to the next thing that is not there: the keys of the station.
  assert.equal(await refusal({ cap: CAP_BYTES, signed: text }, profile), "SECRET_FILE_MISSING");
});
