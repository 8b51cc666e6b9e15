/** Reads what the probe wrote into a process's log. */

/** Path of the probe, to be preloaded. */
export const PROBE = decodeURIComponent(new URL("./probe.ts", import.meta.url).pathname);

/** What came of each attempt: `NotCapable` where the runtime refused it. Undefined when the probe never ran. */
export function probed(log: string): Record<string, string> | undefined {
  for (const line of log.split("\n")) {
    if (line.startsWith('{"probe":')) return (JSON.parse(line) as { probe: Record<string, string> }).probe;
  }
  return undefined;
}

/** What a confined process must show. */
export const ALL_REFUSED: Readonly<Record<string, string>> = {
  connection: "NotCapable",
  file: "NotCapable",
  write: "NotCapable",
  program: "NotCapable",
  environment: "NotCapable",
  library: "NotCapable",
};
