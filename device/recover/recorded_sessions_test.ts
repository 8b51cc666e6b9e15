/** The device against the recorded sessions of public host scripts: their bytes in, the recorded bytes out. */

import assert from "node:assert/strict";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import { decodeDeviceEphemeral, deviceEphemeralBytes } from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import { loadVector } from "tests/vectors/load.ts";
import type { CustomRoot, RecoverPerson } from "./ports.ts";
import { RecoverDevice } from "./recover_device.ts";
import {
  CHANNEL_FLOW,
  type ChannelEvent,
  type ChannelState,
  PROVIDER_FLOW,
  type ProviderEvent,
  type ProviderState,
} from "./session_flow.ts";

interface Keys {
  readonly private: string;
  readonly public: string;
}
interface Exchange {
  readonly step: string;
  readonly command: string;
  readonly answer: string;
  readonly sw: string;
  readonly command_clear?: string;
  readonly provider?: string;
}
interface Session {
  readonly host_nonce: string;
  readonly device_nonce: string;
  readonly host_ephemeral: Keys;
  readonly device_ephemeral: Keys;
  readonly channel_key: string;
  readonly providers?: readonly {
    readonly name: string;
    readonly channel_key: string;
    readonly security_code: string;
  }[];
}
interface Recording {
  readonly keys: {
    readonly issuer: Keys;
    readonly device_static: Keys;
    readonly root: Keys;
    readonly entropy_encryption_key: string;
    readonly entropy: string;
  };
  readonly flows: Record<
    "setca" | "backup" | "restore" | "delete" | "delca",
    { session: Session; exchanges: Exchange[] }
  >;
  readonly sharing: Record<"t" | "F1" | "G1", string> & {
    readonly shares: readonly { provider: string; share: string }[];
  };
}

const recording = loadVector<Recording>("recover_exchange.json");
const { keys, flows, sharing } = recording;
const hex = (text: string) => fromHex(text.toUpperCase());
const lower = (bytes: Uint8Array) => toHex(bytes).toLowerCase();

/** The recorded device certificate, from its answer. */
function recordedCertificate() {
  const { session, exchanges } = flows.backup;
  const clear = new RecoverChannel(new Secret(hex(session.channel_key)))
    .open(hex(exchanges.find(({ step }) => step === "device static certificate")!.answer));
  return { header: clear.slice(1, 5), publicKey: clear.slice(6, 71), signature: clear.slice(72) };
}

/** Gives out what a recorded device drew, in the order in which this device draws. */
function recordedRandom(session: Session) {
  const wide = (scalar: string) => concat(new Uint8Array(16), hex(scalar));
  const draws = [
    hex(session.device_nonce),
    hex(session.device_ephemeral.private),
    wide(sharing.F1),
    wide(sharing.t),
    wide(sharing.G1),
  ];
  return (length: number) => {
    const draw = draws.shift();
    assert.equal(draw?.length, length, "the device draws what the recorded one drew");
    return draw!;
  };
}

function deviceFor(session: Session, start: { entropy?: string; roots?: CustomRoot[] }) {
  let entropy = start.entropy === undefined ? undefined : hex(start.entropy);
  const roots = [...(start.roots ?? [])];
  const asked: string[] = [];
  const person: RecoverPerson = {
    confirmIdentity: (identity, flow) => {
      asked.push(`${flow} ${identity.firstName} ${identity.lastName}`);
      return Promise.resolve(true);
    },
    showSecurityCode: (code) => asked.push(`code ${code}`),
    confirmRestore: (_identity, provider) => Promise.resolve(asked.push(`restore from ${provider}`) > 0),
    confirmRoot: (root, action) => Promise.resolve(asked.push(`${action} ${root.name}`) > 0),
    confirmDelete: (_identity, provider) => Promise.resolve(asked.push(`delete at ${provider}`) > 0),
    tell: (what, provider) => asked.push(`${what} ${provider}`),
  };
  const device = new RecoverDevice({
    identity: {
      targetId: hex("33000004"),
      staticKey: new Secret(hex(keys.device_static.private)),
      certificate: recordedCertificate(),
      issuerPublicKey: hex(keys.issuer.public),
      entropyEncryptionKey: new Secret(hex(keys.entropy_encryption_key)),
    },
    memory: {
      entropy: () => entropy && new Secret(entropy.slice()),
      restore: (restored) => entropy = restored.reveal().slice(),
      roots: () => roots,
      enrol: (root) => roots.push(root),
      remove: (root) => {
        const at = roots.findIndex(({ name, publicKey }) =>
          name === root.name && lower(publicKey) === lower(root.publicKey)
        );
        return at >= 0 && roots.splice(at, 1).length === 1;
      },
    },
    person,
    random: recordedRandom(session),
  });
  return { device, asked, roots, entropy: () => entropy && lower(entropy) };
}

const ROOT: CustomRoot = { name: "Recover test CA", publicKey: hex(keys.root.public) };
const SIGNED_BY_DEVICE = ["device ephemeral certificate"];

async function play(name: keyof Recording["flows"], start: { entropy?: string; roots?: CustomRoot[] }) {
  const { session, exchanges } = flows[name];
  const made = deviceFor(session, start);
  const channel = new RecoverChannel(new Secret(hex(session.channel_key)));
  for (const { step, command, answer, sw, command_clear, provider } of exchanges) {
    const got = await made.device.process(hex(command));
    assert.equal(lower(got.subarray(-2)), sw, `${step} ${provider ?? ""}`);
    const data = got.subarray(0, -2);
    if (SIGNED_BY_DEVICE.includes(step)) {
      // Only S may differ: the recorded device does not take the lower half.
      const { ephemeral, sealedSignature } = decodeDeviceEphemeral(data);
      const bytes = deviceEphemeralBytes(hex(session.device_nonce), hex(session.host_nonce), ephemeral);
      assert.ok(ecdsaVerify(hex(keys.device_static.public), bytes, channel.open(sealedSignature)));
      assert.equal(lower(ephemeral), session.device_ephemeral.public);
    } else if (command_clear?.startsWith("d800")) {
      // The deletion key is each device's own: the rest of the message is as recorded.
      const { channel_key } = session.providers!.find((one) => one.name === provider)!;
      const inside = new RecoverChannel(new Secret(hex(channel_key))).open(channel.open(data).slice(0, -1));
      assert.equal(
        lower(inside.subarray(0, 96)),
        sharing.shares.find((one) => one.provider === provider)!.share,
      );
      assert.equal(channel.open(data).at(-1), 0x18);
    } else if (command_clear?.startsWith("db")) {
      assert.ok(data.length > 0);
    } else {
      assert.equal(lower(data), answer, step);
    }
  }
  return made;
}

Deno.test("the recorded scripts enrol a root, and remove it", async () => {
  const enrolled = await play("setca", {});
  assert.deepEqual(enrolled.roots, [ROOT]);
  assert.deepEqual(enrolled.asked, ["enrol Recover test CA"]);
  const removed = await play("delca", { roots: [ROOT] });
  assert.deepEqual(removed.roots, []);
});

Deno.test("the recorded backup: three shares, byte for byte, one identity, one code", async () => {
  const { asked } = await play("backup", { entropy: keys.entropy, roots: [ROOT] });
  assert.deepEqual(asked, [
    `code ${flows.backup.session.providers![0]!.security_code}`,
    "backup John Doe",
    "share-stored Backup_1",
    "share-stored Backup_2",
    "share-stored Backup_3",
  ]);
});

Deno.test("the recorded restore gives an empty device the seed", async () => {
  const { asked, entropy } = await play("restore", { roots: [ROOT] });
  assert.equal(entropy(), keys.entropy);
  assert.deepEqual(asked.slice(1), [
    "restore John Doe",
    "restore from Backup_1",
    "restore from Backup_3",
    "seed-restored Backup_3",
  ]);
});

Deno.test("the recorded deletion is signed for each provider", async () => {
  const { asked } = await play("delete", { entropy: keys.entropy, roots: [ROOT] });
  assert.deepEqual(asked.filter((line) => line.startsWith("deleted")), [
    "deleted Backup_1",
    "deleted Backup_2",
    "deleted Backup_3",
  ]);
});

Deno.test("every recorded command changed, repeated or left out is refused, and no seed comes of it", async () => {
  let refused = 0;
  for (const name of ["backup", "restore", "delete"] as const) {
    const start = name === "restore" ? { roots: [ROOT] } : { entropy: keys.entropy, roots: [ROOT] };
    const { session, exchanges } = flows[name];
    for (const [index, { step, command, provider }] of exchanges.entries()) {
      // The second and third provider of a backup or deletion say what the first one said.
      const repeats = name !== "restore" && provider !== undefined && provider !== "Backup_1";
      if (step === "target" || step === "start" || repeats) continue;
      const bytes = hex(command);
      const changes: Uint8Array[][] = [];
      const flip = (at: number) => {
        const changed = bytes.slice();
        changed[at]! ^= 0x01;
        return changed;
      };
      if (bytes.length > 5) {
        for (const at of [5, bytes.length >> 1, bytes.length - 1]) changes.push([flip(at)]);
        changes.push([concat(bytes.subarray(0, 4), Uint8Array.of(bytes.length - 6), bytes.subarray(5, -1))]);
      }
      // Once more, and the one after it without it.
      changes.push([bytes, bytes]);
      const following = exchanges[index + 1];
      if (following !== undefined) changes.push([hex(following.command)]);
      for (const commands of changes) {
        const made = deviceFor(session, start);
        for (const before of exchanges.slice(0, index)) await made.device.process(hex(before.command));
        let last: Uint8Array = new Uint8Array(0);
        for (const one of commands) last = await made.device.process(one);
        const sw = lower(last.subarray(-2));
        // Left out, a provider's whole part may be followed by the next provider's: that is no fault.
        if (commands.length === 1 && following !== undefined && last.length === 2 && sw === "9000") {
          assert.equal(following.step, "provider certificate", `${name} ${index} ${step}`);
          continue;
        }
        const repeatable = commands.length === 2 && step === "provider certificate" && sw === "9000";
        if (!repeatable) assert.match(sw, /^69(82|85)$|^6a80$/, `${name} ${index} ${step}: ${sw}`);
        if (name === "restore" && index < exchanges.length - 1) assert.equal(made.entropy(), undefined);
        refused++;
      }
    }
  }
  assert.ok(refused > 200, `${refused}`);
});

/** The event of a recorded step, as the tables name it. */
function eventOf({ step, command_clear: clear = "" }: Exchange): ChannelEvent | ProviderEvent {
  const byCommand: Record<string, ProviderEvent> = {
    d500: "provider-static",
    d580: "provider-ephemeral",
    d800: "get-share",
    d801: "get-commitments",
    d810: "get-auxiliary-point",
    d902: "validate-commitments",
    d904: "validate-share-commitment",
    d903: "validate-values",
    da00: "restore",
  };
  const byStep: Record<string, ChannelEvent | ProviderEvent> = {
    target: "target",
    start: "start",
    "host static certificate": "host-static",
    "host ephemeral certificate": "host-ephemeral",
    "device static certificate": "device-static",
    "device ephemeral certificate": "device-ephemeral",
    done: "done",
    "mutual authentication": "mutual-authentication",
    "confirm identity": "confirm-identity",
    "validate hash": "validate-hash",
    delete: "delete",
  };
  return byCommand[clear.slice(0, 4)] ?? byStep[step]!;
}

Deno.test("every state x event of both tables: what a table does not have is refused as out of order", async () => {
  let walked = 0;
  const seen = new Set<string>();
  for (const name of ["backup", "restore", "delete"] as const) {
    const start = name === "restore" ? { roots: [ROOT] } : { entropy: keys.entropy, roots: [ROOT] };
    const { session, exchanges } = flows[name];
    const first = exchanges.filter(({ provider }) => provider === undefined || provider === "Backup_1");
    let channel: ChannelState = "closed";
    let provider: ProviderState = "none";
    for (let length = 0; length <= first.length; length++) {
      const at: string = `${channel} ${provider}`;
      for (const exchange of seen.has(at) ? [] : first) {
        const event = eventOf(exchange);
        const outer = exchange.command_clear === undefined ? event as ChannelEvent : "sealed";
        const allowed = CHANNEL_FLOW.next(channel, outer) !== undefined &&
          (outer !== "sealed" || PROVIDER_FLOW.next(provider, event as ProviderEvent) !== undefined);
        if (allowed) continue;
        const { device } = deviceFor(session, start);
        for (const before of first.slice(0, length)) await device.process(hex(before.command));
        const answer = lower(await device.process(hex(exchange.command)));
        assert.equal(answer, "6985", `${name}: ${event} in ${at}`);
        walked++;
      }
      seen.add(at);
      const done = first[length];
      if (done === undefined) break;
      const event = eventOf(done);
      if (done.command_clear === undefined) channel = CHANNEL_FLOW.next(channel, event as ChannelEvent)!;
      else provider = PROVIDER_FLOW.next(provider, event as ProviderEvent)!;
    }
  }
  assert.ok(seen.size >= 18 && walked > 250, `${seen.size} states, ${walked} refusals`);
});
