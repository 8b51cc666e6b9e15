"""A proxy between a vpcd reader and a virtual card that loses, delays, shortens and closes, by a seed.

Nothing of the product's code is used here: the proxy knows the driver's framing (a length of 2 bytes, big-endian, before
each message; one byte is control, more is an APDU) and nothing of what the messages say.

    tear_proxy.py HOST:PORT SEED

It listens on a free port of the loopback interface for the card and prints {"port": N} as its first line, then one JSON
line for each thing that it did. A line `clean` on its standard input: from now on it only passes on. It ends when its
standard input ends. Never two connections in a row are hurt, so that a card that is presented again gets through.
"""

import json
import random
import socket
import sys
import threading
import time

# pcscd polls for presence: a card that is away for less is not seen as removed. Seconds.
AWAY = 1.7
# A delay hurts nobody, and is tried the least.
KINDS = ("drop-command", "drop-answer", "cut-answer", "short-answer") * 2 + ("delay",)
# APDUs of one presentation among which the fault falls.
APDUS = 69


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data


def read_frame(connection):
    head = read_exactly(connection, 2)
    return read_exactly(connection, int.from_bytes(head, "big"))


def frame(message):
    return len(message).to_bytes(2, "big") + message


class Proxy:
    def __init__(self, reader, seed):
        self.reader = reader
        self.random = random.Random(seed)
        self.clean = False
        self.hurt_last = False
        self.empty_since = 0.0

    def say(self, **what):
        print(json.dumps(what), flush=True)

    def plan(self):
        """What to do to the next connection: a kind and the APDU at which it happens, or nothing."""
        hurt = not self.clean and not self.hurt_last and self.random.random() < 0.9
        self.hurt_last = hurt
        return (self.random.choice(KINDS), self.random.randrange(APDUS)) if hurt else None

    def serve(self, card):
        card.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(max(0.0, self.empty_since + AWAY - time.monotonic()))
        reader = socket.create_connection(self.reader)
        reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plan = self.plan()
        # The card's end must be noticed even while the driver asks nothing.
        threading.Thread(target=self.watch, args=(card, reader), daemon=True).start()
        count = 0
        try:
            while True:
                message = read_frame(reader)
                is_apdu = len(message) > 1
                here = plan is not None and is_apdu and count == plan[1]
                count += is_apdu
                if here:
                    self.say(did=plan[0], apdu=plan[1])
                if here and plan[0] == "drop-command":
                    return
                card.sendall(frame(message))
                if not is_apdu and message != b"\x04":
                    continue  # power and reset have no answer
                answer = read_frame(card)
                if here and plan[0] == "drop-answer":
                    return
                if here and plan[0] == "cut-answer":
                    reader.sendall(frame(answer)[:-1])
                    return
                if here and plan[0] == "short-answer":
                    answer = answer[:-1]
                if here and plan[0] == "delay":
                    time.sleep(self.random.uniform(0.2, 1.0))
                reader.sendall(frame(answer))
        except (ConnectionError, OSError):
            pass
        finally:
            card.close()
            reader.close()
            self.empty_since = time.monotonic()

    def watch(self, card, reader):
        """Ends the connection to the reader when the card has gone."""
        while True:
            try:
                if card.recv(1, socket.MSG_PEEK) == b"":
                    reader.shutdown(socket.SHUT_RDWR)
                    return
            except OSError:
                return
            time.sleep(0.05)

    def orders(self):
        for line in sys.stdin:
            if line.strip() == "clean":
                self.clean = True
                self.say(clean=True)

    def run(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.say(port=listener.getsockname()[1])

        def accept():
            while True:
                self.serve(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        self.orders()


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    Proxy((host, int(port)), sys.argv[2]).run()
