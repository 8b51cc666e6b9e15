/** The vault's end of the pipes: serves one node after the other, for as long as the process runs. */

import { codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { FrameWriter, PIPES, readFrames } from "./frames.ts";
import { type VaultPort, VaultRequest } from "./protocol.ts";
import "../provider_errors.ts";

/** Serves. Returns only when a pipe cannot be opened. */
export async function serveVault(vault: VaultPort, pipes: string, log: Logger): Promise<never> {
  for (;;) {
    const requests = await Deno.open(`${pipes}/${PIPES.requests}`, { read: true });
    const answers = await Deno.open(`${pipes}/${PIPES.answers}`, { write: true });
    log.info("node.connected");
    const writer = new FrameWriter(answers);
    const working = new Set<Promise<void>>();
    try {
      for await (const frame of readFrames(requests)) {
        const work = answer(vault, frame, writer, log).finally(() => working.delete(work));
        working.add(work);
      }
    } catch (error) {
      log.warning("node.frame", { code: codeOf(error) });
    }
    await Promise.all(working);
    log.info("node.left");
    requests.close();
    answers.close();
  }
}

async function answer(vault: VaultPort, frame: unknown, writer: FrameWriter, log: Logger): Promise<void> {
  const { id, request } = frame as { id?: unknown; request?: unknown };
  if (typeof id !== "string") return;
  let reply: unknown;
  try {
    reply = { id, answer: await perform(vault, request) };
  } catch (error) {
    // Only the code: what went wrong inside could say something of what is inside.
    const code = codeOf(error);
    log.error("step.failed", { code });
    reply = { id, code };
  }
  // The node may be gone; then nobody waits for this.
  await writer.write(reply).catch(() => {});
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
