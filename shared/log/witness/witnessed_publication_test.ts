import assert from "node:assert/strict";
import { toUtf8 } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { cosignatureVerifier } from "../cosignature.ts";
import { parseCheckpoint } from "../checkpoint.ts";
import { parseNote } from "../note.ts";
import { openCheckpoint } from "../signed_checkpoint.ts";
import { openFileTileStore } from "../store/file_tile_store.ts";
import { ProcessLog } from "../store/process_log.ts";
import { openSqliteSequence } from "../store/sqlite_sequence.ts";
import type { TileStore } from "../store/tile_store.ts";
import { checkpointSigner } from "../testing/signers.ts";
import { formatVerifierKey } from "../vkey.ts";
import { witnessApp } from "./http_app.ts";
import { openWitnessListener } from "./listener.ts";
import { connectWitnesses, WitnessPeersConfig } from "./peers_config.ts";
import { RateLimit } from "./rate.ts";
import { testWitness, WITNESS_KEY } from "./testing/test_witness.ts";

const ORIGIN = "log.a.example/factory";
const KEY = checkpointSigner(ORIGIN, 3);
const LIMIT_MS = 60_000;

async function shownSize(tiles: TileStore): Promise<number> {
  const shown = await tiles.checkpoint();
  return shown === undefined ? 0 : parseCheckpoint(parseNote(shown).text).size;
}

Deno.test("a log shows its checkpoints cosigned, goes on while the witness is away, and is told when it went back", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-log-" });
  using test = testWitness([{ origin: ORIGIN, vkey: KEY.vkey }]);
  const app = witnessApp({
    witness: test.witness,
    rate: new RateLimit({ perSecond: 1e6, burst: 1e6 }),
    clock: SYSTEM_CLOCK,
  });
  let away = false;
  const listener = await openWitnessListener(
    "127.0.0.1:0",
    undefined,
    SYSTEM_CLOCK,
    (request, env) => away ? new Response("", { status: 503 }) : app.fetch(request, env),
  );
  const open = async (name: string, leadUnwitnessed = true) => {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
    const logger = createLogger("test", { write: () => {} });
    const tiles = await openFileTileStore({ directory: `${folder}/${name}/log` });
    const config = WitnessPeersConfig.parse({
      peers: [{ url: `http://${listener.address}`, vkey: formatVerifierKey(WITNESS_KEY) }],
      quorum: 1,
      deadlineMs: LIMIT_MS,
      firstPauseMs: 5,
      longestPauseMs: 20,
      leadUnwitnessed,
    });
    const parts = { origin: ORIGIN, tiles, signers: [KEY.signer], logger };
    const publication = await connectWitnesses(config, parts, () => test.now);
    const log = new ProcessLog({
      origin: ORIGIN,
      sequence: openSqliteSequence(`${folder}/${name}/log.sqlite`, ORIGIN),
      tiles,
      signers: [KEY.signer],
      verifiers: [KEY.verifier],
      logger,
      idleMs: 5,
      onPublished: publication.onPublished,
      witnessedSize: publication.witnessedSize,
    });
    return { log, publication, tiles };
  };
  const policy = {
    origin: ORIGIN,
    log: [KEY.verifier],
    witnesses: [cosignatureVerifier(WITNESS_KEY)],
    quorum: 1,
  };
  // Cosignatures come after the checkpoint is shown, when they come.
  const untilCosigned = async (tiles: TileStore, size: number) => {
    for (;;) {
      try {
        const shown = openCheckpoint((await tiles.checkpoint()) ?? new Uint8Array(), policy);
        if (shown.size === size) return assert.equal(shown.cosignatures.length, 1);
      } catch (error) {
        assert.ok(["CHECKPOINT_QUORUM", "NOTE_MALFORMED"].includes(codeOf(error)), String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  try {
    const a = await open("a");
    a.log.start();
    const append = async (text: string) => await a.log.included(await a.log.append(toUtf8(text)), LIMIT_MS);
    await append("first");
    await append("second");
    await untilCosigned(a.tiles, 2);
    away = true;
    await append("while the witness is away");
    // An entry counts when it is signed; readers see that a moment later.
    while (await shownSize(a.tiles) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.throws(() => openCheckpoint(Deno.readFileSync(`${folder}/a/log/checkpoint`), policy), {
      code: "CHECKPOINT_QUORUM",
    });
    await assert.rejects(a.publication.require((await a.tiles.checkpoint())!), { code: "WITNESS_QUORUM" });
    away = false;
    await untilCosigned(a.tiles, 3);
    await a.log.stop();
    await a.publication.stop();

    // Database and folder are gone together: only the witness knows that there was more.
    const back = await open("back");
    back.log.start();
    while (back.log.sequencer.failure === undefined) await back.log.sequencer.nextChange(20);
    assert.equal(codeOf(back.log.sequencer.failure), "LOG_ROLLED_BACK");
    await back.log.stop();
    await back.publication.stop();
    away = true;
    const unwitnessed = await open("unwitnessed", false);
    await assert.rejects(unwitnessed.publication.witnessedSize(), { code: "WITNESS_QUORUM" });
    await unwitnessed.log.stop();
    await unwitnessed.publication.stop();
    assert.deepEqual(test.evidence(), []);
  } finally {
    await listener.close(0);
    await Deno.remove(folder, { recursive: true });
  }
});
