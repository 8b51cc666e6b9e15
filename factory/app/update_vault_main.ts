/**
 * The update vault's process: `update_vault_main.ts init --config FILE` makes the keys that are missing;
 * `update_vault_main.ts serve --config FILE` serves its service over the pipes. It has no network permission in either.
 */

import { fromHex } from "shared/base/bytes.ts";
import { codeOf, defineErrors } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { latestRoot } from "shared/protocol/release/metadata.ts";
import { serveCalls } from "shared/service/pipe_calls.ts";
import { runVaultProcess } from "shared/service/vault_process.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { makeUpdateVault } from "../service/update/vault.ts";
import { performVaultCall } from "../service/update/vault_calls.ts";
import { readUpdateVaultConfig, type UpdateVaultConfig } from "./update_config.ts";

/** How often sessions that nobody goes on with are forgotten, in milliseconds. */
const SWEEP_MS = 10_000;

/** Makes what is missing; repeat it freely. */
async function init({ labels }: UpdateVaultConfig, hsm: Hsm): Promise<void> {
  const known = new Set((await hsm.keys()).map(({ label }) => label));
  if (!known.has(labels.upgradeMaster)) await hsm.generateMasterKey(labels.upgradeMaster);
  if (!known.has(labels.authorization)) await hsm.generateStorageKey(labels.authorization);
  console.log(JSON.stringify({ ready: true, labels }));
}

async function serve(config: UpdateVaultConfig, hsm: Hsm, log: Logger): Promise<never> {
  const trustedRoot = await Deno.readFile(config.root);
  // What it cannot verify from the start it never will.
  latestRoot([], trustedRoot);
  const vault = makeUpdateVault({
    hsm,
    labels: config.labels,
    issuers: config.issuers.map((issuer) => fromHex(issuer)),
    trustedRoot,
    releaseKey: fromHex(config.releaseKey),
    domain: { aid: fromHex(config.domain.aid), keyVersion: config.domain.keyVersion },
    chip: config.chip,
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    limits: config.limits,
  });
  setInterval(() => vault.sweep(), SWEEP_MS);
  console.log(JSON.stringify({ ready: true, pipes: config.pipes }));
  return await serveCalls(
    config.pipes,
    (call) => performVaultCall(vault, call),
    { onFault: (error) => log.error("vault.failed", { code: codeOf(error) }) },
  );
}

defineErrors({
  UPDATE_VAULT_USAGE: {
    fault: "usage",
    retry: false,
    next: "`rk update-service --help` shows what there is.",
  },
});

if (import.meta.main) {
  await runVaultProcess<UpdateVaultConfig>({
    usage: "UPDATE_VAULT_USAGE",
    read: readUpdateVaultConfig,
    logger: () => createLogger("update-vault"),
    init,
    // Sessions end with it: cards go on in new ones.
    serve,
  }, Deno.args);
}
