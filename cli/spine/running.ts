/** Finding the spine that other commands talk to: the one that is kept running, or one for the length of a command. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { exists } from "../paths.ts";
import { DEFAULT_SPINE } from "./layout.ts";
import { type SpineDescriptor, startSpine } from "./spine.ts";

/** Descriptor of the spine in a folder if its processes run. */
export async function runningSpine(folder = DEFAULT_SPINE): Promise<SpineDescriptor | undefined> {
  const file = `${folder}/spine.json`;
  if (!await exists(file)) return undefined;
  const descriptor = JSON.parse(await Deno.readTextFile(file)) as SpineDescriptor;
  const alive = await Promise.all(
    Object.values(descriptor.processes).map((pid) => isOurs(pid, descriptor.folder)),
  );
  return alive.some(Boolean) ? descriptor : undefined;
}

/**
 * True when a process with this id runs and its command line names the spine's folder: ids are used again. The runtime opens
 * /proc to programs with every permission only, so another one reads it.
 */
async function isOurs(pid: number, folder: string): Promise<boolean> {
  const { success, stdout } = await new Deno.Command("/bin/cat", {
    args: [`/proc/${pid}/cmdline`],
    stderr: "null",
  }).output();
  return success && new TextDecoder().decode(stdout).includes(folder);
}

/** Ends the processes of a kept spine. Returns the names of those that ran. */
export async function stopRunningSpine(folder = DEFAULT_SPINE): Promise<string[]> {
  const descriptor = await runningSpine(folder);
  if (!descriptor) return [];
  const stopped: string[] = [];
  // Services first, the database last.
  const entries = Object.entries(descriptor.processes).sort(([a], [b]) =>
    Number(a.endsWith("database")) - Number(b.endsWith("database"))
  );
  for (const [name, pid] of entries) {
    if (!await isOurs(pid, descriptor.folder)) continue;
    Deno.kill(pid, "SIGTERM");
    stopped.push(name);
    const deadline = Date.now() + STOP_MS;
    while (await isOurs(pid, descriptor.folder)) {
      if (Date.now() > deadline) {
        Deno.kill(pid, "SIGKILL");
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  await Deno.remove(`${folder}/spine.json`);
  return stopped;
}

const STOP_MS = 15_000;

/**
 * Runs something against the kept spine, or against one that is started in the same folder for that long, so that what it
 * stores (batches, serials, keys) is there the next time.
 */
export async function withSpine<T>(
  tell: (line: string) => void,
  use: (descriptor: SpineDescriptor) => Promise<T>,
): Promise<T> {
  const running = await runningSpine();
  if (running) return await use(running);
  tell(
    "no spine is running: starting the local one for this command (`rk spine start` keeps one). Not for production.",
  );
  const spine = await startSpine({ folder: DEFAULT_SPINE });
  try {
    return await use(spine.descriptor);
  } finally {
    await spine.stop();
  }
}

/** Lets nothing start twice. @throws {CodedError} `SPINE_RUNNING` when a spine runs in the default folder. */
export async function refuseWhenRunning(): Promise<void> {
  if (await runningSpine()) throw new CodedError("SPINE_RUNNING", "Cannot start a spine: one is running");
}

defineErrors({
  SPINE_RUNNING: {
    fault: "usage",
    retry: false,
    next: "`rk spine stop` ends it; `rk spine status` tells about it.",
  },
});
