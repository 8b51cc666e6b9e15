/**
 * The components that tests and `--real` need beside Deno: what each is for, how to see that it is there, and how it comes.
 * They are Debian packages, and one native binding that npm builds. With root or sudo they are installed; without, the
 * caller gets the one line that would install them.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { REPOSITORY } from "./home.ts";
import { exists } from "./paths.ts";

/** One component. */
export interface Component {
  readonly name: string;
  readonly purpose: string;
  /** Debian packages that bring it. */
  readonly packages: readonly string[];
  present(): Promise<boolean>;
}

const any = async (paths: readonly string[]): Promise<boolean> =>
  (await Promise.all(paths.map(exists))).some(Boolean);

/** Whether a program is in PATH or where Debian keeps those of administrators. */
export async function program(name: string): Promise<boolean> {
  const folders = (Deno.env.get("PATH") ?? "").split(":").concat("/usr/sbin", "/usr/local/sbin");
  return await any(folders.map((folder) => `${folder}/${name}`));
}

const library = (name: string) =>
  any(
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64"].map((folder) =>
      `${folder}/${name}`
    ),
  );

/** The components, in the order in which they are looked for. */
export const COMPONENTS: readonly Component[] = [
  { name: "pcscd", purpose: "PC/SC service", packages: ["pcscd"], present: () => program("pcscd") },
  {
    name: "libpcsclite",
    purpose: "PC/SC client library",
    packages: ["libpcsclite1"],
    present: () => library("libpcsclite.so.1"),
  },
  {
    name: "vpcd",
    purpose: "virtual reader driver of pcscd",
    packages: ["vsmartcard-vpcd"],
    present: () => any(["/usr/lib/pcsc/drivers/serial/libifdvpcd.so"]),
  },
  {
    name: "softhsm2",
    purpose: "PKCS#11 token",
    packages: ["softhsm2"],
    present: () => library("softhsm/libsofthsm2.so"),
  },
  {
    name: "pkcs11-tool",
    purpose: "reads the token independently of us",
    packages: ["opensc"],
    present: () => program("pkcs11-tool"),
  },
  {
    name: "postgresql",
    purpose: "database",
    packages: ["postgresql"],
    present: async () => {
      if (!await exists("/usr/lib/postgresql")) return false;
      for await (const version of Deno.readDir("/usr/lib/postgresql")) {
        if (await exists(`/usr/lib/postgresql/${version.name}/bin/initdb`)) return true;
      }
      return false;
    },
  },
  {
    name: "redis",
    purpose: "shared store of the gateway's limits",
    packages: ["redis-server"],
    present: () => program("redis-server"),
  },
  {
    name: "python client",
    purpose: "an independent GlobalPlatform client",
    packages: ["python3-pyscard", "python3-cryptography"],
    present: async () =>
      await exists("/usr/lib/python3/dist-packages/smartcard") &&
      await exists("/usr/lib/python3/dist-packages/cryptography"),
  },
  {
    name: "go",
    purpose: "reads our logs with the libraries of the Go checksum database",
    packages: ["golang-go", "golang-golang-x-mod-dev"],
    present: async () =>
      await program("go") && await exists("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog"),
  },
  {
    name: "chromium",
    purpose: "opens our pages as a person does",
    packages: ["chromium"],
    present: async () => await program("chromium") || await program("chromium-headless-shell"),
  },
  { name: "npm", purpose: "builds the PKCS#11 binding", packages: ["npm"], present: () => program("npm") },
  {
    name: "compiler",
    purpose: "builds the PKCS#11 binding",
    packages: ["g++", "make", "python3"],
    present: async () => await program("g++") && await program("make") && await program("python3"),
  },
];

/** Finds what is missing and installs it where it may. Returns the components that are still missing. */
export async function ensureComponents(
  tell: (line: string) => void,
  wanted: readonly Component[] = COMPONENTS,
): Promise<Component[]> {
  let missing = await absent(wanted);
  const packages = missing.flatMap((component) => component.packages);
  if (packages.length > 0) {
    const apt = await aptGet();
    if (apt) {
      tell(`installing ${packages.join(" ")}`);
      await run([...apt, "update", "-q"], {});
      await run([...apt, "install", "-y", "-q", "--no-install-recommends", ...packages], {
        DEBIAN_FRONTEND: "noninteractive",
      });
      missing = await absent(wanted);
    }
  }
  return missing;
}

async function absent(wanted: readonly Component[]): Promise<Component[]> {
  const there = await Promise.all(wanted.map((component) => component.present()));
  return wanted.filter((_, i) => !there[i]);
}

/** The line that installs components, for people without the right to let us do it. */
export function installLine(missing: readonly Component[]): string {
  return `apt-get install -y --no-install-recommends ${
    missing.flatMap((component) => component.packages).join(" ")
  }`;
}

async function aptGet(): Promise<string[] | undefined> {
  if (!await program("apt-get")) return undefined;
  if (Deno.uid() === 0) return ["apt-get"];
  if (await program("sudo")) {
    const allowed = await run(["sudo", "-n", "true"], {});
    if (allowed.success) return ["sudo", "-n", "apt-get"];
  }
  return undefined;
}

async function run(
  command: readonly string[],
  env: Record<string, string>,
  cwd = REPOSITORY,
): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    env,
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Path of the native part of pkcs11js once it is built. */
export async function pkcs11BindingFolder(): Promise<string> {
  for await (const entry of Deno.readDir(`${REPOSITORY}/node_modules/.deno`)) {
    if (entry.name.startsWith("pkcs11js@")) {
      return `${REPOSITORY}/node_modules/.deno/${entry.name}/node_modules/pkcs11js`;
    }
  }
  throw new CodedError("COMPONENT_MISSING", "Cannot find pkcs11js: the dependencies are not installed");
}

/**
 * Builds the native part of pkcs11js where it is not built yet: the package ships source, and Deno runs no build scripts
 * of npm packages by itself.
 * @throws {CodedError} `COMPONENT_MISSING` with the end of the build's output.
 */
export async function ensurePkcs11Binding(tell: (line: string) => void): Promise<void> {
  const folder = await pkcs11BindingFolder();
  if (await exists(`${folder}/build/Release/pkcs11.node`)) return;
  tell("building the PKCS#11 binding (once)");
  // Headers that came with Node are used where they are, so that nothing is downloaded for the build.
  const env: Record<string, string> = await exists("/usr/include/node/node.h")
    ? { npm_config_nodedir: "/usr" }
    : {};
  const built = await run(["npm", "rebuild", "--foreground-scripts"], env, folder);
  if (!await exists(`${folder}/build/Release/pkcs11.node`)) {
    throw new CodedError(
      "COMPONENT_MISSING",
      `Cannot build the PKCS#11 binding:\n${built.output.trimEnd().split("\n").slice(-6).join("\n")}`,
    );
  }
}

defineErrors({
  COMPONENT_MISSING: {
    fault: "installation",
    retry: false,
    next:
      "Install what the message names; `rk test` and `rk demo --real` do it by themselves with root or sudo.",
  },
});
