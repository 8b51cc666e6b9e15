/**
 * Loaded first into a process of ours, under that process's permission set: tries what no set allows and writes what came
 * of it to standard error, one JSON line. Then the process goes on as always.
 */

const attempts: Readonly<Record<string, () => unknown>> = {
  // The discard port: nothing of ours ever listens there.
  connection: () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
  file: () => Deno.readTextFileSync("/etc/hostname"),
  write: () => Deno.writeTextFileSync("/var/tmp/recovery-key-probe", ""),
  program: () => new Deno.Command("/bin/true").outputSync(),
  environment: () => Deno.env.get("HOME"),
  library: () => Deno.dlopen("libc.so.6", { getpid: { parameters: [], result: "i32" } }),
};

const outcome: Record<string, string> = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    outcome[name] = "allowed";
  } catch (error) {
    outcome[name] = error instanceof Error ? error.name : "unknown";
  }
}
console.error(JSON.stringify({ probe: outcome }));
