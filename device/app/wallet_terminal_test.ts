import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { LINE_MAX_BYTES, terminalPerson, withQuietTerminal } from "./wallet_terminal.ts";

/** A person who types these chunks, one for each read. */
function typing(...chunks: string[]) {
  const modes: boolean[] = [];
  let shown = "";
  const keyboard = {
    setRaw: (mode: boolean) => void modes.push(mode),
    read(buffer: Uint8Array): Promise<number | null> {
      const chunk = chunks.shift();
      if (chunk === undefined) return Promise.resolve(null);
      const bytes = toUtf8(chunk);
      buffer.set(bytes);
      return Promise.resolve(bytes.length);
    },
  };
  const person = terminalPerson(keyboard, (text) => void (shown += text), new Set());
  return { person, keyboard, modes, shown: () => shown };
}

Deno.test("terminalPerson() takes a secret without echo, key by key, pasted or typed ahead", async () => {
  const { person, shown } = typing("13", "5", "9\u007f", "7\r", "2468", "0\nyes\r");
  assert.equal(fromUtf8((await person.secret("walletPin", { triesLeft: 2 })).reveal()), "1357");
  assert.equal(fromUtf8((await person.secret("cardPin", {})).reveal()), "24680");
  assert.equal(await person.confirm("wipe", {}), true);
  assert.doesNotMatch(shown(), /1357|24680|[*]/);
  assert.match(shown(), /2 tries left/);
});

Deno.test("withQuietTerminal() keeps the terminal quiet over questions and what is between, and gives it back", async () => {
  const { keyboard, person, modes } = typing("1357\r");
  await withQuietTerminal(keyboard, () => person.secret("cardPin", {}));
  await assert.rejects(withQuietTerminal(keyboard, () => person.secret("cardPin", {})), {
    code: "WALLET_CANCELLED",
  });
  assert.deepEqual(modes, [true, false, true, false]);
});

Deno.test("terminalPerson() asks a new PIN twice, and again when the two differ", async () => {
  const { person, shown } = typing("1357\r1358\r", "2468\r", "2468\r");
  assert.equal(fromUtf8((await person.secret("newCardPin", {})).reveal()), "2468");
  assert.match(shown(), /were not the same/);
});

Deno.test("terminalPerson() Ctrl-C, Ctrl-D and a closed terminal cancel; Ctrl-U begins anew; a line is bounded", async () => {
  for (const keys of [["12\u0003"], ["\u0004"], []]) {
    const { person } = typing(...keys);
    await assert.rejects(person.secret("cardPin", {}), { code: "WALLET_CANCELLED" });
  }
  const { person } = typing("99\u00151357\u001b\r", "x".repeat(LINE_MAX_BYTES), "x\r");
  assert.equal(fromUtf8((await person.secret("cardPin", {})).reveal()), "1357");
  assert.equal((await person.secret("words", {})).length, LINE_MAX_BYTES);
});

Deno.test("terminalPerson() chooses by number or name, anything but yes is no", async () => {
  const { person } = typing("4\r", "2\r", "wipe\r", "y\r", "\r", "Keller\r");
  assert.equal(await person.choose("What?", ["pin", "name", "wipe"]), "name");
  assert.equal(await person.choose("What?", ["pin", "name", "wipe"]), "wipe");
  assert.equal(await person.confirm("wipe", {}), false);
  assert.equal(await person.confirm("last-try", {}), false);
  assert.equal(await person.text("Name"), "Keller");
});
