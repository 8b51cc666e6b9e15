/** The keys of the live screen: G, then Y, lets stopped work go on. Two keys, so that an elbow does not. */

/** Where the two keys stand. */
export type KeyState = "idle" | "asked";

/** The state after a key, and whether work is to go on. Any other key takes the G back. */
export function afterKey(state: KeyState, key: string): { readonly state: KeyState; readonly goOn: boolean } {
  const letter = key.toLowerCase();
  if (state === "asked" && letter === "y") return { state: "idle", goOn: true };
  return { state: letter === "g" ? "asked" : "idle", goOn: false };
}

/** One item for each G and Y on the terminal. Keys are read one by one; Ctrl-C still interrupts. */
export async function* goOnKeys(): AsyncGenerator<void> {
  Deno.stdin.setRaw(true, { cbreak: true });
  const decoder = new TextDecoder();
  let state: KeyState = "idle";
  for await (const chunk of Deno.stdin.readable) {
    for (const key of decoder.decode(chunk, { stream: true })) {
      const next = afterKey(state, key);
      state = next.state;
      if (next.goOn) yield;
    }
  }
}

/** Gives the terminal back as it was. */
export function releaseKeys(): void {
  Deno.stdin.setRaw(false);
}
