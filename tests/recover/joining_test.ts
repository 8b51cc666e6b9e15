/**
 * What two administrators have who lay everything side by side that their providers leave behind as processes: logs, metrics, the
 * published log, key files. What a backup leaves in them at one provider is in nothing that the other has.
 */

import assert from "node:assert/strict";
import { startProvider } from "cli/commands/provider.ts";
import { fromUtf8, toHex } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import type { DepositAnswer, OpenSessionAnswer } from "shared/protocol/wire/recover.ts";
import { startPGliteServer } from "shared/transport/pglite/server.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { filesOf } from "tests/integration/secret_search.ts";
import { deploy } from "./deployment.ts";
import { makeDevice, makeMaker } from "./device.ts";
import { openRequest } from "./flows.ts";
import { HostSession } from "./host.ts";
import { makeVerifier } from "./verifier.ts";

const SILENT = createLogger("test", { level: "error", write: () => {} });
const BACKUPS = 3;

/** Words that could be an identifier: hexadecimal or Base64 of 6 bytes or more, with a digit in them. */
function identifiers(text: string): Set<string> {
  const found = text.match(/[A-Za-z0-9+_-]{8,}/g) ?? [];
  return new Set(
    found.filter((word) => /\d/.test(word) && /[A-Za-z]/.test(word)).map((word) => word.toLowerCase()),
  );
}

async function startOne(index: number, maker: ReturnType<typeof makeMaker>, owned: AsyncDisposableStack) {
  const folder = await Deno.makeTempDir({ prefix: "rk-joining-" });
  owned.defer(() => Deno.remove(folder, { recursive: true }));
  const database = await startPGliteServer({
    directory: `${folder}/database`,
    listen: { kind: "tcp", hostname: "127.0.0.1", port: 0 },
    logger: SILENT,
    onDeath: (error) => console.error("the embedded database died", error),
  });
  owned.defer(() => database.stop());
  const now = Math.floor(SYSTEM_CLOCK.now() / 1000);
  const verifier = await makeVerifier(`https://verifier-${index}.example`, now);
  await Deno.writeTextFile(`${folder}/keys.jwt`, verifier.keySet());
  const node = { keySetFile: "keys.jwt" };
  const { paths, client, orchestrator } = await deploy(folder, database.url, { ...verifier, node }, {}, {
    index,
    maker,
  });
  owned.defer(() => client.close());
  const { preload: _probe, ...files } = paths;
  const running = await startProvider(files);
  owned.defer(() => running.stop());
  return {
    async step<T>(path: string, body: unknown): Promise<T> {
      const response = await fetch(`https://${running.ready.listen}${path}`, {
        method: "POST",
        client,
        headers: { "content-type": "application/json", "client-cert": `:${orchestrator.toBase64()}:` },
        body: JSON.stringify(body),
      });
      const answer = await response.json();
      assert.equal(response.status, 200, JSON.stringify(answer));
      return answer as T;
    },
    /** Text logs, metrics, the published log. */
    async left(): Promise<{ logs: string; metrics: string; published: string }> {
      const text = async (path: string) =>
        (await filesOf(path)).map(({ content }) => fromUtf8Lossy(content)).join("\n");
      return {
        logs: await text(`${folder}/logs`),
        metrics: await (await fetch(`http://${running.ready.admin}/metrics`)).text(),
        published: await text(`${folder}/event-log`),
      };
    },
  };
}

function fromUtf8Lossy(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

Deno.test("logs, metrics and published logs of two providers have no identifier in common, and no line for each backup", async () => {
  const maker = makeMaker();
  await using owned = new AsyncDisposableStack();
  const providers = [await startOne(1, maker, owned), await startOne(2, maker, owned)];
  const quiet = await Promise.all(providers.map((provider) => provider.left()));
  const told: string[] = [];
  for (let times = 0; times < BACKUPS; times++) {
    const backupId = toHex(SYSTEM_RANDOM(16));
    const host = await HostSession.open(maker, makeDevice(maker, SYSTEM_RANDOM(16)));
    const sessions: string[] = [];
    for (const [i, provider] of providers.entries()) {
      const request = openRequest(host, "backup", backupId, i === 0);
      await host.introduce(await provider.step<OpenSessionAnswer>("/v1/sessions", request));
      const body = await host.share();
      await host.stored(await provider.step<DepositAnswer>(`/v1/sessions/${request.session}/deposit`, body));
      sessions.push(request.session);
      told.push(backupId, request.session, request.device.certificate, body.commitments);
    }
    for (const [i, provider] of providers.entries()) {
      await provider.step(`/v1/sessions/${sessions[i]}/commit`, {});
    }
  }
  // The published log follows behind the commits.
  const entries = (text: string) => text.split("provider.backup-committed").length - 1;
  let left = await Promise.all(providers.map((provider) => provider.left()));
  while (left.some(({ published }) => entries(published) < BACKUPS)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = await Promise.all(providers.map((provider) => provider.left()));
  }
  const [one, two] = left.map((each) => identifiers(Object.values(each).join("\n")));
  const known = new Set(
    quiet.flatMap(({ logs, metrics, published }) => [...identifiers([logs, metrics, published].join("\n"))]),
  );
  const common = [...one!].filter((word) => two!.has(word) && !known.has(word));
  // Names of events and times of the hour are no identifiers: both have them whatever happens.
  assert.deepEqual(common.filter((word) => !/^\d{4}-\d\d-\d\dt\d\d$/.test(word)), []);
  const all = JSON.stringify(left).toUpperCase();
  for (const text of told) assert.ok(!all.includes(text.toUpperCase()));
  for (const [i, { logs, metrics }] of left.entries()) {
    // Steps that are done leave no line: their number and their times are in no text log. The pipe's first use is one.
    const lines = (text: string) => text.split("\n").filter((line) => line.includes("provider")).length;
    assert.ok(lines(logs) - lines(quiet[i]!.logs) < BACKUPS);
    const labels = [...metrics.matchAll(/\{([^}]*)\}/g)].flatMap(([, pairs]) =>
      pairs!.split(",").map((pair) => pair.split("=")[0]!)
    );
    assert.deepEqual([...new Set(labels)].filter((label) => !["route", "code", "le"].includes(label)), []);
  }
});
