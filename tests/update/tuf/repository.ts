/**
 * A simulated repository: tests change what it holds as they like, also to what no repository would publish, and `publish` signs
 * it. It counts what is asked for, as a client's requests are part of its conformance.
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { canonicalize } from "@tufjs/canonical-json";
import { newSigner, type Signer } from "./keys.ts";

/** Roles of the top. */
export const TOP = ["root", "timestamp", "snapshot", "targets"] as const;
const DAY_MS = 86_400_000;

// deno-lint-ignore no-explicit-any -- tests write what no type allows
type Json = Record<string, any>;

/** A request for metadata: role and version, as the address had them. */
export type Asked = readonly [role: string, version: number | undefined];

/** A date of expiry so many days from now. */
export function inDays(days: number): string {
  return new Date(Date.now() + days * DAY_MS).toISOString().replace(/\.\d+Z$/, "Z");
}

/** A repository and its server on a port of 127.0.0.1. */
export class SimulatedRepository implements AsyncDisposable {
  /** What is going to be signed, by role. */
  readonly signed: Record<string, Json> = {};
  /** What was signed, by role, oldest first: the address `N.role.json` gives the Nth. */
  readonly published: Record<string, Uint8Array[]> = {};
  /** Who signs, by role and identifier. */
  readonly signers: Record<string, Map<string, Signer>> = {};
  /** Contents by target path. */
  readonly artifacts = new Map<string, { data: Uint8Array; hashes: Record<string, string> }>();
  /** Metadata that was asked for. */
  readonly asked: Asked[] = [];
  /** Target files that were asked for: path, hash before the name, first byte. */
  readonly askedTargets: (readonly [path: string, prefix: string, from: number])[] = [];
  /** Whether snapshot and timestamp carry lengths and hashes. */
  withHashes = false;
  /** Answers instead of the repository where it gives something. */
  intercept: (path: string, request: Request) => Response | undefined = () => undefined;
  readonly #server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (r) => this.#serve(r),
  );

  constructor() {
    const common = (type: string) => ({
      _type: type,
      spec_version: "1.0.31",
      version: 1,
      expires: inDays(30),
    });
    this.signed.root = { ...common("root"), consistent_snapshot: true, keys: {}, roles: {} };
    this.signed.timestamp = { ...common("timestamp"), meta: { "snapshot.json": { version: 1 } } };
    this.signed.snapshot = { ...common("snapshot"), meta: { "targets.json": { version: 1 } } };
    this.signed.targets = { ...common("targets"), targets: {} };
    for (const role of TOP) {
      this.root.roles[role] = { keyids: [], threshold: 1 };
      this.addKey(role);
    }
    this.publish("targets", "snapshot", "timestamp", "root");
  }

  /** What root is going to say. */
  get root(): Json {
    return this.signed.root!;
  }

  /** Base addresses. */
  get metadataUrl(): string {
    return `http://127.0.0.1:${(this.#server.addr as Deno.NetAddr).port}/metadata/`;
  }

  /** Base address of target files. */
  get targetsUrl(): string {
    return `http://127.0.0.1:${(this.#server.addr as Deno.NetAddr).port}/targets/`;
  }

  /** Gives a role of the top a key, and signs with it from now on. */
  addKey(role: string, signer = newSigner()): Signer {
    this.root.keys[signer.id] = signer.json;
    if (!this.root.roles[role].keyids.includes(signer.id)) this.root.roles[role].keyids.push(signer.id);
    this.sign(role, signer);
    return signer;
  }

  /** Signs a role with a key from now on, whether it is a key of the role or not. */
  sign(role: string, signer: Signer): void {
    (this.signers[role] ??= new Map()).set(signer.id, signer);
  }

  /** Replaces every key of a role of the top. */
  rotate(role: string): void {
    this.root.roles[role].keyids = [];
    this.signers[role]!.clear();
    for (let key = 0; key < this.root.roles[role].threshold; key++) this.addKey(role);
  }

  /** Signs roles as they stand, each one version higher, and says so in snapshot and timestamp. */
  publish(...roles: string[]): void {
    for (const role of roles) {
      const signed = this.signed[role]!;
      if (this.published[role] !== undefined) signed.version++;
      const bytes = this.serialize(role);
      (this.published[role] ??= []).push(bytes);
      const hashes = { sha256: createHash("sha256").update(bytes).digest("hex") };
      const meta = { version: signed.version, ...(this.withHashes ? { length: bytes.length, hashes } : {}) };
      if (role === "snapshot") this.signed.timestamp!.meta["snapshot.json"] = meta;
      else if (role !== "root" && role !== "timestamp") this.signed.snapshot!.meta[`${role}.json`] = meta;
    }
  }

  /** A role as it stands, signed. */
  serialize(role: string): Uint8Array {
    const message = Buffer.from(canonicalize(this.signed[role]));
    const signatures = [...this.signers[role]?.values() ?? []]
      .map((signer) => ({ keyid: signer.id, sig: signer.sign(message) }));
    return Buffer.from(JSON.stringify({ signatures, signed: this.signed[role] }, null, 1));
  }

  /** Changes the newest signed document of a role, without signing it again. */
  edit(role: string, change: (document: Json) => void): void {
    const versions = this.published[role]!;
    const document = JSON.parse(new TextDecoder().decode(versions.pop()));
    change(document);
    versions.push(Buffer.from(JSON.stringify(document)));
  }

  /** Delegates from a role; the new role gets a key. */
  delegate(from: string, name: string, rules: Json = { paths: ["*"] }, signed: Json = {}): void {
    const delegator = this.signed[from]!;
    delegator.delegations ??= { keys: {}, roles: [] };
    const signer = newSigner();
    delegator.delegations.keys[signer.id] = signer.json;
    delegator.delegations.roles.push({
      name,
      keyids: [signer.id],
      threshold: 1,
      terminating: false,
      ...rules,
    });
    this.sign(name, signer);
    this.signed[name] ??= {
      _type: "targets",
      spec_version: "1.0.31",
      version: 1,
      expires: inDays(30),
      targets: {},
      ...signed,
    };
  }

  /** Puts a target into a role. */
  addTarget(role: string, path: string, text: string, algorithms: readonly string[] = ["sha256"]): void {
    const data = Buffer.from(text);
    const hashes = Object.fromEntries(
      algorithms.map((name) => [name, createHash(name).update(data).digest("hex")]),
    );
    this.signed[role]!.targets[path] = { length: data.length, hashes };
    this.artifacts.set(path, { data, hashes });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  #serve(request: Request): Response {
    // The address as it was sent: quoting is part of what is tested.
    const path = request.url.replace(/^http:\/\/[^/]+/, "");
    const answer = this.intercept(path, request);
    if (answer !== undefined) return answer;
    const bytes = path.startsWith("/metadata/")
      ? this.#metadata(path.slice(10))
      : this.#target(path, request);
    if (bytes === undefined) return new Response("not found", { status: 404 });
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
    if (from === 0) return new Response(bytes as Uint8Array<ArrayBuffer>);
    return new Response(bytes.slice(from), {
      status: 206,
      headers: { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` },
    });
  }

  #metadata(file: string): Uint8Array | undefined {
    const name = file.replace(/\.json$/, "");
    const prefixed = /^(\d+)\.(.*)$/.exec(name);
    const versioned = prefixed !== null &&
      (prefixed[2] === "root" || this.root.consistent_snapshot && name !== "timestamp");
    const role = versioned ? prefixed[2]! : name;
    const version = versioned ? Number(prefixed[1]) : undefined;
    this.asked.push([role, version]);
    const versions = this.published[decodeURIComponent(role)];
    return version === undefined ? versions?.at(-1) : versions?.[version - 1];
  }

  #target(path: string, request: Request): Uint8Array | undefined {
    const parts = path.slice("/targets/".length).split("/").map(decodeURIComponent);
    const file = parts.pop()!;
    const cut = this.root.consistent_snapshot ? file.indexOf(".") : -1;
    const prefix = file.slice(0, Math.max(cut, 0));
    const target = [...parts, file.slice(cut + 1)].join("/");
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
    this.askedTargets.push([target, prefix, from]);
    const artifact = this.artifacts.get(target);
    if (prefix !== "" && !Object.values(artifact?.hashes ?? {}).includes(prefix)) return undefined;
    return artifact?.data;
  }
}
