import assert from "node:assert/strict";
import { type BackendKind, type Backends, openBackends } from "tests/environment/attestation/backends.ts";
import { type AttestationRequest, BatchAnswer, ReservationAnswer } from "shared/protocol/wire/attestation.ts";
import {
  batchRequest,
  cardAnswer,
  freshChip,
  makeSender,
  type TestSender,
} from "tests/environment/attestation/service.ts";
import {
  configText,
  makePki,
  makeSenders,
  TestGateway,
  type TestPki,
} from "tests/environment/attestation/instance.ts";

const MAIN = new URL("./attestation_main.ts", import.meta.url).pathname;
const NODE_MODULES = new URL("../../node_modules", import.meta.url).pathname;

/** Environment variables that libraries ask for: `yaml`, then `postgres`. */
const ENVIRONMENT = "LOG_TOKENS,LOG_STREAM,PGAPPNAME,PGTARGETSESSIONATTRS";

/** The least permissions of the process; what a real deployment writes into deno.json. */
function permissions(pki: TestPki, backends: Backends): string[] {
  const { hostname, port, searchParams } = new URL(backends.url);
  const socketFolder = searchParams.get("host");
  const socket = `${socketFolder}/.s.PGSQL.${port}`;
  const database = socketFolder === null ? `${hostname}:${port}` : `unix:${socket}`;
  const { hsmConfig } = backends;
  const pkcs11 = hsmConfig.kind === "pkcs11";
  const read = [pki.folder];
  const write: string[] = [];
  if (socketFolder !== null) {
    read.push(socket);
    write.push(socket);
  }
  if (pkcs11) read.push(hsmConfig.pinFile!, NODE_MODULES);
  else read.push(hsmConfig.passphraseFile!, hsmConfig.file!);
  return [
    `--allow-net=127.0.0.1:0,${database}`,
    `--allow-read=${read.join(",")}`,
    ...(write.length > 0 ? [`--allow-write=${write.join(",")}`] : []),
    `--allow-env=${ENVIRONMENT}`,
    ...(pkcs11 ? [`--allow-ffi=${NODE_MODULES}`] : []),
  ];
}

function command(args: string[], allow: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--frozen", ...allow, MAIN, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** First line of a stream, and then the rest. */
async function firstLine(
  stream: ReadableStream<Uint8Array>,
): Promise<{ line: string; rest: Promise<string> }> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  const [line = "", ...others] = text.split("\n");
  const rest = (async () => {
    let more = others.join("\n");
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return more;
      more += value;
    }
  })();
  return { line, rest };
}

for (const kind of ["pglite and software HSM", "PostgreSQL and SoftHSM"] satisfies BackendKind[]) {
  Deno.test(`attestation_main.ts over ${kind} serves with the least permissions and drains on SIGTERM`, async () => {
    await using backends = await openBackends(kind);
    const pki = await makePki();
    const senders = await makeSenders();
    const file = `${pki.folder}/attestation.yaml`;
    await Deno.writeTextFile(file, configText(backends, senders));
    const child = command(["--config", file], permissions(pki, backends)).spawn();
    const logs = new Response(child.stderr).text();
    const { line, rest } = await firstLine(child.stdout);
    const ready = line.startsWith("{") ? JSON.parse(line) : assert.fail(await logs);
    assert.equal(ready.ready, true);
    assert.deepEqual(await (await fetch(`http://${ready.admin}/readyz`)).json(), {
      ready: true,
      failing: [],
    });
    {
      using gateway = new TestGateway(pki, ready.listen);
      const made = await gateway.post(senders.manager, "/v1/batches", batchRequest(1));
      assert.equal(made.status, 200, await made.text());
    }
    // Another key of the batch manager, while the old one still holds; then a file that cannot be used.
    const manager = await makeSender("office", "batch-manager");
    const configured = {
      ...manager.configured,
      previousSigningKey: senders.manager.configured.signingKey,
    };
    const exchanged = { ...senders, manager: { ...manager, configured } };
    await Deno.writeTextFile(file, configText(backends, exchanged));
    {
      using gateway = new TestGateway(pki, ready.listen);
      const create = (sender: TestSender) => gateway.post(sender, "/v1/batches", batchRequest(1));
      assert.equal((await create(manager)).status, 401);
      child.kill("SIGHUP");
      const deadline = Date.now() + 30_000;
      while ((await create(manager)).status !== 200) assert.ok(Date.now() < deadline, "not reloaded in 30 s");
      assert.equal((await create(senders.manager)).status, 200);
      await Deno.writeTextFile(file, "listen: nowhere");
      child.kill("SIGHUP");
      assert.equal((await create(manager)).status, 200);
    }
    child.kill("SIGTERM");
    assert.deepEqual((await child.status).code, 0, await logs);
    assert.equal(await rest, "");
    const lines = (await logs).trim().split("\n").map((one) => JSON.parse(one));
    const events = lines.map((one) => one.event);
    for (
      const event of [
        "database.open",
        "not-for-production",
        "batch.created",
        "senders.reloaded",
        "draining",
        "stopped",
      ]
    ) {
      assert.ok(events.includes(event), `${event} in ${events}`);
    }
    const warned = lines.filter((one) => one.event === "not-for-production").map((one) => one.what);
    assert.equal(warned.includes("software-hsm"), kind === "pglite and software HSM");
    assert.equal(warned.includes("pglite"), kind === "pglite and software HSM");
    await Deno.remove(pki.folder, { recursive: true });
  });
}

Deno.test("attestation_main.ts killed between commit and answer: the repetition gets the answer that was lost", async () => {
  await using backends = await openBackends("PostgreSQL and SoftHSM");
  const { sql } = backends.database;
  const pki = await makePki();
  const senders = await makeSenders();
  const file = `${pki.folder}/attestation.yaml`;
  await Deno.writeTextFile(file, configText(backends, senders));
  const start = async () => {
    const child = command(["--config", file], permissions(pki, backends)).spawn();
    const logs = new Response(child.stderr).text();
    const { line, rest } = await firstLine(child.stdout);
    const { listen } = line.startsWith("{") ? JSON.parse(line) : assert.fail(await logs);
    const end = async (signal: Deno.Signal) => {
      child.kill(signal);
      await Promise.all([child.status, logs, rest]);
    };
    return { gateway: new TestGateway(pki, listen), end };
  };
  const keyed = () => ({ headers: { "idempotency-key": crypto.randomUUID() } });
  let running = await start();
  try {
    const made = await running.gateway.post(senders.manager, "/v1/batches", batchRequest(2));
    const { batch } = BatchAnswer.parse(await made.json());
    const ask = { batch, chip: freshChip() };
    let reserved: ReservationAnswer | undefined;
    let request: AttestationRequest | undefined;
    const steps: [path: string, body: () => Promise<unknown>, stored: string][] = [
      ["/v1/reservations", () => Promise.resolve(ask), "reservation"],
      ["/v1/attestations", async () => {
        request ??= (await cardAnswer(reserved!, senders.station)).request;
        return request;
      }, "certificate"],
    ];
    for (const [path, body, stored] of steps) {
      const change = keyed();
      const value = await body();
      // Nobody reads the answer: the process dies once the effect is on record, before or after it has answered.
      const lost = running.gateway.post(senders.station, path, value, change).then(
        (response) => response.body?.cancel(),
        () => {},
      );
      const deadline = Date.now() + 30_000;
      let kept: string | null | undefined;
      while (!kept) {
        assert.ok(Date.now() < deadline, "no effect in 30 s");
        [{ answer: kept } = { answer: null }] = await sql<{ answer: string | null }[]>`
          SELECT answer FROM idempotent_requests WHERE key = ${change.headers["idempotency-key"]}`;
      }
      await running.end("SIGKILL");
      await lost;
      running.gateway[Symbol.dispose]();
      running = await start();
      const again = await running.gateway.post(senders.station, path, value, change);
      const text = await again.text();
      assert.deepEqual([again.status, text], [200, kept]);
      assert.ok(text.includes(`"${stored}"`));
      if (path === "/v1/reservations") reserved = ReservationAnswer.parse(JSON.parse(text));
    }
    const rows = await sql<{ event: string }[]>`SELECT event FROM issuance_journal ORDER BY sequence`;
    assert.deepEqual(rows.map(({ event }) => event), ["reserve", "see-key", "attest"]);
  } finally {
    running.gateway[Symbol.dispose]();
    await running.end("SIGTERM");
    await Deno.remove(pki.folder, { recursive: true });
  }
});

Deno.test("attestation_main.ts says what is wrong and exits as documented", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-attestation-main-" });
  const run = async (args: string[]) => {
    const { code, stdout, stderr } = await command(args, [
      `--allow-read=${folder}`,
      `--allow-env=${ENVIRONMENT}`,
    ]).output();
    assert.equal(new TextDecoder().decode(stdout), "");
    return { code, text: new TextDecoder().decode(stderr) };
  };
  const none = await run([]);
  assert.deepEqual([none.code, none.text.split(":")[0]], [2, "ATTEST_USAGE"]);
  const missing = await run(["--config", `${folder}/nothing.yaml`]);
  assert.deepEqual([missing.code, missing.text.split(":")[0]], [3, "ATTEST_CONFIG"]);
  const file = `${folder}/attestation.yaml`;
  const example = await Deno.readTextFile(new URL("./attestation_example.yaml", import.meta.url));
  await Deno.writeTextFile(file, example.replace("connections: 8", "connections: many"));
  const wrong = await run(["--config", file]);
  assert.equal(wrong.code, 3);
  const line = example.split("\n").findIndex((one) => one.includes("connections: 8")) + 1;
  assert.ok(new RegExp(`:${line}:\\d+: database\\.connections: `).test(wrong.text), wrong.text);
  await Deno.writeTextFile(file, example);
  const absent = await run(["--config", file]);
  assert.equal(absent.code, 3, absent.text);
  assert.match(absent.text, /^SERVICE_FILE: Cannot read /);
  await Deno.remove(folder, { recursive: true });
});
