import assert from "node:assert/strict";
import { createLogger } from "shared/base/log.ts";
import { Secret } from "shared/base/secret.ts";
import { formatCheckpoint } from "shared/log/checkpoint.ts";
import { emptyRoot } from "shared/log/merkle.ts";
import { parseNote, signNote, verifyNote } from "shared/log/note.ts";
import { ed25519Verifier } from "shared/log/vkey.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { hsmLogSigner, type LogSigner, seedLogSigner } from "./note_signers.ts";

const ORIGIN = "example.com/log";
const TEXT = formatCheckpoint({ origin: ORIGIN, size: 0, root: emptyRoot(), extensions: [] });

async function signsWith(signer: LogSigner, other: LogSigner): Promise<void> {
  const note = parseNote(await signNote(TEXT, [signer]));
  assert.equal(verifyNote(note, [ed25519Verifier(signer.verifierKey)]).length, 1);
  assert.throws(() => verifyNote(note, [ed25519Verifier(other.verifierKey)]), { code: "NOTE_UNSIGNED" });
}

Deno.test("seedLogSigner() and hsmLogSigner() sign checkpoints that their verifier keys verify, and no others do", async () => {
  const directory = await Deno.makeTempDir({ prefix: "rk-signer-" });
  ensureSecretFile(`${directory}/passphrase`);
  const hsm = await openSoftwareHsm({
    file: `${directory}/keys.json`,
    passphraseFile: `${directory}/passphrase`,
    logger: createLogger("test", { write: () => {} }),
  });
  try {
    await assert.rejects(hsmLogSigner(hsm, "log", ORIGIN), { code: "HSM_KEY_MISSING" });
    await hsm.generateSigningKey("log", "ed25519");
    await hsm.generateSigningKey("release", "p256");
    await assert.rejects(hsmLogSigner(hsm, "release", ORIGIN), { code: "LOG_KEY_CURVE" });
    using seed = new Secret(new Uint8Array(32).fill(3));
    const [inToken, inMemory] = [await hsmLogSigner(hsm, "log", ORIGIN), seedLogSigner(seed, ORIGIN)];
    await signsWith(inToken, inMemory);
    await signsWith(inMemory, inToken);
  } finally {
    await hsm.close();
    await Deno.remove(directory, { recursive: true });
  }
});
