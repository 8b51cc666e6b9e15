import assert from "node:assert/strict";
import { parse, stringify } from "yaml";
import { blankCard } from "cli/spine/card_maker.ts";
import { createBatch } from "cli/spine/batch.ts";
import { freePort } from "cli/spine/ports.ts";
import { startSpine } from "cli/spine/spine.ts";
import { main as walletMain } from "device/app/wallet_main.ts";
import { attachToVpcd } from "device/card/vpcd.ts";
import { VirtualCard } from "device/card/virtual_card.ts";
import { RELEASE_LABEL } from "factory/domain/factory_keys.ts";
import { checkProfile } from "factory/domain/profile.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { profileTemplate } from "factory/domain/profile_template.ts";
import { runStationCommand } from "factory/app/station_run.ts";
import { signPackage } from "factory/service/package/sign.ts";
import { fromHex } from "shared/base/bytes.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { encodeSignedPackage } from "shared/protocol/signed_package/document.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";

/**
 * The whole line with the real services, each a process of its own: gateways, attestation services on a software HSM and
 * the embedded database, the station with virtual readers, blank cards with diversified keys.
 */
Deno.test("runStationCommand() cards through the real services, one gateway killed on the way; wallets accept them", async (test) => {
  const folder = await Deno.makeTempDir({ prefix: "line-" });
  const spine = await startSpine({ folder });
  try {
    const cap = writeTestCap({ payloadBytes: 600 });
    const template = JSON.parse(profileTemplate("recovery-key"));
    const signed = await signPackage({
      hsm: spine.token.hsm,
      keyLabel: RELEASE_LABEL,
      cap,
      securityDomainAid: fromHex(template.applet.dapDomain),
      clock: SYSTEM_CLOCK,
    });
    await Deno.writeFile(`${folder}/recovery_key.cap`, cap);
    await Deno.writeTextFile(`${folder}/recovery_key.signed.json`, encodeSignedPackage(signed));
    template.applet.capSha256 = signed.capSha256;
    template.applet.releaseKey = signed.signatures[0]!.publicKey;
    const profile = checkProfile(template);
    const batch = await createBatch(spine.descriptor.batchManagerFile, profile, 20);
    const batchPath = `${folder}/batch.json`;
    await Deno.writeTextFile(batchPath, encodeBatchFile(batch), { mode: 0o600 });

    const cards: VirtualCard[] = [];
    const lines: Record<string, unknown>[] = [];
    const state = `${folder}/line-state`;
    const configuration = parse(await Deno.readTextFile(spine.descriptor.stationFile));
    const station = `${folder}/station-test.yaml`;
    await Deno.writeTextFile(station, stringify({ ...configuration, stateFolder: state }));

    await test.step("four cards on two readers", async () => {
      const taken = new Map<string, AbortController>();
      let killed = false;
      const insert = async (address: { host: string; port: number }) => {
        const card = await VirtualCard.open(await blankCard(spine.token.hsm, SYSTEM_RANDOM));
        cards.push(card);
        const away = new AbortController();
        taken.set(String(address.port), away);
        attachToVpcd(card, { ...address, signal: away.signal });
      };
      const addresses = new Map<string, { host: string; port: number }>();
      const work: Promise<unknown>[] = [];
      const exit = await runStationCommand({
        batch: batchPath,
        station,
        json: true,
        count: 4,
        virtualReaders: "127.0.0.1:0,127.0.0.1:0",
      }, {
        finish: new AbortController().signal,
        stop: new AbortController().signal,
        write: (text) => {
          const line = JSON.parse(text);
          lines.push(line);
          if (line.event === "ready") {
            for (const { name, host, port } of line.virtualReaders) {
              addresses.set(name, { host, port });
              work.push(insert({ host, port }));
            }
          }
          if (line.event === "card") {
            const address = addresses.get(line.card.reader)!;
            taken.get(String(address.port))!.abort();
            if (!killed) work.push(spine.children.get("gateway-a")!.kill());
            killed = true;
          }
          if (line.event === "card-removed" && cards.length < 4) {
            work.push(insert(addresses.get(line.reader)!));
          }
        },
      });
      for (const away of taken.values()) away.abort();
      await Promise.all(work);
      assert.equal(exit, 0, JSON.stringify(lines.filter(({ event }) => event === "card")));
      const summary = lines.at(-1) as { attested: number; failed: number; cards: { serial: string }[] };
      assert.deepEqual([summary.attested, summary.failed], [4, 0]);
      assert.equal(new Set(summary.cards.map(({ serial }) => serial)).size, 4);
      assert.equal(lines[0]!.ready, true);
      assert.ok(lines.some(({ event }) => event === "failover"));
    });

    await test.step("a wallet finds each card genuine, with the trust file that the station wrote", async () => {
      const port = freePort();
      for (const card of cards) {
        const away = new AbortController();
        const attached = attachToVpcd(card, { host: "127.0.0.1", port, signal: away.signal });
        const args = [
          "genuine-check",
          "--reader",
          "wallet",
          "--trust",
          `${state}/wallet-trust.json`,
          "--json",
        ];
        assert.equal(await walletMain([...args, "--virtual-readers", `127.0.0.1:${port}`]), 0);
        away.abort();
        await attached.done;
      }
    });

    await test.step("the same batch file with a changed profile is refused", async () => {
      const changed = await Deno.readTextFile(batchPath);
      await Deno.writeTextFile(
        `${folder}/changed.json`,
        changed.replace('"loadBlockSize": 220', '"loadBlockSize": 200'),
      );
      await assert.rejects(
        runStationCommand({
          batch: `${folder}/changed.json`,
          station,
          json: true,
          virtualReaders: "127.0.0.1:0",
        }, {
          finish: new AbortController().signal,
          stop: new AbortController().signal,
          write: () => {},
        }),
        { code: "BATCH_FILE_CHANGED" },
      );
    });
  } finally {
    await spine.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
