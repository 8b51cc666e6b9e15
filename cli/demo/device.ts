/** A virtual wallet of the demo: `rk wallet serve --apdu-port` as a process, with what it shows and what it holds. */

import { fromHex } from "shared/base/bytes.ts";
import { apduSpec } from "../commands/wallet.ts";
import { exists } from "../paths.ts";
import { type Child, startChild } from "../process/child.ts";
import { freePort } from "../spine/ports.ts";
import { MAKER_FILE } from "../spine/recover/layout.ts";

/** A device that is served. */
export interface DemoDevice {
  /** `host:port`. */
  readonly address: string;
  /** A session begins: what was shown before counts no longer. */
  begin(): void;
  /**
   * The four digits that it shows in this session for the Nth time, from 1: each half of a restore has its own. What it prints may
   * come later than the question that they answer, so they are waited for.
   */
  code(nth: number): Promise<string>;
  /** Entropy of its seed; undefined when it is empty. Read from its file: a virtual device hides nothing. */
  entropy(): Promise<Uint8Array | undefined>;
  stop(): Promise<void>;
}

/** Starts a new device. @param folder the spine's. @param empty without a seed, to restore one. */
export async function startDevice(folder: string, name: string, empty: boolean): Promise<DemoDevice> {
  const state = `${folder}/wallet/${name}.json`;
  // A folder that is kept has the devices of the demo before.
  if (await exists(state)) await Deno.remove(state);
  const port = freePort();
  const spec = apduSpec(
    { state, maker: `${folder}/${MAKER_FILE}`, ...(empty ? { empty } : {}), json: true },
    port,
  );
  const child: Child = await startChild({ ...spec, logFile: `${folder}/logs/wallets.log` });
  let codes: string[] = [];
  let shown = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const line of child.lines()) {
      const event = JSON.parse(line) as { event?: string; code?: string };
      if (event.event !== "security-code") continue;
      codes.push(event.code!);
      shown.resolve();
      shown = Promise.withResolvers();
    }
  })();
  return {
    address: `127.0.0.1:${port}`,
    begin: () => void (codes = []),
    async code(nth) {
      while (codes.length < nth) await shown.promise;
      return codes[nth - 1]!;
    },
    async entropy() {
      const { entropy } = JSON.parse(await Deno.readTextFile(state)) as { entropy: string | null };
      return entropy === null ? undefined : fromHex(entropy);
    },
    async stop() {
      await child.stop();
      await reading;
    },
  };
}
