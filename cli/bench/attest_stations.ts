/**
 * Stations for the benchmark of the attestation service: each has a certificate, signing and sealing keys, and connections of
 * its own, and plays the card as well. They speak to the service itself, as a gateway does, or through the gateways.
 */

import { parse, stringify } from "yaml";
import { fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import {
  AttestationAnswer,
  type AttestationRequest,
  PersonalizationKeySealed,
  ReservationAnswer,
  type ReservationRequest,
} from "shared/protocol/wire/attestation.ts";
import { freshNonce, signRequest } from "shared/protocol/wire/http_signature.ts";
import { unseal } from "shared/protocol/wire/sealed.ts";
import { readAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { AttestationClient } from "factory/service/station/attestation_client.ts";
import { HttpsExchange } from "shared/transport/https_exchange.ts";
import { provisionSenderKeys } from "../spine/sender_keys.ts";
import type { Spine } from "../spine/spine.ts";

/** What a station asks for; both ways to the service offer it. */
export interface StationAttestation {
  /** A serial for a chip; the private half of DGI 8137, 32 bytes. */
  reserve(request: ReservationRequest): Promise<{ reservation: string; serial: string; key: Uint8Array }>;
  attest(request: AttestationRequest): Promise<unknown>;
  close(): void;
}

/** A station's identity. */
export interface BenchStation {
  readonly name: string;
  /** PEM of its client certificate and key. */
  readonly cert: string;
  readonly key: string;
  /** DER of the certificate. */
  readonly der: Uint8Array;
  readonly signingKey: JsonWebKey;
  readonly sealingKey: JsonWebKey;
}

/** Makes stations, enters them into the configuration of both services, and starts these again. */
export async function enterStations(spine: Spine, count: number): Promise<BenchStation[]> {
  const { folder } = spine.descriptor;
  const read = (file: string) => Deno.readTextFile(`${folder}/${file}`);
  const authority = await readAuthority(await read("pki/client.crt"), await read("pki/client.key"));
  const stations: BenchStation[] = [];
  const senders: unknown[] = [];
  for (let i = 1; i <= count; i++) {
    const name = `bench-${i}`;
    await Deno.mkdir(`${folder}/${name}`, { mode: 0o700 });
    const keys = await provisionSenderKeys(`${folder}/${name}`);
    senders.push({ name, role: "station", ...keys });
    const issued = await issue(authority, {
      now: Date.now(),
      commonName: name,
      uris: [`urn:recovery-key:station:${name}`],
      usages: ["client"],
    });
    stations.push({
      name,
      cert: issued.certificatePem,
      key: issued.privateKeyPem,
      der: new Uint8Array(issued.certificate.rawData),
      signingKey: JSON.parse(await read(`${name}/signing.jwk`)),
      sealingKey: JSON.parse(await read(`${name}/sealing.jwk`)),
    });
  }
  for (const instance of ["attestation-a", "attestation-b"]) {
    const path = `${folder}/${instance}/config.yaml`;
    const configuration = parse(await Deno.readTextFile(path));
    configuration.senders.push(...senders);
    await Deno.writeTextFile(path, stringify(configuration, { lineWidth: 0 }));
    await spine.children.get(instance)!.stop();
    await spine.restart(instance);
  }
  return stations;
}

/** Through the gateways, with the station's own client. */
export async function throughGateway(spine: Spine, station: BenchStation): Promise<StationAttestation> {
  const { folder, addresses } = spine.descriptor;
  const client = new AttestationClient({
    gateways: [`https://${addresses.gatewayA.listen}`, `https://${addresses.gatewayB.listen}`],
    tls: { ca: await Deno.readTextFile(`${folder}/pki/server.crt`), cert: station.cert, key: station.key },
    name: station.name,
    signingKey: station.signingKey,
    sealingKey: station.sealingKey,
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
  });
  return {
    async reserve(request) {
      const { reservation, serial, personalizationKey } = await client.reserve(request);
      const key = personalizationKey.reveal().slice();
      personalizationKey.wipe();
      return { reservation, serial: toHex(serial), key };
    },
    attest: (request) => client.attest(request),
    close: () => client.close(),
  };
}

/** To the service itself: HTTPS with a gateway's client certificate, which passes the station's on. */
export async function direct(spine: Spine, station: BenchStation): Promise<StationAttestation> {
  const { folder, addresses } = spine.descriptor;
  const read = (file: string) => Deno.readTextFile(`${folder}/${file}`);
  const https = new HttpsExchange({
    ca: await read("pki/internal.crt"),
    cert: await read("gateway-a/upstream.crt"),
    key: await read("gateway-a/upstream.key"),
  });
  const server = new URL(`https://${addresses.attestationA.listen}`);
  const post = async (path: string, value: unknown): Promise<unknown> => {
    const body = toUtf8(JSON.stringify(value));
    const signed = await signRequest({
      method: "POST",
      path,
      body,
      keyId: station.name,
      privateKey: station.signingKey,
      nonce: freshNonce(SYSTEM_RANDOM),
      created: Math.floor(Date.now() / 1000),
    });
    const answer = await https.send(server, {
      method: "POST",
      path,
      headers: {
        ...signed,
        "client-cert": `:${station.der.toBase64()}:`,
        "idempotency-key": crypto.randomUUID(),
      },
      body,
    });
    const text = new TextDecoder().decode(answer.body);
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${text}`);
    return JSON.parse(text);
  };
  return {
    async reserve(request) {
      const answer = ReservationAnswer.parse(await post("/v1/reservations", request));
      const sealed = PersonalizationKeySealed.parse(await unseal(answer.sealed, station.sealingKey));
      return { reservation: answer.reservation, serial: answer.serial, key: fromHex(sealed.dgi8137) };
    },
    attest: async (request) => AttestationAnswer.parse(await post("/v1/attestations", request)),
    close: () => https.close(),
  };
}

/** One card: reserved and attested. @returns milliseconds of the two requests, without the card's own work. */
export async function oneCard(
  service: StationAttestation,
  batch: string,
  targetId: Uint8Array,
): Promise<{ reserveMs: number; attestMs: number }> {
  const begun = performance.now();
  const { reservation, serial, key } = await service.reserve({
    batch,
    chip: { cplc: toHex(SYSTEM_RANDOM(42)), keyDiversificationData: toHex(SYSTEM_RANDOM(10)) },
  });
  const reserved = performance.now();
  const cardKey = generatePrivateKey(SYSTEM_RANDOM);
  const publicKey = publicKeyOf(cardKey);
  cardKey.wipe();
  const signature = ecdsaSign(key, cardKeyMessage(targetId, publicKey));
  key.fill(0);
  const asked = performance.now();
  await service.attest({ reservation, serial, publicKey: toHex(publicKey), signature: toHex(signature) });
  return { reserveMs: reserved - begun, attestMs: performance.now() - asked };
}
