import assert from "node:assert/strict";
import { Secret } from "shared/base/secret.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { readPin } from "./pin.ts";
import { toUtf8 } from "shared/base/bytes.ts";
import { Wallet } from "./wallet.ts";
import { WALLET_SCRYPT_MIN_N, type WalletFile } from "./wallet_file.ts";
import { fileWalletStore, memoryWalletStore, type WalletStore } from "./wallet_store.ts";

const pin = (digits: string) => readPin(new Secret(toUtf8(digits)));
const seed = (length = 32) => new Secret(new Uint8Array(length).fill(0xa5));
const walletOf = (store: WalletStore) => new Wallet(store, SYSTEM_RANDOM, WALLET_SCRYPT_MIN_N);

Deno.test("readPin() takes 4 to 8 ASCII digits", () => {
  assert.deepEqual(pin("0123").reveal(), Uint8Array.of(0, 1, 2, 3));
  for (const bad of ["", "123", "123456789", "12a4", "１２３４", "12 34", "-123"]) {
    assert.throws(() => pin(bad), { code: "WALLET_PIN_RULE" });
  }
});

Deno.test("Wallet keeps seed and pending backup over lock and unlock, for every length", async () => {
  for (const length of [16, 24, 32]) {
    const wallet = walletOf(memoryWalletStore());
    assert.equal(wallet.exists, false);
    await wallet.create(pin("1234"));
    assert.deepEqual(wallet.facts, { empty: true, words: null });
    assert.throws(() => wallet.entropy, { code: "WALLET_NO_SEED" });
    wallet.takeSeed(seed(length));
    wallet.notePendingBackup("00C0FFEE");
    wallet.lock();
    assert.throws(() => wallet.entropy, { code: "WALLET_NOT_SET_UP" });
    await wallet.unlock(pin("1234"));
    assert.equal(wallet.facts.words, length / 4 * 3);
    assert.equal(wallet.pendingBackup, "00C0FFEE");
    assert.ok(wallet.entropy.equals(seed(length)));
    const other = seed(length);
    assert.throws(() => wallet.takeSeed(other), { code: "WALLET_HAS_SEED" });
    assert.ok(other.reveal().every((byte) => byte === 0), "a refused seed is wiped");
  }
});

Deno.test("Wallet counts wrong PINs on the disk before it looks, a right one restores, the third erases", async () => {
  const store = memoryWalletStore();
  const wallet = walletOf(store);
  await wallet.create(pin("1234"));
  wallet.takeSeed(seed());
  wallet.lock();
  await assert.rejects(wallet.unlock(pin("9999")), { code: "WALLET_PIN_WRONG", details: { triesLeft: 2 } });
  await assert.rejects(wallet.unlock(pin("9999")), { code: "WALLET_PIN_WRONG", details: { triesLeft: 1 } });
  await wallet.unlock(pin("1234"));
  assert.equal(wallet.triesLeft, 3);
  for (const code of ["WALLET_PIN_WRONG", "WALLET_PIN_WRONG", "WALLET_ERASED"]) {
    await assert.rejects(wallet.unlock(pin("12345")), { code });
  }
  assert.equal(wallet.exists, false);
  await assert.rejects(wallet.unlock(pin("1234")), { code: "WALLET_NOT_SET_UP" });
  // Power lost after the last try was spent: the next start erases.
  await wallet.create(pin("1234"));
  store.save({ ...store.load()!, triesLeft: 0 });
  await assert.rejects(wallet.unlock(pin("1234")), { code: "WALLET_ERASED" });
});

Deno.test("Wallet refuses a file of which any field was changed", async () => {
  const store = memoryWalletStore();
  const wallet = walletOf(store);
  await wallet.create(pin("1234"));
  wallet.lock();
  const good = store.load()!;
  const flip = (text: string) => (text[0] === "A" ? "B" : "A") + text.slice(1);
  const changes: ((file: WalletFile) => WalletFile)[] = [
    (file) => ({ ...file, scrypt: { ...file.scrypt, salt: flip(file.scrypt.salt) } }),
    (file) => ({ ...file, scrypt: { ...file.scrypt, N: 2 ** 11 } }),
    (file) => ({ ...file, sealed: { ...file.sealed, nonce: flip(file.sealed.nonce) } }),
    (file) => ({ ...file, sealed: { ...file.sealed, content: flip(file.sealed.content) } }),
    (file) => ({ ...file, sealed: { ...file.sealed, content: "" } }),
  ];
  for (const change of changes) {
    store.save(change(good));
    await assert.rejects(wallet.unlock(pin("1234")), { code: "WALLET_PIN_WRONG" });
  }
  const bad = [{ version: 2 }, { triesLeft: 4 }, { scrypt: { ...good.scrypt, N: 2 ** 30 } }, { more: 1 }];
  for (const one of bad) {
    store.save({ ...good, ...one } as WalletFile);
    await assert.rejects(wallet.unlock(pin("1234")), { code: "WALLET_STATE" });
  }
});

Deno.test("Wallet says so when the disk gives back something else", async () => {
  const store = memoryWalletStore();
  const wallet = walletOf(store);
  await wallet.create(pin("1234"));
  const old = store.load()!;
  const lying = new Wallet({ ...store, load: () => old }, SYSTEM_RANDOM, WALLET_SCRYPT_MIN_N);
  await lying.unlock(pin("1234"));
  assert.throws(() => lying.takeSeed(seed()), { code: "WALLET_WRITE" });
  assert.equal(lying.facts.empty, true);
});

Deno.test("fileWalletStore() is 0600, replaced whole, held by one, and holds no seed in the clear", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/wallet.json`;
    const store = fileWalletStore(path);
    assert.throws(() => fileWalletStore(path), { code: "WALLET_STATE_BUSY" });
    const wallet = walletOf(store);
    await wallet.create(pin("1234"));
    wallet.takeSeed(seed());
    const before = await Deno.readTextFile(path);
    for (const form of [seed().reveal().toHex(), seed().reveal().toBase64().slice(0, 20)]) {
      assert.ok(!before.includes(form));
    }
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.equal(
      [...Deno.readDirSync(folder)].map((one) => one.name).sort().join(),
      "wallet.json,wallet.json.lock",
    );
    Deno.chmodSync(path, 0o644);
    await assert.rejects(wallet.unlock(pin("1234")), { code: "WALLET_STATE" });
    wallet.close();
    const again = walletOf(fileWalletStore(path));
    Deno.chmodSync(path, 0o600);
    await again.unlock(pin("1234"));
    assert.ok(again.entropy.equals(seed()));
    again.erase();
    assert.equal(again.exists, false);
    again.close();
    assert.throws(() => fileWalletStore(`${folder}/none/wallet.json`), { code: "WALLET_WRITE" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
