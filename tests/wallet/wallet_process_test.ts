/** The wallet as people and programs run it: `rk wallet`, a virtual reader, a card in a process of its own. */

import assert from "node:assert/strict";
import { DENO, REPOSITORY } from "cli/home.ts";
import { permissionFlags, permissionSet } from "cli/process/permissions.ts";
import { freePort } from "cli/spine/ports.ts";
import { testIssuer } from "device/wallet/testing/attested_cards.ts";

const READER = "desk";
const SECRETS = { walletPin: "1357", newWalletPin: "1357", cardPin: "24680", newCardPin: "24680" };

interface Bench {
  readonly folder: string;
  readonly port: number;
  readonly trust: string;
  /** Puts the card on the reader, in a process of its own, with removals. */
  present(...faults: string[]): Promise<void>;
  rk(args: string[], input?: string | Record<string, string>): Promise<Result>;
}
interface Result {
  readonly code: number;
  // The result's shape is the command's.
  // deno-lint-ignore no-explicit-any
  readonly json: any;
  readonly output: string;
  readonly errors: string;
}

async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const port = freePort();
  const issuer = testIssuer();
  const trust = `${folder}/trust.json`;
  await Deno.writeTextFile(trust, issuer.trustFile(), { mode: 0o600 });
  await Deno.mkdir(`${folder}/card`);
  (await issuer.card("00C0FFEE", `${folder}/card/card.json`)).close();
  let card: Deno.ChildProcess | undefined;
  const stop = async () => {
    card?.kill("SIGTERM");
    await card?.status;
  };
  const present = async (...faults: string[]) => {
    await stop();
    card = new Deno.Command(DENO, {
      args: [
        "run",
        "--quiet",
        ...permissionFlags(permissionSet("card"), {
          "127.0.0.1:35963": `127.0.0.1:${port}`,
          ".rk/spine/cards": `${folder}/card`,
        }),
        `${REPOSITORY}/device/app/card_main.ts`,
        "--vpcd",
        `127.0.0.1:${port}`,
        "--state",
        `${folder}/card/card.json`,
        ...faults.flatMap((fault) => ["--fault", fault]),
      ],
      stdout: "null",
    }).spawn();
  };
  try {
    await present();
    await work({ folder, port, trust, present, rk: (args, input) => runRk(args, input) });
  } finally {
    await stop();
    await Deno.remove(folder, { recursive: true });
  }
}

async function runRk(args: string[], input?: string | Record<string, string>): Promise<Result> {
  const child = new Deno.Command(DENO, {
    args: ["run", "-A", "--quiet", `${REPOSITORY}/cli/main.ts`, ...args],
    cwd: REPOSITORY,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(typeof input === "string" ? input : JSON.stringify(input)));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const output = new TextDecoder().decode(stdout);
  const last = output.trim().split("\n").at(-1) ?? "";
  return {
    code,
    json: last.startsWith("{") ? JSON.parse(last) : undefined,
    output,
    errors: new TextDecoder().decode(stderr),
  };
}

Deno.test("rk wallet: setup, backup, identify, manage, restore over a virtual reader, secrets from a descriptor", () =>
  withBench(async ({ folder, port, trust, rk }) => {
    const card = ["--reader", READER, "--trust", trust, "--virtual-readers", `127.0.0.1:${port}`, "--json"];
    const state = ["--state", `${folder}/a/wallet.json`, "--secrets-fd", "0"];
    const seen: string[] = [];
    const run = async (args: string[], input: string | Record<string, string> = SECRETS) => {
      const result = await rk(["wallet", ...args], input);
      seen.push(result.output + result.errors);
      return result;
    };
    const setup = await run(["setup", "--words", "18", ...state, "--json"]);
    assert.equal(setup.code, 0, setup.errors);
    assert.deepEqual([setup.json.done, setup.json.wallet.words], [true, 18]);
    const fingerprint = setup.json.wallet.fingerprint;

    const backup = await run(["backup", "--name", "-Safe", ...state, ...card]);
    assert.equal(backup.code, 0, backup.errors);
    assert.deepEqual(Object.keys(backup.json), [
      "command",
      "done",
      "end",
      "card",
      "matches",
      "wallet",
      "taps",
      "apdus",
      "milliseconds",
    ]);
    assert.deepEqual([backup.json.done, backup.json.matches, backup.json.taps], [true, true, 2]);
    assert.deepEqual([backup.json.card.serial, backup.json.card.name], ["00C0FFEE", "-Safe"]);
    assert.equal(
      backup.errors.match(/"-Safe"|00C0FFEE/g)!.length > 2,
      true,
      "the identifier is shown at every tap",
    );

    const again = await run(["backup", ...state, ...card], "1357\n24680\n");
    assert.equal(again.code, 5);
    assert.deepEqual([again.json.code, again.json.done, again.json.exitCode], [
      "WALLET_CARD_NOT_EMPTY",
      false,
      5,
    ]);

    const rename = await run(["manage", "--name", "Safe", ...state, ...card], "1357\n24680\n");
    assert.deepEqual([rename.code, rename.json.card.name], [0, "Safe"], rename.errors);
    const identify = await run(["identify", "--compare", ...state, ...card]);
    assert.deepEqual([identify.code, identify.json.matches], [0, true], identify.errors);

    const other = ["--state", `${folder}/b/wallet.json`, "--secrets-fd", "0"];
    const wrong = await run(["restore", ...other, ...card], { ...SECRETS, cardPin: "0000" });
    assert.deepEqual([wrong.code, wrong.json.code, wrong.json.card.pinTriesLeft], [
      5,
      "WALLET_CARD_PIN_WRONG",
      2,
    ]);
    const restore = await run(["restore", ...other, ...card]);
    assert.equal(restore.code, 0, restore.errors);
    assert.deepEqual([restore.json.wallet.words, restore.json.wallet.fingerprint], [18, fingerprint]);

    const unconfirmed = await run(["manage", "--wipe", ...other, ...card]);
    assert.deepEqual([unconfirmed.code, unconfirmed.json.code], [2, "WALLET_CONFIRM"]);
    const wipe = await run(["manage", "--wipe", "--confirm", "wipe", ...other, ...card]);
    assert.deepEqual([wipe.code, wipe.json.card.lifeCycle], [0, 2], wipe.errors);
    const none = await rk(["wallet", "status", "--state", `${folder}/b/wallet.json`, "--json"]);
    assert.deepEqual([none.code, none.json.code], [2, "WALLET_SECRET_MISSING"]);
    const genuine = await run(["genuine-check", ...card]);
    assert.deepEqual([genuine.code, genuine.json.genuine, genuine.json.serial], [0, true, "00C0FFEE"]);
    for (const text of seen) assert.doesNotMatch(text, /1357|24680/, "a PIN in the output");
  }));

Deno.test("rk wallet: a card torn out of a backup and a restore says what it left, and the next run goes on", () =>
  withBench(async ({ folder, port, trust, present, rk }) => {
    const card = ["--reader", READER, "--trust", trust, "--virtual-readers", `127.0.0.1:${port}`, "--json"];
    const state = ["--state", `${folder}/a/wallet.json`, "--secrets-fd", "0"];
    const other = ["--state", `${folder}/b/wallet.json`, "--secrets-fd", "0"];
    assert.equal((await rk(["wallet", "setup", "--words", "12", ...state, "--json"], SECRETS)).code, 0);
    // 9 APDUs of the first tap, 9 to authenticate at the second, SET PIN, SET SEED.
    await present("after-execution:19");
    const torn = await rk(["wallet", "backup", ...state, ...card], SECRETS);
    assert.deepEqual([torn.code, torn.json.code, torn.json.end, torn.json.state], [
      5,
      "WALLET_TORN",
      "uncertain",
      "writing",
    ]);
    assert.equal(torn.json.wallet.pendingBackup, "00C0FFEE");
    await present();
    const next = await rk(["wallet", "backup", ...state, ...card], SECRETS);
    assert.deepEqual(
      [next.code, next.json.matches, next.json.wallet.pendingBackup],
      [0, true, null],
      next.errors,
    );
    assert.match(next.errors, /did not finish: going on with it/);
    // 11 of the first tap, 11 at the second, VERIFY PIN, GET STATUS, RESTORE SEED.
    await present("after-execution:24");
    const half = await rk(["wallet", "restore", ...other, ...card], SECRETS);
    assert.deepEqual([half.code, half.json.code, half.json.state], [5, "WALLET_TORN", "reading"]);
    assert.equal(half.json.wallet.empty, true);
    assert.match(half.json.message, /the wallet is still empty/);
    await present();
    const whole = await rk(["wallet", "restore", ...other, ...card], SECRETS);
    assert.deepEqual([whole.code, whole.json.wallet.words], [0, 12], whole.errors);
  }));

Deno.test("rk wallet serve: a program unlocks, backs up and is asked; another is told to wait; SIGTERM ends it with 0", () =>
  withBench(async ({ folder, port, trust }) => {
    const socket = `${folder}/w/wallet.sock`;
    const serve = new Deno.Command(DENO, {
      args: [
        "run",
        "-A",
        "--quiet",
        `${REPOSITORY}/cli/main.ts`,
        "wallet",
        "serve",
        "--state",
        `${folder}/w/wallet.json`,
        "--reader",
        READER,
        "--trust",
        trust,
        "--virtual-readers",
        `127.0.0.1:${port}`,
      ],
      cwd: REPOSITORY,
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = serve.stdout.getReader();
    const ready = JSON.parse(new TextDecoder().decode((await reader.read()).value));
    assert.deepEqual([ready.ready, ready.listen], [true, `unix:${socket}`]);
    assert.equal(Deno.statSync(socket).mode! & 0o777, 0o600);
    const program = await client(socket);
    assert.deepEqual((await program.request({ do: "status" })).wallet.exists, false);
    assert.equal((await program.request({ do: "backup" })).code, "WALLET_NOT_SET_UP");
    assert.equal((await program.request({ do: "nonsense" })).code, "WALLET_USAGE");
    const setup = await program.request({ do: "setup", words: 12 }, { newWalletPin: "1357" });
    assert.deepEqual([setup.done, setup.wallet.words], [true, 12]);
    const second = await client(socket);
    assert.equal((await second.line()).code, "WALLET_BUSY");
    second.close();
    const backup = await program.request({ do: "backup", name: "Safe" }, { newCardPin: ["12", "24680"] });
    assert.deepEqual([backup.done, backup.matches, backup.card.name], [true, true, "Safe"], backup.message);
    assert.deepEqual(backup.notices, ["present", "card", "pin-rule", "present", "card", "match"]);
    const wipe = await program.request({ do: "manage" }, { choose: "wipe", confirm: false });
    assert.equal(wipe.code, "WALLET_CANCELLED");
    await program.request({ do: "lock" });
    const identify = await program.request({ do: "identify", compare: true }, {
      walletPin: "1357",
      cardPin: "24680",
    });
    assert.deepEqual([identify.done, identify.matches], [true, true]);
    program.close();
    // The program that left took the unlocked state with it.
    let third = await client(socket);
    let status = await third.request({ do: "status" });
    for (let i = 0; i < 50 && status.code === "WALLET_BUSY"; i++) {
      third.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
      third = await client(socket);
      status = await third.request({ do: "status" });
    }
    assert.deepEqual([status.wallet.exists, status.wallet.unlocked], [true, false]);
    third.close();
    serve.kill("SIGTERM");
    assert.equal((await serve.status).code, 0);
    await reader.cancel();
    await assert.rejects(Deno.stat(socket), Deno.errors.NotFound);
  }));

Deno.test("rk wallet serve over TCP: loopback only, nothing before the token", async () => {
  const folder = await Deno.makeTempDir();
  const port = freePort();
  const rk = (listen: string, ...more: string[]) =>
    new Deno.Command(DENO, {
      args: [
        "run",
        "-A",
        "--quiet",
        `${REPOSITORY}/cli/main.ts`,
        "wallet",
        "serve",
        "--state",
        `${folder}/w/wallet.json`,
        "--listen",
        listen,
        ...more,
      ],
      cwd: REPOSITORY,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  try {
    for (const refused of [rk("0.0.0.0:0", "--token-file", `${folder}/w/token`), rk(`127.0.0.1:${port}`)]) {
      const { code } = await refused.output();
      assert.equal(code, 2);
    }
    const serve = rk(`127.0.0.1:${port}`, "--token-file", `${folder}/w/token`);
    const reader = serve.stdout.getReader();
    await reader.read();
    const token = (await Deno.readTextFile(`${folder}/w/token`)).trim();
    assert.equal(Deno.statSync(`${folder}/w/token`).mode! & 0o777, 0o600);
    for (const first of [{ token: "x" }, { id: 1, do: "status" }, { token: token.slice(1) }, { token: 7 }]) {
      const stranger = await client(port);
      assert.equal((await stranger.request(first)).code, "WALLET_TOKEN");
      stranger.close();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const program = await client(port);
    await program.send({ token });
    assert.equal((await program.request({ do: "status" })).wallet.exists, false);
    assert.equal((await program.request({ do: "backup" })).code, "WALLET_USAGE");
    await program.send("x".repeat(5000));
    assert.equal((await program.line()).code, "WALLET_USAGE");
    program.close();
    serve.kill("SIGTERM");
    assert.equal((await serve.status).code, 0);
    await reader.cancel();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A program at the socket or port: answers questions by their name. */
async function client(where: string | number) {
  const connection = typeof where === "string"
    ? await Deno.connect({ transport: "unix", path: where })
    : await Deno.connect({ hostname: "127.0.0.1", port: where });
  let rest = "";
  // The protocol's lines are of many shapes.
  // deno-lint-ignore no-explicit-any
  const line = async (): Promise<any> => {
    while (!rest.includes("\n")) {
      const buffer = new Uint8Array(4096);
      const read = await connection.read(buffer).catch(() => null);
      if (read === null) return { code: "closed" };
      rest += new TextDecoder().decode(buffer.subarray(0, read));
    }
    const end = rest.indexOf("\n");
    const value = JSON.parse(rest.slice(0, end));
    rest = rest.slice(end + 1);
    return value;
  };
  const send = (value: unknown) =>
    connection.write(new TextEncoder().encode(JSON.stringify(value) + "\n")).catch(() => 0);
  let id = 0;
  return {
    line,
    send,
    close: () => connection.close(),
    async request(request: Record<string, unknown>, answers: Record<string, unknown> = {}) {
      await send({ id: ++id, ...request });
      const notices: string[] = [];
      for (;;) {
        const message = await line();
        if (message.notice) notices.push(message.notice);
        else if ("done" in message || message.code === "closed") return { ...message, notices };
        else {
          const name = message.ask ?? (message.choose ? "choose" : "confirm");
          const given = answers[name];
          await send({ id, answer: Array.isArray(given) ? given.shift() : given });
        }
      }
    },
  };
}
