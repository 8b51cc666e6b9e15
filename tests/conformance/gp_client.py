"""An independent GlobalPlatform client: PC/SC by pyscard, AES by OpenSSL through cryptography, and no code of this project.

Usage: gp_client.py READER walk LOAD-FILE    (the load file data block of a CAP as a file)
       gp_client.py READER list | install CAP | delete PACKAGE-AID
       gp_client.py READER upgrade PLAN      (JSON: what gp_client_upgrade.py says)
       gp_client.py READER upgrade-blank OLD-CAP NEW-CAP [DOMAIN-AID]
walk lists, loads, installs, lists, deletes, changes the keys and back, locks and unlocks the card; prints one JSON line with
the status words. upgrade replaces the applet's package, its data kept. upgrade-blank
installs a package through the issuer domain and upgrades it, through that domain or another one. The others do one thing, to be timed beside other tools. Keys are the published test keys 40..4F.
SCP03: GPC Amendment D, sections 4.1.5 and 6.2.
"""

import json
import os
import sys
import time
import zipfile

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from smartcard.Exceptions import CardConnectionException, NoCardException
from smartcard.System import readers

TEST_KEY = bytes(range(0x40, 0x50))
ISD = bytes.fromhex("A000000151000000")
PACKAGE = bytes.fromhex("A0000000624C4544474552303100")
APPLET = bytes.fromhex("A0000000624C45444745523031")


def cbc(key, iv, data, encrypt=True):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    step = cipher.encryptor() if encrypt else cipher.decryptor()
    return step.update(data) + step.finalize()


def cmac(key, data):
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def derive(key, constant, bits, context):
    blocks = b""
    for counter in range(1, (bits + 127) // 128 + 1):
        label = bytes(11) + bytes([constant, 0]) + bits.to_bytes(2, "big") + bytes([counter])
        blocks += cmac(key, label + context)
    return blocks[: bits // 8]


def pad(data):
    data += b"\x80"
    return data + bytes(-len(data) % 16)


class Card:
    """A card with an SCP03 channel: level 33, or 01 (C-MAC alone)."""

    def __init__(self, reader):
        self.connection = next(r for r in readers() if str(r) == reader).createConnection()
        for attempt in range(80):
            try:
                return self.connection.connect()
            except (NoCardException, CardConnectionException):
                # pcscd has powered the card and does not list it yet.
                if attempt == 79:
                    raise
                time.sleep(0.25)

    def raw(self, apdu):
        data, sw1, sw2 = self.connection.transmit(list(apdu))
        return bytes(data), sw1 << 8 | sw2

    def open(self, keys, version, aid=ISD, level=0x33):
        _, status = self.raw(bytes([0, 0xA4, 4, 0, len(aid)]) + aid + b"\0")
        assert status in (0x9000, 0x6283), hex(status)
        self.level = level
        host = os.urandom(8)
        answer, status = self.raw(bytes([0x80, 0x50, version, 0, 8]) + host + b"\0")
        assert status == 0x9000, hex(status)
        challenge, cryptogram = answer[13:21], answer[21:29]
        context = host + challenge
        enc, mac, self.dek = keys
        bits = len(enc) * 8
        self.enc, self.mac, self.rmac = derive(enc, 4, bits, context), derive(mac, 6, bits, context), derive(mac, 7, bits, context)
        assert derive(self.mac, 0, 64, context) == cryptogram, "card cryptogram"
        self.chaining, self.counter = bytes(16), 0
        command = bytes([0x84, 0x82, level, 0, 16]) + derive(self.mac, 1, 64, context)
        self.chaining = cmac(self.mac, self.chaining + command)
        _, status = self.raw(command + self.chaining[:8])
        return status

    def send(self, cla, ins, p1, p2, data=b""):
        """One command; class 08 of the applet is authenticated as 84 is."""
        self.counter += 1
        block = self.counter.to_bytes(16, "big")
        if data and self.level & 2:
            data = cbc(self.enc, cbc(self.enc, bytes(16), block), pad(data))
        command = bytes([0x84, ins, p1, p2, len(data) + 8]) + data
        self.chaining = cmac(self.mac, self.chaining + command)
        answer, status = self.raw(bytes([cla if cla == 8 else 0x84]) + command[1:] + self.chaining[:8])
        if status not in (0x9000, 0x6310) or not answer or not self.level & 0x10:
            return answer, status
        answer, received = answer[:-8], answer[-8:]
        expected = cmac(self.rmac, self.chaining + answer + status.to_bytes(2, "big"))[:8]
        assert expected == received, "R-MAC"
        if answer:
            icv = cbc(self.enc, bytes(16), b"\x80" + block[1:])
            answer = cbc(self.enc, icv, answer, False).rstrip(b"\0")[:-1]
        return answer, status


def registry(card):
    found = []
    for scope in (0x80, 0x40, 0x20, 0x10):
        data, status = card.send(0x80, 0xF2, scope, 2, b"\x4F\x00")
        assert status in (0x9000, 0x6A88), hex(status)
        while data:
            assert data[0] == 0xE3
            entry, data = data[2 : 2 + data[1]], data[2 + data[1] :]
            found.append(entry[2 : 2 + entry[1]].hex().upper())
    return sorted(set(found))


def put_keys(card, version, new_version, keys):
    body = bytes([new_version])
    for key in keys:
        check = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(b"\x01" * 16)[:3]
        sealed = cbc(card.dek, bytes(16), key)
        body += bytes([0x88, len(sealed) + 1, len(key)]) + sealed + b"\x03" + check
    return card.send(0x80, 0xD8, version, 0x81, body)[1]


# Components in the order in which a load file has them. Java Card Virtual Machine Specification 3.0.5, 6.2.
COMPONENTS = ("Header", "Directory", "Import", "Applet", "Class", "Method", "StaticField", "Export", "ConstantPool", "RefLocation")


def read_cap(path):
    """Load file data block, package AID and applet AIDs of a CAP file."""
    with zipfile.ZipFile(path) as archive:
        members = {name.rsplit("/", 1)[-1].removesuffix(".cap"): name for name in archive.namelist()}
        parts = {part: archive.read(members[part]) for part in COMPONENTS if part in members}
    header, applet = parts["Header"], parts["Applet"]
    applets, at = [], 4
    for _ in range(applet[3]):
        applets.append(applet[at + 1 : at + 1 + applet[at]])
        at += 1 + applet[at] + 2
    return b"".join(parts.values()), header[13 : 13 + header[12]], applets


def load(card, package, block):
    """INSTALL [for load] and LOAD; the two status words."""
    first = card.send(0x80, 0xE6, 2, 0, bytes([len(package)]) + package + bytes([len(ISD)]) + ISD + bytes(3))[1]
    length = len(block)
    tagged = b"\xC4" + (bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")) + block
    blocks = [tagged[i : i + 223] for i in range(0, len(tagged), 223)]
    for number, part in enumerate(blocks):
        last = number == len(blocks) - 1
        status = card.send(0x80, 0xE8, 0x80 if last else 0, number, part)[1]
    return first, status


def install(card, package, applet):
    data = b"".join(bytes([len(x)]) + x for x in (package, applet, applet, b"\0", b"\xC9\x00")) + b"\0"
    return card.send(0x80, 0xE6, 0x0C, 0, data)[1]


def delete(card, aid):
    return card.send(0x80, 0xE4, 0, 0x80, b"\x4F" + bytes([len(aid)]) + aid)[1]


def one(reader, verb, *arguments):
    card = Card(reader)
    words = [card.open((TEST_KEY, TEST_KEY, TEST_KEY), 0)]
    if verb == "list":
        print("\n".join(registry(card)))
    elif verb == "install":
        block, package, applets = read_cap(arguments[0])
        words += load(card, package, block)
        words += [install(card, package, applet) for applet in applets]
    elif verb == "delete":
        words.append(delete(card, bytes.fromhex(arguments[0])))
    else:
        sys.exit(__doc__)
    if any(word != 0x9000 for word in words):
        sys.exit(" ".join(f"{word:04X}" for word in words))


def main():
    reader, verb, *arguments = sys.argv[1:]
    if verb == "upgrade":
        from gp_client_upgrade import upgrade

        with open(arguments[0], encoding="utf-8") as file:
            return print(json.dumps(upgrade(Card(reader), json.load(file))))
    if verb == "upgrade-blank":
        from gp_client_upgrade import upgrade_blank

        old, new, *domain = arguments
        return print(json.dumps(upgrade_blank(Card(reader), old, new, bytes.fromhex(domain[0]) if domain else ISD)))
    if verb != "walk":
        return one(reader, verb, *arguments)
    with open(arguments[0], "rb") as file:
        block = file.read()
    card = Card(reader)
    test = (TEST_KEY, TEST_KEY, TEST_KEY)
    result = {"open": card.open(test, 0x30), "before": registry(card)}

    result["installForLoad"], result["load"] = load(card, PACKAGE, block)
    result["install"] = install(card, PACKAGE, APPLET)
    result["installed"] = registry(card)
    result["delete"] = delete(card, PACKAGE)
    result["after"] = registry(card)

    fresh = tuple(os.urandom(16) for _ in range(3))
    result["putKey"] = put_keys(card, 0x30, 0x31, fresh)
    result["openWithNew"] = card.open(fresh, 0x31)
    result["putKeyBack"] = put_keys(card, 0x31, 0x30, test)
    result["openWithOld"] = card.open(test, 0x30)

    # OP_READY, INITIALIZED, SECURED, CARD_LOCKED and back. GPC 2.3.1, 5.1.1 and 11.10.
    result["states"] = [card.send(0x80, 0xF0, 0x80, state)[1] for state in (0x07, 0x0F, 0x7F)]
    result["openLocked"] = card.open(test, 0x30)
    result["unlock"] = card.send(0x80, 0xF0, 0x80, 0x0F)[1]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
