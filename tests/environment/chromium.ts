/**
 * A headless Chromium over its DevTools protocol: what a person would do with a page. A profile of its own in a temporary
 * folder; nothing is fetched but what the page names.
 */

import { REPOSITORY } from "cli/home.ts";
import { missingComponent } from "./component.ts";

const PROGRAMS = ["chromium", "chromium-headless-shell", "chromium-browser", "google-chrome"];
const START_MS = 60_000;
const STEP_MS = 30_000;

/** An open page. */
export interface BrowserPage extends AsyncDisposable {
  /** Opens an address and waits until it is loaded. */
  open(url: string): Promise<void>;
  /** Value of an expression in the page, as JSON. The browser's own channel: the page's policy does not hinder it. */
  evaluate<T>(expression: string): Promise<T>;
  /** Clicks what a selector finds, as a pointer would, and waits until the next document is loaded. */
  clickThrough(selector: string): Promise<void>;
  /** Types into what a selector finds, as a keyboard would. */
  type(selector: string, text: string): Promise<void>;
  /** What the page's policy refused and what failed, as the console has it. */
  readonly complaints: readonly string[];
  /** Roles and names as a screen reader hears them. */
  accessibility(): Promise<readonly { readonly role: string; readonly name: string }[]>;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** Starts a browser with one page. @throws {CodedError} `TEST_COMPONENT`. */
export async function startChromium(): Promise<BrowserPage> {
  const folder = await Deno.makeTempDir({ prefix: "rk-chromium-" });
  await using started = new AsyncDisposableStack();
  started.defer(() => removeProfile(folder));
  const child = spawn(folder);
  started.defer(async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await child.status;
  });
  const port = await debuggingPort(folder);
  const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json() as {
    type: string;
    webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(targets.find(({ type }) => type === "page")!.webSocketDebuggerUrl);
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("Cannot reach the browser"));
  });
  started.defer(() => closed(socket));
  const page = new DevToolsPage(socket);
  for (const domain of ["Page", "Runtime", "Log", "Accessibility"]) await page.send(`${domain}.enable`);
  const owned = started.move();
  return Object.assign(page, { [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

function spawn(folder: string): Deno.ChildProcess {
  for (const program of PROGRAMS) {
    try {
      return new Deno.Command(program, {
        args: [
          "--headless=new",
          // Tests also run as root and in containers, where the browser cannot make its own sandbox.
          "--no-sandbox",
          "--disable-gpu",
          "--disable-dev-shm-usage",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--remote-debugging-port=0",
          `--user-data-dir=${folder}`,
          "about:blank",
        ],
        cwd: REPOSITORY,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw missingComponent("Chromium", "apt-get install -y --no-install-recommends chromium");
}

/** Helpers of the browser write for a moment after it has ended. */
async function removeProfile(folder: string): Promise<void> {
  for (const end = Date.now() + STEP_MS;;) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The browser writes the port that it took into its profile. */
async function debuggingPort(folder: string): Promise<string> {
  for (const end = Date.now() + START_MS; Date.now() < end;) {
    const [port] = (await Deno.readTextFile(`${folder}/DevToolsActivePort`).catch(() => "")).split("\n");
    if (port) return port;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("Cannot start Chromium: it took no port");
}

function closed(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.onclose = () => resolve();
    socket.close();
  });
}

class DevToolsPage implements Omit<BrowserPage, typeof Symbol.asyncDispose> {
  readonly complaints: string[] = [];
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #loaded: (() => void) | undefined;
  #next = 1;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
  }

  #take(message: Message): void {
    if (message.id !== undefined) {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    } else if (message.method === "Page.loadEventFired") {
      this.#loaded?.();
    } else if (message.method === "Log.entryAdded" || message.method === "Runtime.exceptionThrown") {
      this.complaints.push(JSON.stringify(message.params));
    }
  }

  async send<T>(method: string, params: Record<string, unknown> = {}): Promise<T> {
    const id = this.#next++;
    const answered = new Promise<Message>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await within(answered, method);
    if (error) throw new Error(`Cannot ${method}: ${error.message}`);
    return result as T;
  }

  async #untilLoaded(what: string, act: () => Promise<unknown>): Promise<void> {
    const loaded = new Promise<void>((resolve) => this.#loaded = resolve);
    await act();
    await within(loaded, what);
  }

  open(url: string): Promise<void> {
    return this.#untilLoaded(url, () => this.send("Page.navigate", { url }));
  }

  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send<{
      result: { value: T };
      exceptionDetails?: { text: string };
    }>("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`Cannot evaluate ${expression}: ${exceptionDetails.text}`);
    return result.value;
  }

  async clickThrough(selector: string): Promise<void> {
    const at = await this.evaluate<{ x: number; y: number }>(
      `(() => { const e = document.querySelector(${
        JSON.stringify(selector)
      }); e.scrollIntoView({ block: "center" });
        const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`,
    );
    await this.#untilLoaded(`click ${selector}`, async () => {
      for (const type of ["mousePressed", "mouseReleased"]) {
        await this.send("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
      }
    });
  }

  async type(selector: string, text: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.send("Input.insertText", { text });
  }

  async accessibility(): Promise<readonly { readonly role: string; readonly name: string }[]> {
    const { nodes } = await this.send<{
      nodes: { ignored: boolean; role?: { value: string }; name?: { value: string } }[];
    }>("Accessibility.getFullAXTree");
    return nodes.filter(({ ignored }) => !ignored)
      .map(({ role, name }) => ({ role: role?.value ?? "", name: name?.value ?? "" }));
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Cannot go on: the browser does not end ${what}`)), STEP_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
