/** Processor time of processes, from Linux's /proc (proc(5), /proc/PID/stat). */

/** Clock ticks a second, which Linux fixes at 100 for /proc. */
const TICK_MS = 10;
/** Positions after the command's name of utime, stime, cutime and cstime: its own and that of children that have ended. */
const TIMES = [11, 12, 13, 14] as const;

/** Milliseconds of a process so far, threads and ended children included; 0 when it is not there. */
export async function cpuMsOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return TIMES.reduce((sum, at) => sum + TICK_MS * Number(fields[at] ?? 0), 0);
}

/** The same of every process of this command's name. */
export async function cpuMsOfCommand(name: string): Promise<number> {
  let sum = 0;
  for await (const { name: pid } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await Deno.readTextFile(`/proc/${pid}/comm`).catch(() => "");
    if (command.trim() === name) sum += await cpuMsOf(Number(pid));
  }
  return sum;
}
