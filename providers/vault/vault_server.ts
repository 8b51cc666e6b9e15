/** The vault's end of the pipes: serves one node after the other, for as long as the process runs. */

import { CodedError, codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { serveCalls } from "shared/service/pipe_calls.ts";
import { VAULT_FRAME_MAX, type VaultPort, VaultRequest } from "./protocol.ts";
import "../provider_errors.ts";

/** Serves. Returns only when a pipe cannot be opened. */
export async function serveVault(vault: VaultPort, pipes: string, log: Logger): Promise<never> {
  return await serveCalls(pipes, (request) => answer(vault, request, log), {
    frameMax: VAULT_FRAME_MAX,
    onCaller: (state) => log.info(`node.${state}`),
    onFault: (error) => log.warning("node.frame", { code: codeOf(error) }),
  });
}

async function answer(vault: VaultPort, request: unknown, log: Logger): Promise<unknown> {
  try {
    return await perform(vault, request);
  } catch (error) {
    // Only the code: what went wrong inside could say something of what is inside.
    const code = codeOf(error);
    log.error("step.failed", { code });
    throw new CodedError(code, "Cannot take step: the vault failed");
  }
}

async function perform(vault: VaultPort, request: unknown): Promise<unknown> {
  const parsed = VaultRequest.safeParse(request);
  if (!parsed.success) return await Promise.reject(new Error("no such request"));
  const { data } = parsed;
  switch (data.operation) {
    case "locate":
      return await vault.locate(data.about);
    case "step":
      return await vault.step(data);
    case "describe":
      return await vault.describe();
  }
}
