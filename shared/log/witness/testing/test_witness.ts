/** A witness in a temporary folder, with a clock that tests move. */

import { ed25519 } from "@noble/curves/ed25519.js";
import { createLogger } from "../../../base/log.ts";
import { ed25519Verifier, parseVerifierKey, SIGNATURE_TYPE_COSIGNATURE, verifierKey } from "../../vkey.ts";
import { type Evidence, parseEvidence } from "../evidence.ts";
import { openEvidenceFolder } from "../evidence_folder.ts";
import type { Mirror } from "../mirror.ts";
import { openWitnessState } from "../sqlite_store.ts";
import type { WitnessStateStore } from "../state_store.ts";
import { Witness, type WitnessEvent } from "../witness.ts";

const SEED = new Uint8Array(32).fill(77);
/** Public key of every test witness, with the name of the recorded session. */
export const WITNESS_KEY = verifierKey(
  "example.com/witness",
  SIGNATURE_TYPE_COSIGNATURE,
  ed25519.getPublicKey(SEED),
);

/** The parts that a test looks at. */
export interface TestWitness extends Disposable {
  readonly witness: Witness;
  readonly store: WitnessStateStore;
  readonly folder: string;
  readonly events: WitnessEvent[];
  /** Seconds since 1970. */
  now: number;
  evidence(): Evidence[];
}

/** Opens a witness for logs. */
export function testWitness(
  logs: readonly { readonly origin: string; readonly vkey: string; readonly mirror?: Mirror }[],
  options: {
    readonly folder?: string;
    readonly bytesMax?: number;
    readonly sign?: (message: Uint8Array) => Promise<Uint8Array>;
    readonly wrap?: (store: WitnessStateStore) => WitnessStateStore;
  } = {},
): TestWitness {
  const folder = options.folder ?? Deno.makeTempDirSync();
  const log = createLogger("test", { write: () => {} });
  const opened = openWitnessState({
    file: `${folder}/witness.sqlite`,
    highWaterFile: `${folder}/high-water`,
    ...(options.bytesMax === undefined ? {} : { bytesMax: options.bytesMax }),
  });
  const store = options.wrap?.(opened) ?? opened;
  const events: WitnessEvent[] = [];
  const test: TestWitness = {
    now: 1_700_000_000,
    folder,
    store,
    events,
    witness: new Witness({
      logs: logs.map(({ origin, vkey, mirror }) => ({
        origin,
        vkeys: [vkey],
        keys: [ed25519Verifier(parseVerifierKey(vkey))],
        ...(mirror === undefined ? {} : { mirror }),
      })),
      store,
      evidence: openEvidenceFolder(`${folder}/evidence`, log),
      key: WITNESS_KEY,
      sign: options.sign ?? ((message) => Promise.resolve(ed25519.sign(message, SEED))),
      clock: { now: () => test.now * 1000, monotonic: () => test.now * 1000 },
      log,
      clockToleranceSeconds: 60,
      observe: (event) => events.push(event),
    }),
    evidence: () =>
      [...Deno.readDirSync(`${folder}/evidence`)].map(({ name }) =>
        parseEvidence(Deno.readFileSync(`${folder}/evidence/${name}`))
      ),
    [Symbol.dispose]() {
      store.close();
      if (options.folder === undefined) Deno.removeSync(folder, { recursive: true });
    },
  };
  return test;
}
