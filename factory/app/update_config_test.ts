import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readUpdateConfig, readUpdateVaultConfig } from "./update_config.ts";

const example = (name: string) => fileURLToPath(new URL(name, import.meta.url));

Deno.test("the examples are valid, and their paths begin at their folder", () => {
  const service = readUpdateConfig(example("./update_example.yaml"));
  const vault = readUpdateVaultConfig(example("./update_vault_example.yaml"));
  assert.equal(service.pipes, vault.pipes);
  assert.ok(service.tls.certificate.endsWith("/factory/app/server.crt"));
  assert.ok(service.eventLog!.keyFile.startsWith("/"));
  assert.equal(vault.labels.upgradeMaster, "upgrade-master");
});

Deno.test("readUpdateConfig() names every wrong field", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/service.yaml`;
    const text = await Deno.readTextFile(example("./update_example.yaml"));
    await Deno.writeTextFile(
      file,
      text.replace("127.0.0.1:8454", "nowhere").replace("name: update-a", "nam: update-a"),
    );
    assert.throws(() => readUpdateConfig(file), (error: Error) => {
      assert.match(error.message, /listen: not host:port/);
      assert.match(error.message, /nam/);
      return true;
    });
    assert.throws(() => readUpdateConfig(`${folder}/none.yaml`), { code: "UPDATE_CONFIG" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
