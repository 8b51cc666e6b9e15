/**
 * Processor time and memory of processes, from Linux's /proc (proc(5), /proc/PID/stat and status). Read by `cat`: the runtime lets no program
 * below all permissions read /proc itself.
 */

/** Clock ticks a second, which Linux fixes at 100 for /proc. */
const TICK_MS = 10;
/** Positions after the command's name of utime, stime, cutime and cstime: its own and that of children that have ended. */
const TIMES = [11, 12, 13, 14] as const;

/** Milliseconds of processes so far, threads and ended children included; one that is not there counts as 0. */
export async function cpuMsOf(...pids: readonly (number | string)[]): Promise<number> {
  const stats = await output("cat", pids.map((pid) => `/proc/${pid}/stat`));
  let ticks = 0;
  for (const stat of stats.split("\n")) {
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    for (const at of TIMES) ticks += Number(fields[at] ?? 0);
  }
  return ticks * TICK_MS;
}

/** The same of a process and its children. */
export async function cpuMsOfTree(pid: string): Promise<number> {
  return await cpuMsOf(pid, ...(await output("pgrep", ["-P", pid])).split("\n").filter(Boolean));
}

/** Highest resident memory of a process so far, in megabytes; 0 when it is not there. */
export async function peakMemoryMb(pid: number): Promise<number> {
  const status = await output("cat", [`/proc/${pid}/status`]);
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024);
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args: [...args], stdin: "null", stderr: "null" })
    .output();
  return new TextDecoder().decode(stdout).trim();
}
