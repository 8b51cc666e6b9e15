/** The verifier's keys on disk: its root, which a vault pins and which signs the set, and the ring of signing keys. */

import { CompactSign, exportJWK, generateKeyPair, importJWK, type JWK } from "jose";
import { z } from "zod";
import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { replaceFile } from "shared/transport/durable_file.ts";
import { KEY_SET_TYPE } from "../vault/verification_result.ts";
import { nextTurn, publishedKeys, type RingKey, type RingPolicy, signingKey } from "./key_ring.ts";

const PrivateKey = z.strictObject({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string(),
  y: z.string(),
  d: z.string(),
});
const State = z.strictObject({
  root: PrivateKey,
  keys: z.array(z.strictObject({ kid: z.string().min(1), key: PrivateKey, startsAt: z.int() })),
});
type State = z.infer<typeof State>;

const FILE = "keys.json";

defineErrors({
  VERIFIER_KEYS: {
    fault: "configuration",
    retry: false,
    next:
      "`rk verifier init` makes the keys; a file of theirs that was changed is brought back from its backup.",
  },
});

/** How a set is made. */
export interface KeySetOptions {
  readonly issuer: string;
  readonly policy: RingPolicy;
  /** How long a signed set holds: a key that was stolen counts no longer than this after it left the set. */
  readonly setSeconds: number;
}

async function newKey(): Promise<z.infer<typeof PrivateKey>> {
  const pair = await generateKeyPair("ES256", { extractable: true });
  return PrivateKey.parse(publicAndPrivate(await exportJWK(pair.privateKey)));
}

function publicAndPrivate({ kty, crv, x, y, d }: JWK): JWK {
  return { kty, crv, x, y, d } as JWK;
}

/** The public half. */
export function publicHalf({ kty, crv, x, y }: JWK): JWK {
  return { kty, crv, x, y } as JWK;
}

/** Makes the root key unless it is there. Returns its public half, which vaults pin. @throws {CodedError} `VERIFIER_KEYS`. */
export async function ensureVerifierKeys(folder: string): Promise<JWK> {
  try {
    await Deno.lstat(`${folder}/${FILE}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    write(folder, { root: await newKey(), keys: [] });
  }
  return publicHalf(read(folder).root);
}

function read(folder: string): State {
  try {
    return State.parse(JSON.parse(Deno.readTextFileSync(`${folder}/${FILE}`)));
  } catch {
    // What the parser says could repeat a key.
    throw new CodedError(
      "VERIFIER_KEYS",
      `Cannot use keys in ${folder}: there are none, or they are not ours`,
    );
  }
}

function write(folder: string, state: State): void {
  replaceFile(`${folder}/${FILE}`, toUtf8(JSON.stringify(state)));
}

/** The keys of a running verifier. One process uses a folder at a time. */
export class VerifierKeys {
  readonly #folder: string;
  readonly #options: KeySetOptions;
  #state: State;
  #turning: Promise<void> = Promise.resolve();

  /** @throws {CodedError} `VERIFIER_KEYS`. */
  constructor(folder: string, options: KeySetOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#state = read(folder);
  }

  /** The key whose turn it is. */
  async signer(now: number): Promise<RingKey> {
    await this.#turn(now);
    return signingKey(this.#state.keys, now)!;
  }

  /** Public keys of the set. */
  async published(now: number): Promise<JWK[]> {
    await this.#turn(now);
    return publishedKeys(this.#state.keys, this.#options.policy, now)
      .map(({ kid, key }) => ({ ...publicHalf(key), kid, use: "sig", alg: "ES256" }));
  }

  /** The set, signed by the root: OpenID Federation 1.0, section 5.2.1, `signed_jwks_uri`. */
  async signedSet(now: number): Promise<string> {
    const { issuer, setSeconds } = this.#options;
    const payload = { iss: issuer, iat: now, exp: now + setSeconds, keys: await this.published(now) };
    return await new CompactSign(toUtf8(JSON.stringify(payload)))
      .setProtectedHeader({ alg: "ES256", typ: KEY_SET_TYPE })
      .sign(await importJWK(this.#state.root, "ES256"));
  }

  /** Makes the next key when it is time; it is on disk before anybody hears of it. */
  #turn(now: number): Promise<void> {
    this.#turning = this.#turning.catch(() => {}).then(async () => {
      const { policy } = this.#options;
      for (
        let turn = nextTurn(this.#state.keys, policy, now);
        turn !== undefined;
        turn = nextTurn(this.#state.keys, policy, now)
      ) {
        const key = { kid: crypto.randomUUID(), key: await newKey(), startsAt: turn };
        const kept = this.#state.keys.filter((each) =>
          publishedKeys(this.#state.keys, policy, now).some(({ kid }) => kid === each.kid)
        );
        const state = { ...this.#state, keys: [...kept, key] };
        write(this.#folder, state);
        this.#state = state;
      }
    });
    return this.#turning;
  }
}
