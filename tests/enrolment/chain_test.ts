/** The whole way of a client: it enrols, is served at a gateway, is revoked and is refused there; each process under its own set. */

import assert from "node:assert/strict";
import { parse, stringify } from "yaml";
import { enrolSpec } from "cli/commands/gateway_enrol.ts";
import { startChild } from "cli/process/child.ts";
import { runCollected } from "cli/process/foreground.ts";
import { freePort } from "cli/spine/ports.ts";
import { EnrolConfig } from "gateway/app/enrol_config.ts";
import { startTestEnrolment } from "tests/environment/enrolment.ts";
import { startTestGateway, startUpstream } from "tests/environment/gateway.ts";
import { ALL_REFUSED, PROBE, probed } from "tests/permissions/probed.ts";

const WAIT_MS = 60_000;

Deno.test("a client enrols, is served by a gateway, is revoked and refused there", async () => {
  await using enrolment = await startTestEnrolment();
  const { folder, configPath } = enrolment;
  const text = parse(await Deno.readTextFile(configPath)) as Record<string, Record<string, unknown>>;
  const config = EnrolConfig.parse(text);
  // A second instance on the same token and database, in a process of its own, with addresses that its set can name.
  text.listen!.port = freePort();
  text.publication!.port = freePort();
  const secondPath = `${folder}/second.yaml`;
  await Deno.writeTextFile(secondPath, stringify(text));
  const second = await startChild({
    ...enrolSpec("serve", secondPath, EnrolConfig.parse(text)),
    logFile: `${folder}/second.log`,
    preload: PROBE,
  });
  const upstream = await startUpstream();
  const gateway = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (edited) =>
      edited.clients.authorities.push({
        name: "enrolled",
        certificate: `${folder}/issued.crt`,
        // Of the second instance: lists are numbered in the database, whoever publishes them.
        revocationUrls: [`http://${second.ready.publication}/issued.crl`],
        refreshSeconds: 1,
        maxAgeSeconds: 86_400,
      }),
  });
  try {
    assert.deepEqual(probed(await Deno.readTextFile(`${folder}/second.log`)), ALL_REFUSED);
    await enrolment.bootstrapFor("boot", "urn:recovery-key:bootstrap:station:line-7");
    const body = await enrolment.request("station", ["-subj", "/CN=line-7"]);
    const issued = await enrolment.post("boot", "simpleenroll", body);
    assert.equal(issued.status, 200, issued.body);
    await enrolment.accept("station", issued.body);
    await Deno.copyFile(`${gateway.folder}/servers.crt`, `${folder}/gateways.crt`);
    const use = async () => {
      const { stdout } = await new Deno.Command("curl", {
        cwd: folder,
        args: [
          ...["--silent", "--cacert", "gateways.crt", "--cert", "station.crt", "--key", "station.key"],
          ...[
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            `https://127.0.0.1:${gateway.port}/things/1`,
          ],
        ],
        stderr: "null",
      }).output();
      return Number(new TextDecoder().decode(stdout));
    };
    assert.equal(await use(), 200);
    const revoke = await runCollected(
      enrolSpec("revoke", configPath, config, {
        identity: "urn:recovery-key:station:line-7",
        reason: "lost",
      }),
    );
    assert.equal(revoke.code, 0, revoke.errors);
    const told = JSON.parse(revoke.output.trim().split("\n").at(-1)!) as { revoked: unknown[]; list: string };
    assert.equal(told.revoked.length, 1);
    const until = performance.now() + WAIT_MS;
    while (await use() !== 0) {
      assert.ok(performance.now() < until, "it is refused as soon as the gateway has the list");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const refused = gateway.lines.findLast((line) => line.event === "connection-refused");
    assert.equal(refused?.reason, "certificate-revoked");
    const listed = await runCollected(enrolSpec("issued", configPath, config));
    assert.match(
      listed.output,
      /"identity":"urn:recovery-key:station:line-7","way":"bootstrap".*"revokedAt":"2/,
    );
  } finally {
    await second.stop();
    await gateway.close();
    await upstream.close();
  }
});
