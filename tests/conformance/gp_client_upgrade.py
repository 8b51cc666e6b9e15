"""The upgrade verb of gp_client.py: GPC Amendment H from outside, no code of this project.

The plan: `host` { serial, key, signature } a wallet's identity, `applet` and `package` AIDs, `pin` digits, `channelKey` of the
applet's channel, `domain` AID that may upgrade, `upgradeKey` and `upgradeVersion` of it, `loadFile` path of the new load file
data block, `torn` number of LOAD blocks after which power is lost once. All hex but pin, version, path and number.
"""

import hashlib
import hmac
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# secp256k1, SEC 2 section 2.4.1.
P = 2**256 - 2**32 - 977
STATUS = {1: "completed", 2: "waiting-for-elf", 3: "waiting-for-restore"}


def add(a, b):
    """Adds two points; the card's session keys need both coordinates of the shared one."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(scalar, point):
    result = None
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def point_of(key):
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def prefixed(*fields):
    return b"".join(bytes([len(field)]) + field for field in fields)


def fields_of(data):
    found = []
    while data:
        found.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return found


def authorize(card, plan):
    """Mutual authentication with the applet, then REQUEST UPGRADE with the PIN. Returns the last status word."""
    from gp_client import cbc, pad

    key = bytes.fromhex(plan["channelKey"])
    assert card.open((key, key, key), 0, bytes.fromhex(plan["applet"])) == 0x9000
    serial, signature = bytes.fromhex(plan["host"]["serial"]), bytes.fromhex(plan["host"]["signature"])
    static = ec.derive_private_key(int(plan["host"]["key"], 16), ec.SECP256K1())
    ephemeral = ec.generate_private_key(ec.SECP256K1())
    host = os.urandom(8)
    certificate, status = card.send(8, 0x52, 0, 0, host)
    assert status == 0x9000, hex(status)
    at = certificate.index(bytes([0x20, 4]))
    card_serial = certificate[at + 2 : at + 6]
    answer, status = card.send(8, 0x52, 0x80, 0)
    assert status == 0x9000, hex(status)
    challenge, card_point, _ = fields_of(answer)
    _, status = card.send(8, 0x51, 0, 0, prefixed(serial, point_of(static), signature))
    assert status == 0x9000, hex(status)
    proof = static.sign(b"\x12" + host + challenge + point_of(ephemeral), ECDSA(hashes.SHA256()))
    _, status = card.send(8, 0x51, 0x80, 0, b"\0" + prefixed(point_of(ephemeral), proof))
    assert status == 0x9000, hex(status)

    theirs = int.from_bytes(card_point[1:33], "big"), int.from_bytes(card_point[33:], "big")
    x, y = multiply(ephemeral.private_numbers().private_value, theirs)
    shared = b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    info = b"\1\0" + prefixed(host, challenge, serial, card_serial)
    encryption = hashlib.sha256(bytes(4) + shared + info).digest()
    mac = hashlib.sha256(b"\0\0\0\1" + shared + info).digest()[:8]
    iv = os.urandom(16)
    pin = bytes(int(digit) for digit in plan["pin"])
    sealed = cbc(encryption, iv, pad(prefixed(pin)))
    capsule = b"\x10" + iv + prefixed(sealed) + b"\x20" + hmac.new(mac, sealed, "sha256").digest()
    return card.send(8, 0xE5, 0, 0, capsule)[1]


def manage(card, p1, data=b""):
    """MANAGE ELF UPGRADE: status of the session, or the status word of a refusal."""
    answer, word = card.send(0x80, 0xEA, p1, 0, data)
    if word != 0x9000:
        return f"{word:04X}"
    session = fields_of(answer)[1]
    assert session[0] == 0xA1 and session[2:4] == b"\x90\x01", session.hex()
    return STATUS.get(session[4], f"{session[4]:02X}")


def upgrade(card, plan):
    domain, package = bytes.fromhex(plan["domain"]), bytes.fromhex(plan["package"])
    keys = (bytes.fromhex(plan["upgradeKey"]),) * 3
    start = b"\x4F" + bytes([len(package)]) + package + b"\x80\x01\x00"
    start = b"\xA1" + bytes([len(start)]) + start

    def session():
        assert card.open(keys, plan["upgradeVersion"], domain, 0x01) == 0x9000

    result = {}
    session()
    result["before"] = manage(card, 8)
    result["startWithoutPin"] = manage(card, 1, start)
    result["requestUpgrade"] = f"{authorize(card, plan):04X}"
    session()
    result["start"] = manage(card, 1, start)

    with open(plan["loadFile"], "rb") as file:
        content = file.read()
    length = len(content)
    tagged = b"\xC4" + (b"\x82" + length.to_bytes(2, "big") if length > 255 else b"\x81" + bytes([length])) + content
    blocks = [tagged[i : i + 230] for i in range(0, length + 4, 230)]
    assert plan["torn"] < len(blocks)
    announce = prefixed(package, b"", hashlib.sha256(content).digest(), b"", b"")
    for attempt in (0, 1):
        word = card.send(0x80, 0xE6, 2, 0, announce)[1]
        assert word == 0x9000, hex(word)
        for number, block in enumerate(blocks):
            if attempt == 0 and number == plan["torn"]:
                card.connection.disconnect()
                card.connection.connect()
                session()
                result["afterPowerLoss"] = manage(card, 8)
                break
            word = card.send(0x80, 0xE8, 0x80 if number == len(blocks) - 1 else 0, number, block)[1]
            assert word == 0x9000, (number, hex(word))
    result["loaded"] = manage(card, 8)
    result["resume"] = manage(card, 2)
    result["again"] = manage(card, 2)
    result["abort"] = manage(card, 4)
    result["requestUpgradeAfterwards"] = f"{authorize(card, plan):04X}"
    return result


def upgrade_blank(card, old, new, domain):
    """A card that came without options: nothing on it is personalized, so no PIN is asked. Every status word and answer."""
    from gp_client import ISD, TEST_KEY, install, load, read_cap

    keys = (TEST_KEY,) * 3
    block, package, applets = read_cap(old)
    assert card.open(keys, 0, ISD) == 0x9000
    assert load(card, package, block) == (0x9000, 0x9000)
    assert install(card, package, applets[0]) == 0x9000

    def version():
        assert card.raw(bytes([0, 0xA4, 4, 0, len(applets[0])]) + applets[0])[1] == 0x9000
        status, word = card.raw(bytes.fromhex("08F20000"))
        assert word == 0x9000, hex(word)
        at = status.index(b"\x03\x03") + 2
        return ".".join(str(part) for part in status[at : at + 3])

    result = {"from": version()}
    assert card.open(keys, 0, domain, 0x01) == 0x9000
    result["none"] = manage(card, 8)
    named = b"\x4F" + prefixed(package) + b"\x80\x01\x00"
    result["start"] = manage(card, 1, b"\xA1" + prefixed(named))
    block, package, _ = read_cap(new)
    announce = prefixed(package, b"", hashlib.sha256(block).digest(), b"", b"")
    assert card.send(0x80, 0xE6, 2, 0, announce)[1] == 0x9000
    tagged = b"\xC4\x82" + len(block).to_bytes(2, "big") + block
    parts = [tagged[at : at + 230] for at in range(0, len(tagged), 230)]
    for number, part in enumerate(parts):
        assert card.send(0x80, 0xE8, 0x80 if number == len(parts) - 1 else 0, number, part)[1] == 0x9000
    result["loaded"] = manage(card, 8)
    result["resume"] = manage(card, 2)
    result["to"] = version()
    return result
