/** Recomputes recover_exchange.json: everything that a host script and a device said, from the keys. */

import assert from "node:assert/strict";
import { concat, fromHex, readUint, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { decodeCommand } from "shared/protocol/apdu/command.ts";
import { loadVector } from "tests/vectors/load.ts";
import {
  decodeDeviceCertificate,
  decodeDeviceEphemeral,
  decodeProviderCertificate,
  decodeSignedKey,
  deviceEphemeralBytes,
  deviceStaticBytes,
  encodeDeviceCertificate,
  encodeProviderCertificate,
  encodeSignedKey,
  hostEphemeralBytes,
  hostStaticBytes,
  providerBytes,
  requireSignature,
} from "./certificates.ts";
import { RecoverChannel } from "./channel.ts";
import { AUXILIARY_POINT, COMMAND, CONFIRM_RESTORE, IDENTITY_FLOW, LENGTH, ROLE } from "./constants.ts";
import { decryptEntropy, encryptEntropy } from "./entropy.ts";
import { decodeIdentity, encodeIdentity, identityHash, sameIdentity } from "./identity.ts";
import {
  commitmentsOf,
  expectedShareCommitment,
  isAuxiliaryPoint,
  isConsistent,
  type Polynomials,
  recombine,
  type Share,
  shareCommitment,
  sharesOf,
} from "./sharing.ts";

interface Keys {
  readonly private: string;
  readonly public: string;
}
interface RecordedExchange {
  readonly step: string;
  readonly command: string;
  readonly answer: string;
  readonly sw: string;
  readonly command_clear?: string;
  readonly answer_clear?: string;
  readonly signature_clear?: string;
  readonly provider?: string;
  readonly provider_sealed_command_clear?: string;
  readonly provider_sealed_answer_clear?: string;
}
interface Flow {
  readonly session: {
    readonly host_nonce: string;
    readonly device_nonce: string;
    readonly host_static: Keys;
    readonly host_ephemeral: Keys;
    readonly device_ephemeral: Keys;
    readonly channel_key: string;
    readonly providers?: readonly {
      name: string;
      ephemeral_public: string;
      ephemeral_private: string;
      channel_key: string;
      security_code: string;
    }[];
  };
  readonly exchanges: readonly RecordedExchange[];
}
interface Recording {
  readonly keys: {
    readonly issuer: Keys;
    readonly device_static: Keys;
    readonly root: Keys;
    readonly orchestrator_static: Keys;
    readonly providers: readonly (Keys & { name: string })[];
    readonly entropy_encryption_key: string;
    readonly entropy: string;
    readonly words: number;
  };
  readonly identity: Record<
    "first_name" | "last_name" | "birth" | "city" | "backup_id" | "backup_name",
    string
  >;
  readonly flows: Record<"setca" | "backup" | "restore" | "delete" | "delca", Flow>;
  readonly sharing: {
    readonly secret: string;
    readonly t: string;
    readonly F1: string;
    readonly G1: string;
    readonly auxiliary_point: string;
    readonly commitments: string;
    readonly shares: readonly {
      provider: string;
      index: number;
      share: string;
      share_commitment: string;
      deletion_public: string;
    }[];
  };
}

const { keys, identity: who, flows, sharing } = loadVector<Recording>("recover_exchange.json");
const hex = (text: string) => fromHex(text.toUpperCase());
const lower = (bytes: Uint8Array) => toHex(bytes).toLowerCase();
const secret = (text: string) => new Secret(hex(text));
const IDENTITY = {
  backupName: who.backup_name,
  firstName: who.first_name,
  lastName: who.last_name,
  dateOfBirth: who.birth,
  placeOfBirth: who.city,
};
const POLYNOMIALS = (): Polynomials => ({
  secret: secret(sharing.secret),
  t: secret(sharing.t),
  f1: secret(sharing.F1),
  g1: secret(sharing.G1),
});

Deno.test("entropy, shares and commitments come out as recorded, and any two shares give the entropy", () => {
  const key = secret(keys.entropy_encryption_key);
  const encrypted = encryptEntropy(key, secret(keys.entropy));
  assert.equal(lower(encrypted.reveal()), sharing.secret.slice(-64));
  assert.equal(lower(commitmentsOf(POLYNOMIALS())), sharing.commitments);
  assert.equal(lower(AUXILIARY_POINT), sharing.auxiliary_point);
  assert.ok(isAuxiliaryPoint(hex(sharing.auxiliary_point)));
  const shares = sharesOf(POLYNOMIALS());
  const commitments = hex(sharing.commitments);
  for (const [i, recorded] of sharing.shares.entries()) {
    assert.equal(shares[i]!.index, recorded.index);
    assert.equal(lower(shares[i]!.value.reveal()), recorded.share);
    assert.equal(lower(shareCommitment(shares[i]!.value)), recorded.share_commitment);
    assert.equal(lower(expectedShareCommitment(commitments, recorded.index)), recorded.share_commitment);
    assert.ok(isConsistent(shares[i]!, commitments));
  }
  for (const [a, b] of [[0, 1], [0, 2], [1, 2], [2, 0]] as const) {
    const restored = decryptEntropy(key, recombine(shares[a]!, shares[b]!), keys.words);
    assert.equal(lower(restored.reveal()), keys.entropy);
  }
});

/** Channels of one recorded session, from both ends. */
function channelsOf(flow: Flow) {
  const { session } = flow;
  const deviceKey = secret(session.device_ephemeral.private);
  const both = (privateKey: string, publicKey: string, recorded: string) => {
    const device = RecoverChannel.agree(deviceKey, hex(publicKey));
    const host = RecoverChannel.agree(secret(privateKey), hex(session.device_ephemeral.public));
    const probe = hex("00112233");
    assert.deepEqual(device.seal(probe), host.seal(probe));
    assert.deepEqual(device.seal(probe), new RecoverChannel(secret(recorded)).seal(probe));
    return host;
  };
  return {
    orchestrator: both(session.host_ephemeral.private, session.host_ephemeral.public, session.channel_key),
    providers: new Map((session.providers ?? []).map((provider) => {
      const channel = both(provider.ephemeral_private, provider.ephemeral_public, provider.channel_key);
      assert.equal(channel.securityCode(), provider.security_code);
      return [provider.name, { channel, ephemeral: hex(provider.ephemeral_public) }];
    })),
  };
}

/** Where a provider's sealed bytes are inside a command in the clear: after the command, P1 and the length. */
function sealedPart(clear: Uint8Array): Uint8Array {
  const offset = [COMMAND.VALIDATE_COMMITMENTS, COMMAND.RESTORE].some((command) => command === clear[0])
    ? 3
    : 2;
  assert.equal(clear[offset - 1], clear.length - offset);
  return clear.subarray(offset);
}

for (const [name, flow] of Object.entries(flows)) {
  Deno.test(`every sealed byte of the recorded ${name} is what both channels make of the clear ones`, () => {
    const { orchestrator, providers } = channelsOf(flow);
    let sealedCommands = 0;
    for (const exchange of flow.exchanges) {
      const command = decodeCommand(hex(exchange.command));
      assert.equal(exchange.sw, "9000");
      if (exchange.command_clear === undefined) continue;
      const clear = hex(exchange.command_clear);
      assert.deepEqual(orchestrator.seal(clear), command.data, exchange.step);
      assert.deepEqual(orchestrator.open(command.data), clear, exchange.step);
      if (exchange.answer_clear) {
        assert.deepEqual(orchestrator.seal(hex(exchange.answer_clear)), hex(exchange.answer), exchange.step);
      }
      const provider = providers.get(exchange.provider ?? "");
      if (exchange.provider_sealed_command_clear) {
        const inside = hex(exchange.provider_sealed_command_clear);
        assert.deepEqual(provider!.channel.seal(inside), sealedPart(clear), exchange.step);
      }
      if (exchange.provider_sealed_answer_clear) {
        const inside = hex(exchange.provider_sealed_answer_clear);
        const answer = hex(exchange.answer_clear!);
        const part = clear[0] === COMMAND.GET_SHARE ? answer.subarray(0, -1) : answer;
        assert.deepEqual(provider!.channel.seal(inside), part, exchange.step);
      }
      sealedCommands++;
    }
    assert.ok(sealedCommands > 0);
  });

  Deno.test(`every certificate of the recorded ${name} verifies under its role and no other`, () => {
    const { session, exchanges } = flow;
    const { orchestrator } = channelsOf(flow);
    const at = (step: string, index = 0) => exchanges.filter((exchange) => exchange.step === step)[index]!;
    const [hostNonce, deviceNonce] = [hex(session.host_nonce), hex(session.device_nonce)];
    const enrols = decodeCommand(hex(at("host static certificate").command)).p2 === 0;

    const hostStatic = decodeCommand(hex(at("host static certificate").command)).data;
    const host = decodeSignedKey(hostStatic);
    assert.deepEqual(encodeSignedKey(host), hostStatic);
    const signer = enrols ? host.publicKey : hex(keys.root.public);
    const [role, ephemeralRole] = enrols
      ? [ROLE.ROOT, ROLE.ROOT_EPHEMERAL] as const
      : [ROLE.ORCHESTRATOR_STATIC, ROLE.ORCHESTRATOR_EPHEMERAL] as const;
    requireSignature(signer, hostStaticBytes(role, host.publicKey), host.signature, "host");
    const otherRole = enrols ? ROLE.ORCHESTRATOR_STATIC : ROLE.ROOT;
    assert.throws(
      () => requireSignature(signer, hostStaticBytes(otherRole, host.publicKey), host.signature, "host"),
      { code: "RECOVER_CERTIFICATE" },
    );
    const ephemeral = decodeSignedKey(decodeCommand(hex(at("host ephemeral certificate").command)).data);
    requireSignature(
      host.publicKey,
      hostEphemeralBytes(ephemeralRole, hostNonce, deviceNonce, ephemeral.publicKey),
      ephemeral.signature,
      "host ephemeral",
    );

    const clear = orchestrator.open(hex(at("device static certificate").answer));
    const device = decodeDeviceCertificate(clear);
    assert.deepEqual(encodeDeviceCertificate(device), clear);
    const issued = deviceStaticBytes(device.header, device.publicKey);
    requireSignature(hex(keys.issuer.public), issued, device.signature, "device");
    const answered = decodeDeviceEphemeral(hex(at("device ephemeral certificate").answer));
    requireSignature(
      device.publicKey,
      deviceEphemeralBytes(deviceNonce, hostNonce, answered.ephemeral),
      orchestrator.open(answered.sealedSignature),
      "device ephemeral",
    );

    const provided = exchanges.filter(({ step }) => step === "provider certificate");
    for (let i = 0; i < provided.length; i += 2) {
      const bytes = provided.slice(i, i + 2).map(({ command_clear }) => hex(command_clear!).subarray(2));
      const [fixed, fresh] = bytes.map(decodeProviderCertificate) as [
        ReturnType<typeof decodeProviderCertificate>,
        ReturnType<typeof decodeProviderCertificate>,
      ];
      assert.deepEqual(bytes, [fixed, fresh].map(encodeProviderCertificate));
      assert.equal(fixed.role, ROLE.PROVIDER_STATIC);
      assert.equal(fresh.role, ROLE.PROVIDER_EPHEMERAL);
      const root = hex(keys.root.public);
      requireSignature(
        root,
        providerBytes(fixed.role, fixed.name, fixed.publicKey),
        fixed.signature,
        "provider",
      );
      requireSignature(
        fixed.publicKey,
        providerBytes(fresh.role, fresh.name, fresh.publicKey),
        fresh.signature,
        "provider ephemeral",
      );
    }
  });
}

Deno.test("identity data and the hash of each provider's session come out as recorded", () => {
  for (const name of ["backup", "restore", "delete"] as const) {
    const flow = flows[name];
    const { providers } = channelsOf(flow);
    for (const exchange of flow.exchanges) {
      const inside = exchange.provider_sealed_command_clear;
      if (exchange.step === "confirm identity") {
        const data = {
          ...IDENTITY,
          backupId: hex(who.backup_id),
          flow: name === "delete" ? IDENTITY_FLOW.DELETE : IDENTITY_FLOW.BACKUP_OR_RESTORE,
        };
        assert.equal(lower(encodeIdentity(data)), inside);
        assert.deepEqual(decodeIdentity(hex(inside!)), data);
        assert.ok(sameIdentity(decodeIdentity(hex(inside!)), IDENTITY));
      }
      if (exchange.step === "validate hash") {
        const { ephemeral } = providers.get(exchange.provider!)!;
        assert.equal(lower(identityHash(ephemeral, hex(who.backup_id), IDENTITY)), inside);
        const answer = exchange.provider_sealed_answer_clear;
        assert.equal(answer, name === "restore" ? lower(new TextEncoder().encode(CONFIRM_RESTORE)) : answer);
      }
    }
  }
});

Deno.test("what GET SHARE answered and RESTORE gives back is share, index, deletion key and hash of the commitments", () => {
  const share = (provider: string) => sharing.shares.find((one) => one.provider === provider)!;
  let seen = 0;
  for (const exchange of [...flows.backup.exchanges, ...flows.restore.exchanges]) {
    const gets = exchange.step === "get share" && exchange.provider_sealed_answer_clear;
    if (!gets && exchange.step !== "restore") continue;
    const bytes = hex(gets || exchange.provider_sealed_command_clear!);
    const known = share(exchange.provider!);
    assert.equal(lower(bytes.subarray(0, LENGTH.SHARE)), known.share);
    assert.equal(readUint(bytes.slice(LENGTH.SHARE, LENGTH.SHARE + 4).reverse()), known.index);
    if (gets) assert.equal(lower(bytes.subarray(LENGTH.SHARE + 4, LENGTH.SHARE + 69)), known.deletion_public);
    seen++;
  }
  assert.equal(seen, 5);
});

Deno.test("a share, a commitment or an index that is changed is not consistent; two equal indices restore nothing", () => {
  const shares = sharesOf(POLYNOMIALS());
  const commitments = hex(sharing.commitments);
  const first = shares[0]!;
  let refused = 0;
  for (let i = 0; i < LENGTH.SHARE; i++) {
    const changed = first.value.reveal().slice();
    changed[i]! ^= 0x01;
    assert.ok(!isConsistent({ index: 1, value: new Secret(changed) }, commitments), `share ${i}`);
    refused++;
  }
  for (let i = 0; i < LENGTH.COMMITMENTS; i += 8) {
    const changed = commitments.slice();
    changed[i]! ^= 0x01;
    assert.ok(!isConsistent(first, changed), `commitments ${i}`);
    refused++;
  }
  for (const index of [0, 2, 3, 4, -1, 1.5]) assert.ok(!isConsistent({ ...first, index }, commitments));
  assert.equal(refused, 120);
  assert.throws(() => recombine(first, { ...first }), { code: "RECOVER_SHARES_SAME" });
  const foreign: Share = { index: 2, value: new Secret(concat(hex("11".repeat(48)), hex("22".repeat(48)))) };
  assert.throws(() => recombine(first, foreign), { code: "RECOVER_SHARE" });
});
