import assert from "node:assert/strict";
import { createLogger } from "shared/base/log.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { openCheckpoint } from "../signed_checkpoint.ts";
import { formatVerifierKey } from "../vkey.ts";
import { witnessApp } from "../witness/http_app.ts";
import { openWitnessListener } from "../witness/listener.ts";
import { RateLimit } from "../witness/rate.ts";
import { testWitness, WITNESS_KEY } from "../witness/testing/test_witness.ts";
import { FileEventLogConfig, resolveEventLog } from "./config.ts";
import { fileLogVerifierKey, openFileEventLog } from "./file_event_log.ts";

const ORIGIN = "log.example.com/station";

Deno.test("a process whose configuration names a witness shows its log cosigned, and its page asks for that", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-log-" });
  const keyFile = `${folder}/log.key`;
  const secrets = [[keyFile, btoa("k".repeat(32))], [`${folder}/pseudonyms.key`, "p".repeat(32)]] as const;
  for (const [file, text] of secrets) await Deno.writeTextFile(file, text, { mode: 0o600 });
  using test = testWitness([{ origin: ORIGIN, vkey: fileLogVerifierKey(ORIGIN, keyFile) }]);
  const app = witnessApp({
    witness: test.witness,
    rate: new RateLimit({ perSecond: 1e6, burst: 1e6 }),
    clock: SYSTEM_CLOCK,
  });
  const listener = await openWitnessListener("127.0.0.1:0", undefined, SYSTEM_CLOCK, app.fetch);
  const config = resolveEventLog(
    FileEventLogConfig.parse({
      origin: ORIGIN,
      folder: "log",
      sequenceFile: "log.sqlite",
      keyFile: "log.key",
      pseudonymKeyFile: "pseudonyms.key",
      witnesses: {
        peers: [{ url: `http://${listener.address}`, vkey: formatVerifierKey(WITNESS_KEY) }],
        quorum: 1,
        deadlineMs: 60_000,
        firstPauseMs: 5,
      },
    }),
    (path) => `${folder}/${path}`,
  );
  const lines: string[] = [];
  const logger = createLogger("test", { write: (line) => lines.push(line) });
  const clock = { ...SYSTEM_CLOCK, now: () => test.now * 1000 };
  try {
    const log = await openFileEventLog(config, { process: "station", clock, logger });
    assert.equal(log.page?.policy.quorum, 1);
    await log.record("station.stopped", { actor: log.self, outcome: "done" });
    for (;;) {
      const note = await Deno.readFile(`${config.folder}/checkpoint`).catch(() => new Uint8Array());
      const shown = note.length > 0 ? tryOpen(note, log.page!.policy) : undefined;
      if (shown !== undefined && shown.size > 0) {
        assert.equal(shown.cosignatures.length, 1);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await log.stop();
    assert.equal(lines.some((line) => line.includes("unwitnessed-log")), false);

    const { witnesses: _, ...alone } = config;
    const bare = await openFileEventLog(alone, { process: "station", clock, logger });
    await bare.stop();
    assert.ok(lines.some((line) => line.includes("unwitnessed-log")), "an unwitnessed log says so at start");
  } finally {
    await listener.close(1_000);
    await Deno.remove(folder, { recursive: true });
  }
});

/** The checkpoint when its policy is fulfilled; cosignatures come a moment after it is shown. */
function tryOpen(...[note, policy]: Parameters<typeof openCheckpoint>) {
  try {
    return openCheckpoint(note, policy);
  } catch {
    return undefined;
  }
}
