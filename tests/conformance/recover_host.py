"""An independent host for Recover: orchestrator and three backup providers in one script, over the TCP framing of public
simulators. Cryptography by OpenSSL through `cryptography`, the arithmetic of secp384r1 by Python's integers; no code of this
project.

Usage: recover_host.py ISSUER-PUBLIC-KEY PORT enrol | backup | restore | delete | remove
Keys of root, orchestrator and providers, and what the providers keep, are in the JSON file that RECOVER_HOST_STATE names. A
share is in it as it is: a test's, never a person's. Prints one JSON line.
"""

import hashlib
import json
import os
import socket
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

IDENTITY = ("My backup", "Ada", "Lovelace", "10 December 1815", "LONDON")

# secp384r1, SEC 2, section 2.5.1.
P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
G = (
    0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
    0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
)
Q = (
    0xFBFC7B98C353A92621854E13D1EFBCF1385601A5CE14F5B64EB722DDC52B5690F302663F904679847FC5114DCC7D94ED,
    0x3B59569D2791C3A8E1BC8C32B5C0E537D1A4A95F0C3B16C493E5D69FEC29EAD4C95F7ED6B9C561A856A7B83D980F1CD8,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(k, point):
    result = None
    while k:
        if k & 1:
            result = add(result, point)
        point, k = add(point, point), k >> 1
    return result


def read_point(data):
    return int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")


def write_point(point):
    return point[0].to_bytes(48, "big") + point[1].to_bytes(48, "big")


def commitment(share):
    f, g = int.from_bytes(share[:48], "big"), int.from_bytes(share[48:], "big")
    return write_point(add(multiply(f, G), multiply(g, Q)))


def public(key):
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def private(text):
    return ec.derive_private_key(int(text, 16), ec.SECP256K1())


def load_public(data):
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), data)


def sign(key, data):
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def verify(data, key, signature):
    load_public(key).verify(signature, data, ec.ECDSA(hashes.SHA256()))


def lv(*fields):
    return b"".join(bytes([len(field)]) + field for field in fields)


def split(data, count):
    fields = []
    for _ in range(count):
        fields.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    assert not data, "bytes follow the last field"
    return fields


class Channel:
    def __init__(self, key, peer):
        x = key.exchange(ec.ECDH(), load_public(peer))
        secret = hashlib.sha256(x + bytes([0, 0, 0, 1])).digest()
        ecb = Cipher(algorithms.AES(secret), modes.ECB()).encryptor()
        self.key = ecb.update(b"\x01" * 16 + b"\x02" * 16)
        self.siv = AESSIV(self.key)

    def seal(self, data):
        return self.siv.encrypt(data, None)

    def open(self, data):
        return self.siv.decrypt(data, None)

    def code(self):
        return "".join(str(byte % 10) for byte in hashlib.sha256(b"\x06" + self.key).digest()[:4])


class Device:
    """The device at the other end of the socket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))

    def raw(self, apdu):
        self.socket.sendall(len(apdu).to_bytes(4, "big") + apdu)
        length = int.from_bytes(self.read(4), "big")
        data = self.read(length)
        return data, self.read(2).hex()

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, "the device left"
            data += part
        return data

    def send(self, ins, p1, p2, data=b""):
        answer, status = self.raw(bytes([0xE0, ins, p1, p2, len(data)]) + data)
        assert status == "9000", f"{ins:02x} {p1:02x}: {status}"
        return answer

    def open(self, issuer, static, role, root_signature, identifier):
        self.send(0x04, 2, 0, bytes.fromhex("33000004"))
        host_nonce = os.urandom(8)
        answer = self.send(0x50, 0, 0, host_nonce)
        assert answer[:4] == bytes([0, 0, 0, 1])
        device_nonce = answer[4:]
        ephemeral = ec.generate_private_key(ec.SECP256K1())
        self.send(0x51, 0, identifier, lv(public(static), root_signature))
        signed = bytes([role | 0x10]) + host_nonce + device_nonce + public(ephemeral)
        self.send(0x51, 0x80, identifier, lv(public(ephemeral), sign(static, signed)))
        sealed = self.send(0x52, 0, 0)
        _, self.ephemeral, signature = split(self.send(0x52, 0x80, 0), 3)
        self.channel = Channel(ephemeral, self.ephemeral)
        header, key, certificate = split(self.channel.open(sealed), 3)
        verify(b"\x02" + header + key, issuer, certificate)
        verify(b"\x12" + device_nonce + host_nonce + self.ephemeral, key, self.channel.open(signature))
        self.send(0x53, 0, 0)
        self.key = key

    def command(self, data):
        answer = self.send(0, 0, 0, self.channel.seal(data))
        return self.channel.open(answer) if answer else b""


class Provider:
    def __init__(self, row, root):
        self.row, self.name = row, row["name"].encode()
        self.static = private(row["key"])
        self.root = root

    def certificate(self, role, key, signer):
        body = bytes([1, role]) + lv(self.name, public(key))
        return body + lv(sign(signer, body))

    def meet(self, device, backup_id, flow, first):
        self.ephemeral = ec.generate_private_key(ec.SECP256K1())
        device.command(b"\xD5\x00" + self.certificate(4, self.static, self.root))
        device.command(b"\xD5\x80" + self.certificate(0x14, self.ephemeral, self.static))
        device.command(b"\xD6")
        self.channel = Channel(self.ephemeral, device.ephemeral)
        texts = [text.encode() for text in IDENTITY]
        if first:
            tagged = b"".join(bytes([0x20 + i]) + lv(text) for i, text in enumerate(texts[1:]))
            device.command(b"\xD4" + lv(self.channel.seal(backup_id + lv(texts[0]) + tagged + bytes([flow]))))
        bound = public(self.ephemeral) + backup_id + hashlib.sha256(b"".join(texts)).digest()
        return device.command(b"\xD7" + lv(self.channel.seal(hashlib.sha256(bound).digest())))


def backup(device, providers, backup_id):
    codes, index = [], []
    for number, provider in enumerate(providers, 1):
        assert provider.meet(device, backup_id, 0, number == 1) == b""
        codes.append(provider.channel.code())
        answer = device.command(b"\xD8\x00")
        words, message = answer[-1], provider.channel.open(answer[:-1])
        share, place, deletion = message[:96], int.from_bytes(message[96:100], "little"), message[100:165]
        commitments = device.command(b"\xD8\x01")
        assert read_point(device.command(b"\xD8\x10")) == Q, "another auxiliary point"
        assert message[165:] == hashlib.sha256(commitments).digest()
        assert place == number
        e0, e1 = read_point(commitments[:96]), read_point(commitments[96:])
        proof = commitment(share)
        assert read_point(proof) == add(e0, multiply(place, e1)), "the share does not fit its commitments"
        device.command(b"\xD9\x04" + lv(proof))
        device.command(b"\xD9\x03" + lv(provider.channel.seal(hashlib.sha256(proof).digest())))
        provider.row.update(share=share.hex(), index=place, deletion=deletion.hex(), commitments=commitments.hex(), words=words)
        index.append(place)
    return {"index": index, "code": codes[0], "words": providers[0].row["words"]}


def restore(device, providers, backup_id):
    confirmed = []
    for number, provider in enumerate((providers[0], providers[2]), 1):
        answer = provider.meet(device, backup_id, 0, number == 1)
        confirmed.append(provider.channel.open(answer).decode())
        row = provider.row
        share, commitments = bytes.fromhex(row["share"]), bytes.fromhex(row["commitments"])
        proof = commitment(share)
        device.command(b"\xD9\x02" + lv(commitments))
        device.command(b"\xD9\x04" + lv(proof))
        device.command(b"\xD9\x03" + lv(provider.channel.seal(hashlib.sha256(commitments + proof).digest())))
        words = 0 if row["words"] == 0x18 else row["words"]
        device.command(b"\xDA" + bytes([words]) + lv(provider.channel.seal(share + row["index"].to_bytes(4, "little"))))
    return {"confirmed": confirmed}


def delete(device, providers, backup_id):
    for number, provider in enumerate(providers, 1):
        provider.meet(device, backup_id, 1, number == 1)
        nonce = os.urandom(16)
        signature = provider.channel.open(device.command(b"\xDB" + lv(provider.channel.seal(nonce))))
        verify(nonce, bytes.fromhex(provider.row["deletion"]), signature)
        other = providers[number % 3].row["deletion"]
        try:
            verify(nonce, bytes.fromhex(other), signature)
            raise AssertionError("one deletion key at two providers")
        except InvalidSignature:
            pass
    return {"deleted": len(providers)}


def main():
    issuer, port, verb = bytes.fromhex(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    path = os.environ["RECOVER_HOST_STATE"]
    if not os.path.exists(path):
        fresh = lambda: f"{ec.generate_private_key(ec.SECP256K1()).private_numbers().private_value:064x}"
        rows = [{"name": f"Backup_{number}", "key": fresh()} for number in (1, 2, 3)]
        made = {"root": fresh(), "orchestrator": fresh(), "backupId": os.urandom(16).hex(), "providers": rows}
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            json.dump(made, file)
    with open(path) as file:
        state = json.load(file)
    root, orchestrator = private(state["root"]), private(state["orchestrator"])
    device = Device(port)
    if verb in ("enrol", "remove"):
        host = ec.generate_private_key(ec.SECP256K1())
        device.open(issuer, host, 0x01, sign(host, b"\x01" + public(host)), 0)
        device.command((b"\xD2" if verb == "enrol" else b"\xD3") + lv(b"Test root", public(root)))
        result = {}
    else:
        device.open(issuer, orchestrator, 0x05, sign(root, b"\x05" + public(orchestrator)), 1)
        providers = [Provider(row, root) for row in state["providers"]]
        flow = {"backup": backup, "restore": restore, "delete": delete}[verb]
        result = flow(device, providers, bytes.fromhex(state["backupId"]))
    with open(path, "w") as file:
        json.dump(state, file)
    print(json.dumps({"done": verb, **result}))


main()
