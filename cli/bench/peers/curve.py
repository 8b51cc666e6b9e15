"""Curve arithmetic of the best software that Debian has: libsecp256k1 where it is installed, and OpenSSL (python3-cryptography).

Prints one JSON object: milliseconds of each operation, and which library it was."""

import ctypes
import ctypes.util
import json
import os
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


def median_ms(operation, rounds=60):
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        operation()
        times.append(time.perf_counter() - begun)
    return sorted(times)[rounds // 2] * 1000


def openssl(curve):
    key = ec.generate_private_key(curve)
    public, message = key.public_key(), bytes(80)
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    return {
        "publicKey": median_ms(lambda: ec.generate_private_key(curve)),
        "ecdh": median_ms(lambda: key.exchange(ec.ECDH(), public)),
        "verify": median_ms(lambda: public.verify(signature, message, ec.ECDSA(hashes.SHA256()))),
    }


def libsecp256k1():
    """Its three operations, through ctypes; None where it is not installed."""
    name = ctypes.util.find_library("secp256k1")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    for function in ("secp256k1_context_create",):
        getattr(library, function).restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.secp256k1_context_create(0x301))
    secret, digest = os.urandom(32), os.urandom(32)
    key, signature, shared = (ctypes.create_string_buffer(64) for _ in range(3))
    assert library.secp256k1_ec_pubkey_create(context, key, secret) == 1
    assert library.secp256k1_ecdsa_sign(context, signature, digest, secret, None, None) == 1
    assert library.secp256k1_ecdsa_verify(context, signature, digest, key) == 1
    timed = {
        "publicKey": median_ms(lambda: library.secp256k1_ec_pubkey_create(context, key, secret)),
        "verify": median_ms(lambda: library.secp256k1_ecdsa_verify(context, signature, digest, key)),
    }
    # The ECDH module is optional.
    if hasattr(library, "secp256k1_ecdh"):
        timed["ecdh"] = median_ms(lambda: library.secp256k1_ecdh(context, shared, key, secret, None, None))
    return timed


k256, p384 = openssl(ec.SECP256K1()), openssl(ec.SECP384R1())
native = libsecp256k1()
print(json.dumps({
    "secp256k1": {**k256, **(native or {})},
    "secp256k1By": "libsecp256k1" if native else "OpenSSL",
    "secp384r1": {"base": p384["publicKey"], "other": p384["ecdh"]},
    "secp384r1By": "OpenSSL",
}))
