/** Memory of processes, from Linux's /proc (proc(5), /proc/PID/smaps_rollup). Read by `cat`, as in cpu.ts. */

/** Proportional set size in megabytes of a process and its children: pages that are shared are counted once in all. */
export async function memoryMbOfTree(pid: number): Promise<number> {
  const children = (await output("pgrep", ["-P", String(pid)])).split("\n").filter(Boolean);
  const text = await output("cat", [String(pid), ...children].map((each) => `/proc/${each}/smaps_rollup`));
  let kilobytes = 0;
  for (const [, value] of text.matchAll(/^Pss:\s+(\d+) kB$/gm)) kilobytes += Number(value);
  return kilobytes / 1024;
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args: [...args], stdin: "null", stderr: "null" })
    .output();
  return new TextDecoder().decode(stdout).trim();
}
