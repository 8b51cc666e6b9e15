/** The independent proxy between a reader and a card (proxy/tear_proxy.py), as a process. */

const PYTHON = "/usr/bin/python3";
const PROXY = decodeURIComponent(new URL("../proxy/tear_proxy.py", import.meta.url).pathname);

/** A running proxy. */
export interface TearProxy extends AsyncDisposable {
  /** `host:port` for the card. */
  readonly address: string;
  /** What it did so far: kinds by APDU. */
  readonly did: readonly { readonly did: string; readonly apdu: number }[];
  /** From now on it only passes on. */
  clean(): Promise<void>;
}

/** Starts a proxy in front of a reader's `host:port`. */
export async function startTearProxy(reader: string, seed: string): Promise<TearProxy> {
  const child = new Deno.Command(PYTHON, {
    args: ["-u", PROXY, reader, seed],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const did: { did: string; apdu: number }[] = [];
  const ready = Promise.withResolvers<number>();
  const clean = Promise.withResolvers<void>();
  const reading = (async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      rest += text;
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        const said = JSON.parse(rest.slice(0, end));
        rest = rest.slice(end + 1);
        if ("port" in said) ready.resolve(said.port);
        else if ("clean" in said) clean.resolve();
        else did.push(said);
      }
    }
    const ended = new Error("Cannot use the tear proxy: it ended; apt-get install python3");
    ready.reject(ended);
    clean.reject(ended);
  })();
  clean.promise.catch(() => {});
  return {
    address: `127.0.0.1:${await ready.promise}`,
    did,
    async clean() {
      await stdin.write(new TextEncoder().encode("clean\n"));
      await clean.promise;
    },
    async [Symbol.asyncDispose]() {
      await stdin.close().catch(() => {});
      await reading;
      await child.status;
    },
  };
}
