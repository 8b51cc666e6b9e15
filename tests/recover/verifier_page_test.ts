/** The reference verifier as a process, its page in a browser, and its results at a real vault behind a real node. */

import assert from "node:assert/strict";
import type { JWK } from "jose";
import { stringify } from "yaml";
import { startProvider } from "cli/commands/provider.ts";
import { verifierSpec } from "cli/commands/verifier.ts";
import { startChild } from "cli/process/child.ts";
import { runCollected } from "cli/process/foreground.ts";
import { freePort } from "cli/spine/ports.ts";
import { toHex } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import type { DepositAnswer, OpenSessionAnswer } from "shared/protocol/wire/recover.ts";
import { startPGliteServer } from "shared/transport/pglite/server.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { readVerifierConfig } from "providers/app/verifier_config.ts";
import { startChromium } from "tests/environment/chromium.ts";
import { ALL_REFUSED, PROBE, probed } from "tests/permissions/probed.ts";
import { deploy } from "./deployment.ts";
import { makeDevice } from "./device.ts";
import { IDENTITY, openRequest } from "./flows.ts";
import { HostSession } from "./host.ts";

const SILENT = createLogger("test", { level: "error", write: () => {} });
const ISSUER = "https://verifier-1.example";
/** A name that would be markup, were it not escaped. */
const HOSTILE = `<script>document.title="taken"</script>"'&`;

Deno.test("rk verifier: a person confirms in a browser, and the vault takes the result once", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "rk-verifier-" });
  await using started = new AsyncDisposableStack();
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const database = await startPGliteServer({
    directory: `${folder}/database`,
    listen: { kind: "tcp", hostname: "127.0.0.1", port: 0 },
    logger: SILENT,
    onDeath: (error) => console.error("the embedded database died", error),
  });
  started.defer(() => database.stop());

  const file = `${folder}/verifier.yaml`;
  const configuration = { issuer: ISSUER, listen: `127.0.0.1:${freePort()}`, keys: "verifier-keys" };
  const configure = (more: Record<string, unknown>) =>
    Deno.writeTextFile(file, stringify({ ...configuration, ...more }));
  const init = async () => {
    const { code, output, errors } = await runCollected(
      verifierSpec("init", file, await readVerifierConfig(file)),
    );
    assert.equal(code, 0, errors);
    return JSON.parse(output) as { issuer: string; pinnedKey: JWK };
  };
  await configure({});
  const pinned = await init();
  assert.deepEqual(await init(), pinned, "init is repeated freely");
  const url = `http://${configuration.listen}`;
  const { maker, vaultKey, paths, client, orchestrator } = await deploy(
    folder,
    database.url,
    { ...pinned, node: { keySet: { url: `${url}/jwks.jwt` } } },
    { backup: true },
  );
  started.defer(() => client.close());
  await configure({ provider: { name: "Provider 1", vaultKey } });
  const logFile = `${folder}/logs/verifier.log`;
  const serve = async () =>
    await startChild({
      ...verifierSpec("serve", file, await readVerifierConfig(file)),
      logFile,
      preload: PROBE,
    });
  let verifier = await serve();
  started.defer(async () => void await verifier.stop());
  const running = await startProvider(paths);
  started.defer(() => running.stop());
  const browser = started.use(await startChromium());

  const send = async (path: string, body: unknown) => {
    const response = await fetch(`https://${running.ready.listen}${path}`, {
      method: "POST",
      client,
      headers: { "content-type": "application/json", "client-cert": `:${orchestrator.toBase64()}:` },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() as Record<string, unknown> };
  };
  /** A backup up to the place where the verification is asked. */
  const begin = async () => {
    const device = makeDevice(maker, SYSTEM_RANDOM(24));
    const host = await HostSession.open(maker, device);
    const request = openRequest(host, "backup", toHex(SYSTEM_RANDOM(16)), true);
    const opened = await send("/v1/sessions", request);
    assert.equal(opened.status, 200, JSON.stringify(opened.body));
    const answer = opened.body as unknown as OpenSessionAnswer;
    await host.introduce(answer);
    const deposit = async (sealedVerification: string) =>
      await send(`/v1/sessions/${request.session}/deposit`, { ...await host.share(), sealedVerification });
    return { host, deposit, nonce: answer.verification!.nonce, code: device.code()! };
  };
  const form = (nonce: string, change: Record<string, string> = {}) => {
    const { backupName: _name, ...person } = IDENTITY;
    return { nonce, ...person, securityCode: "", confirmed: "yes", ...change };
  };
  const post = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(`${url}/results`, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: { accept: "application/json", ...headers },
    });

  await t.step("it runs under its permissions, and says that it is for no production", async () => {
    assert.deepEqual(probed(await Deno.readTextFile(logFile)), ALL_REFUSED);
    assert.equal(verifier.ready.notForProduction, true);
    assert.match(await Deno.readTextFile(logFile), /not-for-production/);
    const response = await fetch(url);
    const text = await response.text();
    assert.match(text, /Reference verifier: not for production/);
    assert.doesNotMatch(text, /https?:\/\/|src=|<script/);
    const policy = response.headers.get("content-security-policy")!;
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|script-src/);
    assert.equal(response.headers.get("cache-control"), "no-store");
  });

  await t.step(
    "in the browser: faults are named, then the result comes, and the vault takes it",
    async () => {
      const { host, deposit, nonce, code } = await begin();
      await browser.open(`${url}/start?nonce=${nonce}`);
      const heard = await browser.accessibility();
      const fields = heard.filter(({ role }) => ["textbox", "checkbox", "button"].includes(role));
      assert.deepEqual(fields.map(({ name }) => name), [
        "Number of this verification",
        "First name",
        "Last name",
        "Date of birth",
        "Place of birth",
        "Security code",
        "I have checked that this person is who is written here.",
        "Confirm",
      ]);
      assert.equal(await browser.evaluate("document.documentElement.lang"), "en");
      for (const name of ["lastName", "dateOfBirth", "placeOfBirth"] as const) {
        await browser.type(`#${name}`, IDENTITY[name]);
      }
      await browser.type("#firstName", HOSTILE);
      await browser.type("#securityCode", "12");
      await browser.clickThrough("button");
      const faults = await browser.evaluate<string>("document.querySelector('[role=alert]').innerText");
      assert.match(faults, /Security code is not four digits/);
      assert.match(faults, /The confirmation must be ticked/);
      assert.equal(await browser.evaluate("document.querySelector('#firstName').value"), HOSTILE);
      assert.equal(await browser.evaluate("document.querySelector('#securityCode').ariaInvalid"), "true");
      assert.match(await browser.evaluate("document.title"), /^Please correct/);
      for (const [name, value] of [["firstName", IDENTITY.firstName], ["securityCode", code]] as const) {
        await browser.evaluate(`document.querySelector("#${name}").value = ""`);
        await browser.type(`#${name}`, value);
      }
      await browser.evaluate("document.querySelector('#confirmed').click()");
      await browser.clickThrough("button");
      const result = await browser.evaluate<string>("document.querySelector('#result').value");
      assert.match(result, /^[\w-]+(\.[\w-]*){4}$/);
      const { status, body } = await deposit(result);
      assert.equal(status, 200, JSON.stringify(body));
      await host.stored(body as unknown as DepositAnswer);
      // The one document that was answered with 400 is told by the console; nothing was refused by the policy.
      assert.deepEqual(browser.complaints.filter((each) => !each.includes("status of 400")), []);
    },
  );

  await t.step(
    "for programs: the same result again, none for other answers, none to another site",
    async () => {
      const { deposit, nonce, code } = await begin();
      const first = await post(form(nonce, { securityCode: code }));
      assert.equal(first.status, 200);
      const { result } = await first.json() as { result: string };
      const again = await (await post(form(nonce, { securityCode: code }))).json() as { result: string };
      assert.equal(again.result, result);
      const other = await post(form(nonce, { securityCode: code, firstName: "Eve" }));
      assert.equal(other.status, 409);
      assert.equal((await other.json() as { code: string }).code, "VERIFIER_USED");
      assert.equal((await post(form("00".repeat(31)))).status, 400);
      assert.equal((await post(form(nonce, { lastName: "x".repeat(9000) }))).status, 400);
      const foreign = await post(form(toHex(SYSTEM_RANDOM(32))), { origin: "https://elsewhere.example" });
      assert.equal(foreign.status, 403);
      await foreign.body?.cancel();
      assert.equal((await deposit(result)).status, 200);
      const { deposit: elsewhere } = await begin();
      assert.equal((await elsewhere(result)).status, 403, "a result of another session");
    },
  );

  await t.step("another person, or another code, is refused by the vault", async () => {
    const changes: readonly Record<string, string>[] = [{ firstName: "Eve" }, { securityCode: "" }];
    for (const change of changes) {
      const { deposit, nonce, code } = await begin();
      const response = await post(form(nonce, { securityCode: code, ...change }));
      const { result } = await response.json() as { result: string };
      assert.equal((await deposit(result)).status, 403);
    }
  });

  await t.step("it starts again with the keys that it has, and keeps nothing of a person", async () => {
    const set = async () => await (await fetch(`${url}/.well-known/jwks.json`)).json();
    const before = await set();
    await verifier.stop();
    verifier = await serve();
    assert.deepEqual(await set(), before);
    const { deposit, nonce, code } = await begin();
    const { result } = await (await post(form(nonce, { securityCode: code }))).json() as { result: string };
    assert.equal((await deposit(result)).status, 200);
    const log = await Deno.readTextFile(logFile);
    for (const text of [IDENTITY.lastName, IDENTITY.placeOfBirth, nonce]) assert.ok(!log.includes(text));
  });
});
