/** Gateways that are upgraded in place, and replaced one after the other, under load: the same code for CI and for the long run. */

import { startUpstream } from "tests/environment/gateway.ts";
import { type CommandGateway, startCommandGateway } from "./command.ts";
import { type LoadResult, runLoad } from "./load.ts";

/** How much load. */
export interface ChangeLoad {
  readonly requests: number;
  readonly clients: number;
  /** Changes during the load. */
  readonly changes: number;
}

/** What came of it. */
export interface ChangeResult extends LoadResult {
  readonly changes: number;
}

const upgrade = async (gateway: CommandGateway) => {
  const { code, stderr } = await gateway.run("upgrade");
  if (code !== 0) throw new Error(`Cannot upgrade: ${stderr}`);
};

const replace = async (gateway: CommandGateway) => {
  const code = await gateway.stop();
  if (code !== 0) throw new Error(`Cannot stop a gateway in order: exit code ${code}`);
  await gateway.start();
};

/** One gateway, whose process is replaced on the same socket again and again. */
export function upgradeUnderLoad(load: ChangeLoad): Promise<ChangeResult> {
  return changeUnderLoad(1, load, upgrade);
}

/** Two gateways, stopped and started one after the other. */
export function replaceUnderLoad(load: ChangeLoad): Promise<ChangeResult> {
  return changeUnderLoad(2, load, replace);
}

async function changeUnderLoad(
  instances: number,
  { requests, clients, changes }: ChangeLoad,
  change: (gateway: CommandGateway) => Promise<void>,
): Promise<ChangeResult> {
  const upstreams = await Promise.all([startUpstream(), startUpstream()]);
  const gateways: CommandGateway[] = [];
  let done = 0;
  let fault: unknown;
  let changing: Promise<void> | undefined;
  try {
    while (gateways.length < instances) {
      gateways.push(await startCommandGateway(upstreams.map(({ url }) => ({ url }))));
    }
    const next = (gateway: CommandGateway) => {
      changing = change(gateway).catch((error) => fault ??= error).then(() => {
        done++;
        changing = undefined;
      });
    };
    const result = await runLoad({
      ports: gateways.map(({ port }) => port),
      clients,
      requests,
      // Spread over the load; a change that takes longer than its share delays the next one, and the load waits for the last.
      at: (begun) => {
        if (changing === undefined && done < changes && begun >= requests * (done + 0.5) / changes) {
          next(gateways[done % gateways.length]!);
        }
      },
      enough: () => fault !== undefined || done >= changes,
    });
    if (fault !== undefined) throw fault;
    return { ...result, changes: done };
  } finally {
    await changing;
    for (const gateway of gateways) await gateway.close();
    for (const upstream of upstreams) await upstream.close();
  }
}
