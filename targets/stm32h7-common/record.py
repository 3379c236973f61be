"""Stores what firmware with the feature `pairs` sends as vis/NN.png and ir/NN.png, one pair in two seconds.

Usage: python3 record.py [PAIRS] < /dev/ttyACM0
"""

import re
import struct
import sys
import zlib
from pathlib import Path

# Pairs that come in two seconds.
EVERY = 18
# Headers as the firmware writes them.
VISIBLE = re.compile(rb"P6\n# status [0-9a-f]{8}\n(\d+) (\d+)\n255\n$")
INFRARED = re.compile(rb"P5\n(\d+) (\d+)\n65535\n$")


def read(stream, count):
    """Exactly so many bytes."""
    data = stream.read(count)
    if len(data) < count:
        sys.exit("the stream ended: is the board connected, and does its firmware have the feature `pairs`?")
    return data


def image(stream, header, sample_bytes):
    """Width, height and rows of the next image; what comes before its header is passed over."""
    text = b""
    while not (found := header.search(text)):
        text = (text + read(stream, 1))[-64:]
    width, height = map(int, found.groups())
    return width, height, [read(stream, width * sample_bytes) for _ in range(height)]


def png(width, height, rows, depth, colour):
    """The file of an image of `depth` bits a sample; colour type 0 is grey, 2 is RGB."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def main():
    """Reads standard input."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    for folder in ("vis", "ir"):
        Path(folder).mkdir(exist_ok=True)
    for number in range(pairs * EVERY):
        visible = image(sys.stdin.buffer, VISIBLE, 3)
        infrared = image(sys.stdin.buffer, INFRARED, 2)
        if number % EVERY == 0:
            name = f"{number // EVERY:02}.png"
            Path("vis", name).write_bytes(png(*visible, 8, 2))
            Path("ir", name).write_bytes(png(*infrared, 16, 0))
            print(name, flush=True)


if __name__ == "__main__":
    main()
