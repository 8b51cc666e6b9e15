/** Backup, restore and deletion by a wallet and its companion in this process, through the real gateways. */

import { parse } from "yaml";
import { COMPANION_FILE, MAKER_FILE } from "cli/spine/recover/layout.ts";
import { askVerifier } from "cli/spine/recover/verifiers.ts";
import { fromHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { publicKeyOf } from "shared/crypto/secp256k1.ts";
import type { CreateRecoverSession } from "shared/protocol/wire/recover_session.ts";
import { JsonOverHttps } from "shared/service/https_json.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { orchestratorOver } from "device/app/recover_companion_main.ts";
import { type OrchestratorPort, runSession, type VerifyStep } from "device/recover/companion.ts";
import { readMaker } from "device/recover/device_state.ts";
import { makeDevice, type Maker, type TestDevice } from "tests/recover/device.ts";
import { IDENTITY } from "tests/recover/flows.ts";
import type { RecoverSpine } from "./recover_spine.ts";

/** A flow with what it is about. */
export type FlowRequest =
  | { readonly flow: "backup" }
  | { readonly flow: "restore" | "delete"; readonly backupId: string; readonly avoid?: number };

/** How a flow ended for its companion. */
export interface FlowEnd {
  /** Number of the backup; undefined when the companion never learnt it. */
  readonly backupId: string | undefined;
  /** Undefined: it is done. */
  readonly error: unknown;
}

/** Wallets and companions of one spine. */
export class RecoverFlows {
  readonly #recover: RecoverSpine;
  readonly #maker: Maker;
  readonly #tls: { ca: string; cert: string; key: string };
  readonly #servers: string[];

  private constructor(recover: RecoverSpine, companion: { gateways: string[]; tls: Record<string, string> }) {
    const { folder } = recover.spine.descriptor;
    const read = (name: string) => Deno.readTextFileSync(`${folder}/wallet/${companion.tls[name]}`);
    this.#recover = recover;
    this.#servers = companion.gateways;
    this.#tls = { ca: read("authority"), cert: read("certificate"), key: read("key") };
    const { issuer, entropyEncryptionKey } = readMaker(`${folder}/${MAKER_FILE}`, SYSTEM_RANDOM);
    this.#maker = {
      issuer,
      issuerPublicKey: publicKeyOf(issuer),
      entropyEncryptionKey: fromHex(entropyEncryptionKey),
    };
  }

  /** Reads the companion's configuration. */
  static async open(recover: RecoverSpine): Promise<RecoverFlows> {
    const { folder } = recover.spine.descriptor;
    return new RecoverFlows(recover, parse(await Deno.readTextFile(`${folder}/${COMPANION_FILE}`)));
  }

  /** A wallet; empty without entropy. */
  wallet(entropy?: Uint8Array): TestDevice {
    return makeDevice(this.#maker, entropy);
  }

  /**
   * Runs a flow. @param gone aborted when the companion dies: nothing is heard of it from then on, not even that it gives up.
   */
  async run(device: TestDevice, request: FlowRequest, gone = new AbortController().signal): Promise<FlowEnd> {
    const http = new JsonOverHttps({ servers: this.#servers, tls: this.#tls, what: "the Recover service" });
    const port = orchestratorOver(http);
    let backupId: string | undefined;
    const heard = <T>(work: () => Promise<T>): Promise<T> => {
      if (gone.aborted) return Promise.reject(dead());
      return Promise.race([
        work(),
        new Promise<never>((_, reject) =>
          gone.addEventListener("abort", () => reject(dead()), { once: true })
        ),
      ]);
    };
    const orchestrator: OrchestratorPort = {
      create: (create) =>
        heard(async () => {
          const answer = await port.create(create);
          backupId = answer.backupId;
          return answer;
        }),
      apdus: (session, answers) => heard(() => port.apdus(session, answers)),
      verification: (session, result) => heard(() => port.verification(session, result)),
      giveUp: (session) => heard(() => port.giveUp(session)),
    };
    const session = crypto.randomUUID();
    const create = request.flow === "backup"
      ? { session, ...request, identity: IDENTITY }
      : { session, ...request };
    try {
      await runSession({
        orchestrator,
        device: (apdu) => device.device.process(apdu),
        verify: (step) => this.#verify(step, device),
      }, create as CreateRecoverSession);
      return { backupId, error: undefined };
    } catch (error) {
      return { backupId, error };
    } finally {
      device.device.end();
      http.close();
    }
  }

  #verify({ provider, nonce, securityCode }: VerifyStep, device: TestDevice): Promise<string> {
    const { providers } = this.#recover.services;
    const { verifier } = providers.find(({ index }) => provider.endsWith(` ${index}`))!;
    return askVerifier(verifier, {
      nonce,
      identity: IDENTITY,
      ...(securityCode ? { securityCode: device.code() } : {}),
    });
  }
}

/** An error that no repetition mends. */
function dead(): CodedError {
  return new CodedError("RECOVER_FIELD", "the companion is dead");
}
