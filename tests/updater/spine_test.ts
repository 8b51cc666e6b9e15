/** The update through the gateways, with the processes of a local spine under their permission sets. */

import assert from "node:assert/strict";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { runLine } from "cli/demo/line.ts";
import { demoProfile } from "cli/demo/profile.ts";
import { virtualReaders } from "cli/demo/readers.ts";
import { isLoading, openWalletDesk, runUpdate } from "cli/demo/update.ts";
import { createBatch } from "cli/spine/batch.ts";
import { blankCards } from "cli/spine/card_maker.ts";
import { LogReader } from "shared/log/reader.ts";
import { LogTrust, trustPolicy } from "shared/log/trust.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { ALL_REFUSED, PROBE, probed } from "../permissions/probed.ts";
import { httpSource } from "device/update/tuf/http_source.ts";
import { startSpine } from "cli/spine/spine.ts";

Deno.test("a card of the line is updated through the gateways, pulled in the middle; another one while wallet, service and vault are killed", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-update-spine-" });
  const spine = await startSpine({ folder, update: true, preload: PROBE });
  try {
    await spine.startUpdate();
    for (const name of ["update", "update-vault", "releases"]) {
      const log = await Deno.readTextFile(`${folder}/logs/${name}.log`);
      assert.deepEqual(probed(log), ALL_REFUSED, name);
    }
    const readers = virtualReaders(1);
    const profile = await demoProfile(folder, spine.token.hsm, SYSTEM_RANDOM);
    const batch = await createBatch(spine.descriptor.batchManagerFile, profile, 2);
    const batchFile = `${folder}/batch.json`;
    await Deno.writeTextFile(batchFile, encodeBatchFile(batch), { mode: 0o600 });
    const cards = await blankCards(spine.token.hsm, SYSTEM_RANDOM, `${folder}/cards`, batch.batch, 2);
    const line = await runLine({ spine: spine.descriptor, batchFile, ...readers, cards });
    const told: string[] = [];
    const update = await runUpdate(spine, readers, line.cards[0]!, (text) => told.push(text));
    assert.deepEqual({ ...update, presentations: 0 }, {
      from: "1.0.0",
      to: "1.1.0",
      seedKept: true,
      presentations: 0,
    }, told.join("\n"));
    assert.ok(update.presentations >= 2);

    // SIGKILL to the wallet, then to service and vault, each in the middle of the load.
    const second = line.cards[1]!.stateFile;
    await using desk = await openWalletDesk(spine, readers);
    await desk.backup(second);
    const killed = await desk.update(second, (text, hands) => {
      if (isLoading(text)) hands.kill();
    });
    assert.notEqual(killed.code, 0);
    let restarting: Promise<void> | undefined;
    const restart = async () => {
      const names = ["update", "update-vault"];
      await Promise.all(names.map((name) => spine.children.get(name)!.kill()));
      await Promise.all(names.map((name) => spine.restart(name)));
    };
    await desk.update(second, (text) => {
      if (isLoading(text)) restarting ??= restart();
    });
    assert.ok(restarting !== undefined, "the second run was interrupted too");
    await restarting;
    const last = await desk.update(second, () => {});
    assert.ok(last.code === 0 || last.last.code === "WALLET_UPDATE_NOT_OFFERED", last.errors);
    assert.deepEqual(await desk.identify(second), { matches: true, version: "1.1.0" });

    // Probes of the gateways get an answer that means something.
    for (const gateway of ["gateway-a", "gateway-b"]) {
      const lines = (await Deno.readTextFile(`${folder}/logs/${gateway}.log`)).split("\n");
      const health = lines.filter((line) =>
        line.includes('"upstream-health"') && line.includes('"releases"')
      );
      assert.deepEqual(health.filter((line) => line.includes("HTTP 4")), []);
    }

    // The firewall passes what the repository's document describes, to wallets alone, and nothing else.
    const file = (name: string) => Deno.readTextFile(`${folder}/${name}`);
    const statusOf = async (path: string, owner: string) => {
      const tls = {
        ca: await file("pki/server.crt"),
        cert: await file(`${owner}.crt`),
        key: await file(`${owner}.key`),
      };
      const address = `https://${spine.descriptor.addresses.gatewayA.listen}${path}`;
      const { status, cancel } = await httpSource(tls).get(address, 0);
      cancel();
      return status;
    };
    const wallet = "wallet/update";
    assert.equal(await statusOf("/metadata/timestamp.json", wallet), 200);
    assert.equal(await statusOf("/log/checkpoint", wallet), 200);
    assert.equal(await statusOf("/metadata/timestamp.json", "station/tls"), 403);
    assert.equal(await statusOf("/metadata/timestamp.json?again=1", wallet), 400);
    assert.equal(await statusOf("/metadata/..%2frelease.json", wallet), 400);
    assert.equal(await statusOf("/log/private/sequence", wallet), 404);
    assert.equal(await statusOf("/readyz", wallet), 404);

    // Who updates what is in the log of the service, entered before the commands left.
    await spine.children.get("update")!.stop();
    const trustFile = await Deno.readTextFile(`${folder}/event-logs/update.trust.json`);
    const trust = trustPolicy(LogTrust.parse(JSON.parse(trustFile)));
    const log = await LogReader.open(directorySource(`${folder}/event-logs/update/log`), trust);
    const events: string[] = [];
    for await (const { bytes } of log.entries(0, log.checkpoint.size)) {
      events.push(JSON.parse(new TextDecoder().decode(bytes)).event);
    }
    assert.ok(events.filter((event) => event === "update.authorized").length >= 3, events.join(" "));
    assert.ok(events.includes("update.ended"));
  } finally {
    await spine.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
