/**
 * A private PostgreSQL server for tests and for `rk demo --real`: its own data folder, a Unix socket in a folder that
 * nobody else can enter, and with `tls` a TCP port that takes TLS with client certificates and nothing else.
 *
 * PostgreSQL refuses to run as root: root runs it as the user `postgres`. When that user cannot reach the given folder,
 * data and socket go to a temporary folder, which `stop` removes.
 *
 * Permissions: run of setpriv and of initdb and postgres in /usr/lib/postgresql; read and write of the folder, of /tmp, and
 * of the socket; net for a free port; sys of uid.
 */

import { freePort } from "cli/spine/ports.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { missingComponent } from "./component.ts";

/** Longest path of a Unix socket in bytes, less the name that PostgreSQL gives it. */
const SOCKET_FOLDER_LIMIT = 107 - "/.s.PGSQL.65535".length;
const READY_LINE = "database system is ready to accept connections";
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 60_000;
/** Role and database that tests use. */
const ROLE = "recovery_key";
const INSTALL_LINE = "apt-get install postgresql";

/** Paths of PEM files for a client. */
export interface PostgresTls {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A server that runs. */
export interface Postgres extends AsyncDisposable {
  /** For `openDatabase`: over TLS when `tls` was asked for, else over the Unix socket. */
  readonly url: string;
  /** Over the Unix socket in either case. */
  readonly socketUrl: string;
  readonly socketDirectory: string;
  /** Number in the socket's name, and TCP port with `tls`. */
  readonly port: number;
  /** Client certificate for `url`. */
  readonly tls?: PostgresTls;
  /** Environment for psql and libpq, over the Unix socket as superuser. */
  readonly psqlEnv: Readonly<Record<string, string>>;
  /** Clean stop; removes temporary folders. Safe to call twice. */
  stop(): Promise<void>;
  /** Clean stop if it runs, and start on the same data and port. */
  restart(): Promise<void>;
  /** Stops it as a crash would (SIGQUIT: no checkpoint; the next start recovers). */
  kill(): Promise<void>;
}

/** Folder of initdb and postgres, newest version first. @throws {CodedError} `TEST_COMPONENT`. */
export async function findPostgres(): Promise<string> {
  const versions: number[] = [];
  try {
    for await (const entry of Deno.readDir("/usr/lib/postgresql")) versions.push(Number(entry.name));
  } catch {
    // No folder: nothing is installed.
  }
  for (const version of versions.filter(Number.isInteger).sort((a, b) => b - a)) {
    const folder = `/usr/lib/postgresql/${version}/bin`;
    if (await isFile(`${folder}/initdb`) && await isFile(`${folder}/postgres`)) return folder;
  }
  throw missingComponent("PostgreSQL", INSTALL_LINE);
}

/**
 * Makes a cluster in `directory`, or takes the one that is there, and starts it.
 * @throws {CodedError} `TEST_COMPONENT`, `TEST_POSTGRES`.
 */
export async function startPostgres(options: { directory: string; tls?: boolean }): Promise<Postgres> {
  const binaries = await findPostgres();
  const { folder, temporary } = await chooseFolder(options.directory);
  const data = `${folder}/data`;
  const socketDirectory = folder;
  const port = freePort();
  const fresh = !await isFile(`${data}/PG_VERSION`);
  if (fresh) {
    const made = await asServer(
      [`${binaries}/initdb`, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"].concat(
        ["--locale=C.UTF-8", "--no-sync", "--no-instructions"],
      ),
    ).output();
    if (!made.success) throw failed("initdb failed", made.stderr);
  }
  const tls = options.tls ? await makeTls(options.directory, data) : undefined;
  await Deno.writeTextFile(
    `${data}/postgresql.auto.conf`,
    [
      `port = ${port}`,
      `unix_socket_directories = '${socketDirectory}'`,
      `unix_socket_permissions = 0777`, // the folder is closed to others
      `listen_addresses = '${tls ? "127.0.0.1" : ""}'`,
      `fsync = on`,
      `max_connections = 100`,
      `log_statement = none`,
      `log_parameter_max_length = 0`,
      `log_parameter_max_length_on_error = 0`,
      ...(tls
        ? [
          "ssl = on",
          "ssl_ca_file = 'ca.pem'",
          "ssl_cert_file = 'server.pem'",
          "ssl_key_file = 'server.key'",
        ]
        : []),
      ...(tls ? ["ssl_min_protocol_version = 'TLSv1.3'"] : []),
      "",
    ].join("\n"),
  );
  await Deno.writeTextFile(
    `${data}/pg_hba.conf`,
    "local all all trust\n" + (tls ? "hostssl all all 127.0.0.1/32 cert clientcert=verify-full\n" : ""),
  );

  let server = await launch(binaries, data);
  const psqlEnv = { PGHOST: socketDirectory, PGPORT: String(port), PGUSER: "postgres", PGDATABASE: ROLE };
  if (fresh) await makeDatabase(psqlEnv);
  const end = async (signal: Deno.Signal) => {
    const running = server;
    if (!running) return;
    server = undefined;
    await running.end(signal);
  };
  const socketUrl = `postgres://${ROLE}@localhost:${port}/${ROLE}?host=${
    encodeURIComponent(socketDirectory)
  }`;
  const stop = async () => {
    await end("SIGINT");
    if (temporary) await Deno.remove(folder, { recursive: true }).catch(() => {});
  };
  return {
    url: tls ? `postgres://${ROLE}@127.0.0.1:${port}/${ROLE}` : socketUrl,
    socketUrl,
    socketDirectory,
    port,
    ...(tls ? { tls } : {}),
    psqlEnv,
    stop,
    restart: async () => {
      await end("SIGINT");
      server = await launch(binaries, data);
    },
    kill: () => end("SIGQUIT"),
    [Symbol.asyncDispose]: stop,
  };
}

type Server = { end(signal: Deno.Signal): Promise<void> } | undefined;

/** Runs a program as the user that PostgreSQL accepts. */
function asServer(command: string[]): Deno.Command {
  const argv = Deno.uid() === 0
    ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", ...command]
    : command;
  return new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    cwd: "/",
    env: { LC_ALL: "C.UTF-8", PATH: "/usr/bin:/bin" },
    clearEnv: true,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
}

async function launch(binaries: string, data: string): Promise<Server> {
  const child = asServer([`${binaries}/postgres`, "-D", data]).spawn();
  const ready = Promise.withResolvers<void>();
  let log = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      log = (log + text).slice(-8_192);
      if (log.includes(READY_LINE)) ready.resolve();
    }
    await child.status;
    ready.reject(failed("the server ended", log));
  })();
  reading.catch(() => {});
  const timer = setTimeout(() => {
    child.kill("SIGKILL");
    ready.reject(failed("the server did not start in time", log));
  }, START_LIMIT_MS);
  try {
    await ready.promise;
  } finally {
    clearTimeout(timer);
  }
  return {
    end: async (signal) => {
      ready.promise.catch(() => {});
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
      try {
        child.kill(signal);
        await child.status;
        await reading.catch(() => {});
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

async function makeDatabase(psqlEnv: Record<string, string>): Promise<void> {
  for (const statement of [`CREATE ROLE ${ROLE} LOGIN`, `CREATE DATABASE ${ROLE} OWNER ${ROLE}`]) {
    const made = await new Deno.Command("psql", {
      args: ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", statement],
      env: psqlEnv,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!made.success) throw failed(`psql: ${statement}`, made.stderr);
  }
}

async function makeTls(directory: string, data: string): Promise<PostgresTls> {
  const now = Date.now();
  const authority = await makeAuthority("test database authority", { now, days: 30 });
  const server = await issue(authority, {
    now,
    commonName: "localhost",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    usages: ["server"],
    days: 30,
  });
  // The common name is what PostgreSQL's `cert` method compares with the role.
  const client = await issue(authority, { now, commonName: ROLE, usages: ["client"], days: 30 });
  await writeForServer(`${data}/ca.pem`, authority.certificatePem);
  await writeForServer(`${data}/server.pem`, server.certificatePem);
  await writeForServer(`${data}/server.key`, server.privateKeyPem);
  const files = {
    caFile: `${directory}/database-ca.pem`,
    certFile: `${directory}/database-client.pem`,
    keyFile: `${directory}/database-client.key`,
  };
  await Deno.writeTextFile(files.caFile, authority.certificatePem);
  await Deno.writeTextFile(files.certFile, client.certificatePem);
  await Deno.writeTextFile(files.keyFile, client.privateKeyPem, { mode: 0o600 });
  return files;
}

async function writeForServer(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { mode: 0o600 });
  const owner = await serverUser();
  if (owner) await Deno.chown(path, owner.uid, owner.gid);
}

/** A folder for data and socket that the server's user can reach, that nobody else can enter, with a short path. */
async function chooseFolder(directory: string): Promise<{ folder: string; temporary: boolean }> {
  const wanted = `${await Deno.realPath(directory)}/postgres`;
  await Deno.mkdir(wanted, { recursive: true, mode: 0o700 });
  const owner = await serverUser();
  if (owner) await Deno.chown(wanted, owner.uid, owner.gid);
  if (new TextEncoder().encode(wanted).length <= SOCKET_FOLDER_LIMIT) {
    const reached = await asServer(["test", "-w", wanted]).output();
    if (reached.success) return { folder: wanted, temporary: false };
  }
  const folder = await Deno.makeTempDir({ prefix: "rk-postgres-" });
  if (owner) await Deno.chown(folder, owner.uid, owner.gid);
  return { folder, temporary: true };
}

async function serverUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (Deno.uid() !== 0) return undefined;
  const line = (await Deno.readTextFile("/etc/passwd")).split("\n").find((one) =>
    one.startsWith("postgres:")
  );
  const [, , uid, gid] = line?.split(":") ?? [];
  if (!uid || !gid) throw missingComponent("PostgreSQL (its user)", INSTALL_LINE);
  return { uid: Number(uid), gid: Number(gid) };
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

function failed(what: string, output: Uint8Array | string): CodedError {
  const text = typeof output === "string" ? output : new TextDecoder().decode(output);
  return new CodedError("TEST_POSTGRES", `Cannot start PostgreSQL: ${what}\n${text.trimEnd().slice(-2_000)}`);
}

defineErrors({
  TEST_POSTGRES: {
    fault: "installation",
    retry: true,
    next: "Read what the server said; free the port or the folder.",
  },
});
