import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { command } from "shared/protocol/apdu/command.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { getStatusCommand, listStatus, parseStatusEntries } from "shared/protocol/gp/get_status.ts";
import {
  installForExtradition,
  installForInstall,
  installForMakeSelectable,
  installForPersonalization,
  installForRegistryUpdate,
} from "shared/protocol/gp/install.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import { storeDataCommands } from "shared/protocol/gp/store_data.ts";
import { ISD_AID, RECOVERY_KEY_MODULE_AID, RECOVERY_KEY_PACKAGE_AID, SSD_AID } from "../constants.ts";
import { cardBench, installDomain, loadCap, ok, statusOf } from "../testing/bench.ts";

const domainAid = (n: number) => fromHex("D0000000" + n.toString(16).padStart(4, "0"));
const PRELOADED = { preloaded: { package: {}, instance: {}, ssd: {} } } as const;
const aids = (entries: readonly { aid: Uint8Array }[]) => entries.map((one) => toHex(one.aid));

Deno.test("GET STATUS pages with 6310 through every scope, and searches by partial AID", async () => {
  const bench = await cardBench(PRELOADED);
  for (const level of [0x01, 0x33] as const) {
    const channel = await bench.issuer(level);
    const send = (c: Parameters<typeof channel.send>[0]) => channel.send(c);
    if (level === 0x01) { for (let n = 0; n < 20; n++) await ok(channel.send(installDomain(domainAid(n)))); }
    const first = await channel.send(getStatusCommand(0x40));
    assert.equal(first.sw, 0x6310);
    assert.equal((await listStatus(send, 0x40)).length, 22);
    assert.equal((await listStatus(send, 0x40, fromHex("D0000000"))).length, 20);
    assert.deepEqual(aids(await listStatus(send, 0x40, domainAid(7))), [toHex(domainAid(7))]);
    assert.deepEqual(aids(await listStatus(send, 0x80)), [toHex(ISD_AID)]);
    assert.deepEqual(aids(await listStatus(send, 0x80, ISD_AID.subarray(0, 5))), [toHex(ISD_AID)]);
    const packages = await listStatus(send, 0x20);
    assert.deepEqual([aids(packages), packages[0]!.moduleAids], [
      [toHex(RECOVERY_KEY_PACKAGE_AID)],
      undefined,
    ]);
    assert.equal((await listStatus(send, 0x10))[0]!.moduleAids!.length, 1);
    assert.deepEqual(await listStatus(send, 0x20, fromHex("FF")), []);
    // "Next" after the end, for another scope, or at all without a first.
    assert.equal(await statusOf(channel.send(getStatusCommand(0x40, undefined, true))), "6985");
    await channel.send(getStatusCommand(0x40));
    assert.equal(await statusOf(channel.send(getStatusCommand(0x20, undefined, true))), "6985");
  }
  const channel = await bench.issuer();
  for (
    const [p1, p2, data, sw] of [
      [0x00, 0x02, "4F00", "6A86"],
      [0x41, 0x02, "4F00", "6A86"],
      [0x40, 0x04, "4F00", "6A86"],
      [0x40, 0x02, "", "6A80"],
      [0x40, 0x02, "4F", "6A80"],
      [0x40, 0x02, "4F11" + "00".repeat(17), "6A80"],
    ] as const
  ) {
    assert.equal(
      await statusOf(channel.send(command(0x80, 0xf2, p1, p2, fromHex(data)))),
      sw,
      `${p1} ${data}`,
    );
  }
});

Deno.test("GET STATUS gives the tags of the tag list, scopes added up, and the older layout", async () => {
  const bench = await cardBench(PRELOADED);
  const channel = await bench.issuer(0x01);
  const list = async (p1: number, p2: number, data: string) =>
    toHex(await ok(channel.send(command(0x80, 0xf2, p1, p2, fromHex(data)))));
  assert.equal(
    await list(0x10, 0x02, "4F005C074F9F70CE84CCC5"),
    "E3314F0EA0000000624C45444745523031009F700101CE020100840DA0000000624C45444745523031CC08A000000151000000",
  );
  assert.equal(await list(0x80, 0x02, "4F005C014F"), "E30A4F08" + toHex(ISD_AID));
  assert.equal(parseStatusEntries(fromHex(await list(0xe0, 0x02, "4F00"))).length, 4);
  assert.equal(await list(0x80, 0x00, "4F00"), "08" + toHex(ISD_AID) + "019E");
  const module = toHex(RECOVERY_KEY_MODULE_AID);
  assert.equal(await list(0x10, 0x00, "4F00"), "0E" + toHex(RECOVERY_KEY_PACKAGE_AID) + "0100010D" + module);
});

Deno.test("a supplementary domain sees and manages what belongs to it, and nothing else", async () => {
  const bench = await cardBench(PRELOADED);
  const [parent, child] = [domainAid(1), domainAid(2)];
  let channel = await bench.issuer();
  await ok(channel.send(installDomain(parent, PRIVILEGE.SECURITY_DOMAIN | PRIVILEGE.AUTHORIZED_MANAGEMENT)));
  await ok(channel.send(installDomain(child)));
  await ok(channel.send(installForExtradition({ securityDomainAid: parent, aid: child })));
  const move = (aid: Uint8Array, to: Uint8Array) =>
    statusOf(channel.send(installForExtradition({ securityDomainAid: to, aid })));
  assert.equal(await move(parent, child), "6985", "into a domain below it");
  assert.equal(await move(parent, parent), "6985", "into itself");
  assert.equal(await move(ISD_AID, parent), "6985", "the issuer domain stays");
  assert.equal(await move(domainAid(9), parent), "6A88");
  assert.equal(await move(child, domainAid(9)), "6A88");
  assert.equal(await move(RECOVERY_KEY_MODULE_AID, child), "9000");

  await bench.select(parent);
  channel = await bench.open();
  const send = (c: Parameters<typeof channel.send>[0]) => channel.send(c);
  assert.deepEqual(await listStatus(send, 0x80), []);
  assert.deepEqual(aids(await listStatus(send, 0x40)), [parent, child, RECOVERY_KEY_MODULE_AID].map(toHex));
  assert.deepEqual(await listStatus(send, 0x20), []);
  assert.equal(await statusOf(channel.send(deleteCommand(SSD_AID))), "6985", "another domain's");
  await ok(channel.send(installDomain(domainAid(3))));
  assert.equal((await listStatus(send, 0x40, domainAid(3)))[0]!.securityDomainAid!.at(-1), 1);
  assert.equal(await loadCap(channel, writeTestCap({ packageAid: fromHex("A00000000102") })), "9000");
  assert.equal(await statusOf(channel.send(deleteCommand(child))), "6985", "an application belongs to it");
  assert.equal(await statusOf(channel.send(deleteCommand(child, { related: true }))), "9000");
  assert.deepEqual(aids(await listStatus(send, 0x40)), [parent, domainAid(3)].map(toHex));
  // Registry update by the issuer: privileges, and back to the issuer.
  channel = await bench.issuer();
  const update = installForRegistryUpdate({
    instanceAid: domainAid(3),
    securityDomainAid: ISD_AID,
    privileges: 0x804000,
  });
  await ok(channel.send(update));
  const [entry] = await listStatus((c) => channel.send(c), 0x40, domainAid(3));
  assert.deepEqual([entry!.privileges, toHex(entry!.securityDomainAid!)], [0x804000, toHex(ISD_AID)]);
});

Deno.test("INSTALL refuses privileges that do not go together, and modules that are not there", async () => {
  const channel = await (await cardBench(PRELOADED)).issuer();
  for (const privileges of [0x000000, 0x400000, 0x810000, 0xa04000, 0x840000, 0x800200]) {
    assert.equal(
      await statusOf(channel.send(installDomain(domainAid(1), privileges))),
      "6A80",
      privileges.toString(16),
    );
  }
  const applet = { packageAid: RECOVERY_KEY_PACKAGE_AID, moduleAid: RECOVERY_KEY_MODULE_AID };
  for (const privileges of [0x800000, 0x010000, 0x004000, 0x040000]) {
    const install = installForInstall({ ...applet, instanceAid: domainAid(2), privileges });
    assert.equal(await statusOf(channel.send(install)), "6A80", privileges.toString(16));
  }
  const later = installForInstall({ ...applet, instanceAid: domainAid(2), makeSelectable: false });
  await ok(channel.send(later));
  await ok(channel.send(installForMakeSelectable({ instanceAid: domainAid(2) })));
  assert.equal(await statusOf(channel.send(installForMakeSelectable({ instanceAid: domainAid(2) }))), "6985");
  assert.equal(await statusOf(channel.send(command(0x80, 0xe6, 0x0c, 0x01, later.data))), "6A86");
  assert.equal(await statusOf(channel.send(command(0x80, 0xe6, 0x03, 0x00, later.data))), "6A86");
});

Deno.test("DELETE keeps a package that another one uses", async () => {
  const bench = await cardBench();
  const channel = await bench.issuer();
  // The writer's packages use javacard.framework: a package of that name is the used one.
  const framework = fromHex("A0000000620101");
  assert.equal(await loadCap(channel, writeTestCap({ packageAid: framework, appletAids: [] })), "9000");
  assert.equal(await loadCap(channel, writeTestCap()), "9000");
  assert.equal(await statusOf(channel.send(deleteCommand(framework))), "6985");
  await ok(channel.send(deleteCommand(RECOVERY_KEY_PACKAGE_AID)));
  await ok(channel.send(deleteCommand(framework)));
  for (
    const [p1, p2, data, sw] of [
      [0x80, 0, "4F05A000000001", "6A86"],
      [0, 0x40, "4F05A000000001", "6A86"],
      [0, 0, "4F04A0000000", "6A80"],
      [0, 0, "", "6A80"],
      [0, 0, "4F05A000000001", "6A88"],
      [0, 0, "4F08A000000151000000", "6985"],
    ] as const
  ) {
    assert.equal(await statusOf(channel.send(command(0x80, 0xe4, p1, p2, fromHex(data)))), sw, data);
  }
});

Deno.test("STORE DATA to domains is read back by GET DATA, all of a series or none", async () => {
  const bench = await cardBench(PRELOADED);
  const channel = await bench.issuer();
  const get = async (p1p2: number) => {
    const { sw, data } = await bench.transmit(command(0x80, 0xca, p1p2 >> 8, p1p2 & 0xff, undefined, 256));
    return sw === 0x9000 ? toHex(data) : sw.toString(16).toUpperCase();
  };
  assert.deepEqual([await get(0x42), await get(0x45), await get(0x1234)], ["6A88", "6A88", "6A88"]);
  const store = (p1: number, p2: number, hex: string) =>
    statusOf(channel.send(command(0x80, 0xe2, p1, p2, fromHex(hex))));
  assert.equal(await store(0x90, 0, "4203AABBCC"), "9000");
  assert.equal(await store(0x80, 0, "4504DEADBEEF"), "9000");
  assert.deepEqual([await get(0x42), await get(0x45)], ["4203AABBCC", "4504DEADBEEF"]);
  assert.equal(await store(0x88, 0, "007005" + "420311223312340201FF".slice(0, 10)), "9000");
  assert.equal(await get(0x42), "4203112233");
  assert.equal(await store(0x88, 0, "123402CAFE"), "9000", "a DGI under its number");
  assert.equal(await get(0x1234), "CAFE");
  // One object over two blocks; a block out of turn ends the series.
  assert.equal(await store(0x10, 0, "5F5004AA"), "9000");
  assert.equal(await get(0x5f50), "6A88");
  assert.equal(await store(0x90, 1, "BBCCDD"), "9000");
  assert.equal(await get(0x5f50), "5F5004AABBCCDD");
  assert.equal(await store(0x10, 0, "4201"), "9000");
  assert.equal(await store(0x90, 2, "00"), "6A86");
  assert.equal(await store(0x90, 1, "00"), "6A86");
  for (
    const [p1, hex, sw] of [
      [0x90, "66020000", "6A80"],
      [0x90, "4203", "6A80"],
      [0x90, "", "6A80"],
      [0xf0, "4201FF", "6A81"],
    ] as const
  ) assert.equal(await store(p1, 0, hex), sw, hex);
  assert.equal(await get(0x42), "4203112233");
  await bench.select(SSD_AID);
  assert.equal(await get(0x42), "6A88", "each domain has its own");
  // A target takes what follows, and ends with the last block.
  const issuer = await bench.issuer();
  await ok(issuer.send(installForPersonalization(RECOVERY_KEY_MODULE_AID)));
  for (const c of storeDataCommands([fromHex("000204CAFEBABE")])) await ok(issuer.send(c));
  assert.equal(await statusOf(issuer.send(command(0x80, 0xe2, 0x80, 0, fromHex("000204CAFEBABE")))), "6A80");
});

Deno.test("SET STATUS locks and unlocks applications and domains, as the figures say", async () => {
  const bench = await cardBench(PRELOADED);
  let channel = await bench.issuer();
  const set = (p1: 0x40 | 0x60, p2: number, aid: Uint8Array) =>
    statusOf(channel.send(setStatusCommand(p1, p2, aid)));
  const state = async (aid: Uint8Array) =>
    (await listStatus((c) => channel.send(c), 0x40, aid))[0]!.lifeCycle;
  assert.equal(await set(0x40, 0x80, RECOVERY_KEY_MODULE_AID), "9000");
  assert.equal(await state(RECOVERY_KEY_MODULE_AID), 0x87);
  assert.equal(await set(0x40, 0x80, RECOVERY_KEY_MODULE_AID), "6985", "locked already");
  assert.equal(await statusOf(bench.transmit(selectCommand(RECOVERY_KEY_MODULE_AID))), "6A82");
  assert.equal(await statusOf(channel.send(installForPersonalization(RECOVERY_KEY_MODULE_AID))), "6985");
  assert.equal(await set(0x40, 0x07, RECOVERY_KEY_MODULE_AID), "9000");
  assert.equal(await set(0x40, 0x0f, RECOVERY_KEY_MODULE_AID), "9000", "a state of its own");
  assert.equal(await set(0x40, 0x03, RECOVERY_KEY_MODULE_AID), "6985", "never back to INSTALLED");
  assert.equal(await set(0x40, 0x80, RECOVERY_KEY_MODULE_AID), "9000");
  assert.equal(await set(0x40, 0x00, RECOVERY_KEY_MODULE_AID), "9000");
  assert.equal(await state(RECOVERY_KEY_MODULE_AID), 0x0f, "unlocking brings back what was");
  assert.equal(await set(0x40, 0x0f, SSD_AID), "9000");
  assert.equal(await set(0x40, 0x07, SSD_AID), "6985", "a domain stays PERSONALIZED");
  assert.equal(await set(0x40, 0x80, ISD_AID), "6A88", "the issuer domain's is the card's");
  assert.equal(await set(0x40, 0x80, domainAid(9)), "6A88");
  assert.equal(await statusOf(channel.send(command(0x80, 0xf0, 0x20, 0x80, SSD_AID))), "6A86");
  // A domain with all that belongs to it.
  await ok(channel.send(installForExtradition({ securityDomainAid: SSD_AID, aid: RECOVERY_KEY_MODULE_AID })));
  assert.equal(await set(0x60, 0x80, SSD_AID), "9000");
  assert.deepEqual([await state(SSD_AID), await state(RECOVERY_KEY_MODULE_AID)], [0x8f, 0x8f]);
  assert.equal(await statusOf(bench.transmit(selectCommand(SSD_AID))), "6A82");
  const toLocked = installForExtradition({ securityDomainAid: SSD_AID, aid: RECOVERY_KEY_MODULE_AID });
  assert.equal(await statusOf(channel.send(toLocked)), "6985");
  channel = await bench.issuer();
  assert.equal(await set(0x60, 0x00, SSD_AID), "9000");
  await bench.select(SSD_AID);
});

Deno.test("SELECT finds by partial AID and next occurrence; channels and other names are refused", async () => {
  const bench = await cardBench();
  const channel = await bench.issuer();
  for (const n of [1, 2, 3]) await ok(channel.send(installDomain(domainAid(n))));
  const chosen = async (next: boolean) => {
    const { sw, data } = await bench.transmit(selectCommand(fromHex("D000000000"), { next }));
    return sw === 0x9000 ? data[9] : sw;
  };
  assert.deepEqual([await chosen(false), await chosen(true), await chosen(true), await chosen(true)], [
    1,
    2,
    3,
    0x6a82,
  ]);
  assert.equal(await chosen(true), 0x6a82, "the last one is still selected");
  assert.equal((await bench.raw("00A4040000")).slice(0, 24), "6F418408A000000151000000");
  for (
    const [apdu, sw] of [
      ["00A4040400", "6A86"],
      ["00A4000000", "6A86"],
      ["00A4040011" + "D0".repeat(17), "6A80"],
      ["0070000001", "6881"],
      ["00700001", "6881"],
      ["00708001", "6881"],
      ["0070400000", "6A86"],
      ["01A4040000", "6881"],
      ["81CA9F7F00", "6881"],
      ["C0CA9F7F00", "6881"],
      ["FFCA9F7F00", "6E00"],
      ["00A404000000", "6700"],
      ["80CA9F7F000000", "6700"],
      ["80F28002000002" + "4F00" + "0000", "6700"],
    ] as const
  ) assert.equal((await bench.raw(apdu)).slice(-4), sw, apdu);
});
