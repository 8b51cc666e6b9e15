"""Checks checkpoints, cosignatures and evidence with python3-cryptography, written from the C2SP texts (signed-note,
tlog-checkpoint, tlog-cosignature) and RFC 6962. Nothing of it is shared with the program that it checks.

    witness_check.py checkpoint NOTE LOG_VKEY WITNESS_VKEY    prints origin, size and the cosignature's time
    witness_check.py evidence FILE LOG_VKEY                   prints what is proven; exit code 1 when nothing is
"""

import base64
import hashlib
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def read_vkey(text):
    """Name, key ID, type and public key of <name>+<hex key ID>+<base64(type || key)>."""
    name, key_id, material = text.split("+", 2)
    data = base64.b64decode(material, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    assert expected.hex() == key_id, "the key ID is not that of name and key"
    return name, expected, data[0], Ed25519PublicKey.from_public_bytes(data[1:])


def signed_by(note, vkey):
    """Verifies the note's line of that key; the cosignature's time, or None for a log's signature."""
    name, key_id, kind, key = read_vkey(vkey)
    end = note.rindex("\n\n")
    body, lines = note[: end + 1], note[end + 2 :].split("\n")
    assert lines.pop() == "", "the last line has no newline"
    found = []
    for line in lines:
        dash, line_name, encoded = line.split(" ")
        assert dash == "\u2014"
        data = base64.b64decode(encoded, validate=True)
        if line_name == name and data[:4] == key_id:
            found.append(data[4:])
    assert len(found) == 1, f"{len(found)} signatures of {name}"
    if kind == 1:
        key.verify(found[0], body.encode())
        return None
    assert kind == 4 and len(found[0]) == 72
    (time,) = struct.unpack(">Q", found[0][:8])
    key.verify(found[0][8:], f"cosignature/v1\ntime {time}\n{body}".encode())
    return time


def read_checkpoint(note):
    origin, size, root = note[: note.rindex("\n\n") + 1].split("\n")[:3]
    assert size == str(int(size)) and int(size) >= 0
    digest = base64.b64decode(root, validate=True)
    assert len(digest) == 32
    return origin, int(size), digest


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots_of_proof(proof, first, second, first_root):
    """Both roots that SUBPROOF(first, D[second]) of RFC 6962, 2.1.2 leads to, by its own recursion."""
    rest = list(proof)

    def walk(m, n, whole):
        if m == n:
            return (first_root, first_root) if whole else (lambda h: (h, h))(rest.pop(0))
        k = 1
        while k * 2 < n:
            k *= 2
        if m <= k:
            old, new = walk(m, k, whole)
            return old, node(new, rest.pop(0))
        old, new = walk(m - k, n - k, False)
        left = rest.pop(0)
        return node(left, old), node(left, new)

    roots = walk(first, second, True)
    assert not rest, "the proof is too long"
    return roots


def judge(evidence, vkey):
    notes = [evidence["first"], evidence["second"]]
    for note in notes:
        signed_by(note, vkey)
    (origin_a, size_a, root_a), (origin_b, size_b, root_b) = map(read_checkpoint, notes)
    assert origin_a == origin_b == evidence["origin"], "two logs"
    if evidence["kind"] == "two-roots":
        assert size_a == size_b and root_a != root_b, "no two roots of one size"
    elif evidence["kind"] == "other-history":
        other = base64.b64decode(evidence["rootInSecond"], validate=True)
        proof = [base64.b64decode(line, validate=True) for line in evidence["proof"]]
        assert 0 < size_a < size_b and other != root_a
        assert roots_of_proof(proof, size_a, size_b, other) == (other, root_b), "the proof does not lead there"
    else:
        raise AssertionError("this kind proves nothing by itself")
    return {"kind": evidence["kind"], "origin": origin_a, "sizes": [size_a, size_b]}


def main():
    verb, path, log_vkey, *more = sys.argv[1:]
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        if verb == "checkpoint":
            origin, size, _ = read_checkpoint(text)
            signed_by(text, log_vkey)
            print(json.dumps({"origin": origin, "size": size, "time": signed_by(text, more[0])}))
        else:
            print(json.dumps(judge(json.loads(text), log_vkey)))
    except (AssertionError, InvalidSignature, ValueError, IndexError) as error:
        print(f"not proven: {type(error).__name__} {error}")
        sys.exit(1)


main()
