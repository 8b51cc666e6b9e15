/** Drives the client as the conformance suite does: by its command line, seeing its exit code, its files and its requests. */

import { runTufClient } from "device/app/tuf_client_main.ts";
import { SimulatedRepository } from "./repository.ts";

const DAY_MS = 86_400_000;

/** A client with folders of its own, and the repository that it knows. */
export class ClientRunner implements AsyncDisposable {
  readonly repository: SimulatedRepository;
  readonly folder: string;
  /** What the client told last. */
  told = "";

  /** @param repository simulated; a new one unless given. */
  constructor(repository = new SimulatedRepository()) {
    this.repository = repository;
    this.folder = Deno.makeTempDirSync({ prefix: "tuf-client-" });
    Deno.mkdirSync(this.metadataDir);
    Deno.mkdirSync(this.targetsDir);
  }

  /** Folder of trusted metadata. */
  get metadataDir(): string {
    return `${this.folder}/metadata`;
  }

  /** Folder of verified targets. */
  get targetsDir(): string {
    return `${this.folder}/targets`;
  }

  /** `init` with the repository's first root, or another. */
  async init(root: Uint8Array = this.repository.published.root![0]!): Promise<number> {
    const file = `${this.folder}/initial_root.json`;
    await Deno.writeFile(file, root);
    return await this.#run(["--metadata-dir", this.metadataDir, "init", file]);
  }

  /** `refresh`, so many days from now. */
  async refresh(days = 0): Promise<number> {
    const args = [
      "--metadata-url",
      this.repository.metadataUrl,
      "--metadata-dir",
      this.metadataDir,
      "refresh",
    ];
    return await this.#run(args, days);
  }

  /** `download`, so many days from now. */
  async download(path: string, days = 0): Promise<number> {
    return await this.#run([
      "--metadata-url",
      this.repository.metadataUrl,
      "--metadata-dir",
      this.metadataDir,
      "--target-name",
      path,
      "--target-dir",
      this.targetsDir,
      "--target-base-url",
      this.repository.targetsUrl,
      "download",
    ], days);
  }

  /** Trusted bytes of a role. */
  trusted(role: string): Uint8Array | undefined {
    try {
      return Deno.readFileSync(`${this.metadataDir}/${role}.json`);
    } catch {
      return undefined;
    }
  }

  /** Trusted version of a role. */
  version(role: string): number | undefined {
    const bytes = this.trusted(role);
    return bytes && JSON.parse(new TextDecoder().decode(bytes)).signed.version;
  }

  /** Versions of everything that is trusted, as `role version`, in order of their names. */
  get trustedRoles(): string[] {
    return [...Deno.readDirSync(this.metadataDir)].filter(({ name }) => name.endsWith(".json"))
      .map(({ name }) => name.slice(0, -5)).sort().map((role) => `${role} ${this.version(role)}`);
  }

  /** Contents of the verified targets. */
  get downloaded(): string[] {
    return [...Deno.readDirSync(this.targetsDir)].filter(({ name }) => !name.startsWith("."))
      .map(({ name }) => Deno.readTextFileSync(`${this.targetsDir}/${name}`)).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.repository[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }

  async #run(args: readonly string[], days = 0): Promise<number> {
    using _ = clockAhead(days * DAY_MS);
    this.told = "";
    return await runTufClient(args, (line) => this.told += line);
  }
}

/** Puts this process's clock forward, as `faketime` does for a process of its own. */
function clockAhead(milliseconds: number): Disposable {
  const { Date: RealDate } = globalThis;
  if (milliseconds !== 0) {
    globalThis.Date = class extends RealDate {
      constructor(...values: unknown[]) {
        super(...(values.length === 0 ? [RealDate.now() + milliseconds] : values) as [number]);
      }
      static override now() {
        return RealDate.now() + milliseconds;
      }
    } as DateConstructor;
  }
  return { [Symbol.dispose]: () => void (globalThis.Date = RealDate) };
}

/** A client that was initialized, and its repository. */
export async function initialized(): Promise<{ client: ClientRunner; repository: SimulatedRepository }> {
  const client = new ClientRunner();
  if (await client.init() !== 0) throw new Error(`init failed: ${client.told}`);
  return { client, repository: client.repository };
}
