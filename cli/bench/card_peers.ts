/** Other people's GlobalPlatform tools, where they are on this machine: what they are called, and why one is not measured. */

import { REPOSITORY } from "../home.ts";

/** Command lines of one tool. The published test keys are nobody's secret. */
export interface Peer {
  readonly name: string;
  /** Program and arguments for each operation. */
  list(reader: string): string[];
  install(reader: string, cap: string): string[];
  remove(reader: string, packageAid: string): string[];
}

/** A tool that is not measured, and why. */
export interface AbsentPeer {
  readonly name: string;
  readonly absent: string;
}

const TEST_KEY = "404142434445464748494A4B4C4D4E4F";

async function onPath(program: string): Promise<string | undefined> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${program}`;
    if (await Deno.stat(path).then((file) => file.isFile, () => false)) return path;
  }
  return undefined;
}

/** GlobalPlatformPro: `gp` on the path, or the file that `GP_JAR` names. */
async function globalPlatformPro(): Promise<Peer | AbsentPeer> {
  const name = "globalplatformpro";
  const jar = Deno.env.get("GP_JAR");
  const java = await onPath("java");
  const gp = await onPath("gp");
  const start = jar !== undefined && java !== undefined
    ? [java, "-jar", jar]
    : gp === undefined
    ? undefined
    : [gp];
  if (start === undefined) {
    return { name, absent: "no gp on PATH, and GP_JAR names no gp.jar" };
  }
  const common = (reader: string) => [...start, "--reader", reader, "--key", TEST_KEY];
  return {
    name,
    list: (reader) => [...common(reader), "--list"],
    install: (reader, cap) => [...common(reader), "--install", cap],
    remove: (reader, packageAid) => [...common(reader), "--deletedeps", "--delete", packageAid],
  };
}

/** The independent client of the conformance tests: no product, but code that shares nothing with this tool. */
async function pythonClient(): Promise<Peer | AbsentPeer> {
  const name = "python-client";
  const python = "/usr/bin/python3";
  const modules = await new Deno.Command(python, { args: ["-c", "import smartcard, cryptography"] }).output()
    .then(({ success }) => success, () => false);
  if (!modules) return { name, absent: "apt-get install python3-pyscard python3-cryptography" };
  const start = [python, `${REPOSITORY}/tests/conformance/gp_client.py`];
  return {
    name,
    list: (reader) => [...start, reader, "list"],
    install: (reader, cap) => [...start, reader, "install", cap],
    remove: (reader, packageAid) => [...start, reader, "delete", packageAid],
  };
}

/** Every tool that was looked for. */
export async function findPeers(): Promise<(Peer | AbsentPeer)[]> {
  const gpshell = await onPath("gpshell");
  const opensc = await onPath("opensc-tool");
  return [
    await globalPlatformPro(),
    await pythonClient(),
    {
      name: "gpshell",
      absent: gpshell === undefined
        ? "no gpshell on PATH"
        : "it is there, and this program has no script for it yet",
    },
    {
      name: "opensc-tool",
      absent: opensc === undefined
        ? "no opensc-tool on PATH"
        : "it is there, and opens no secure channel: it can neither list, install nor delete",
    },
  ];
}
