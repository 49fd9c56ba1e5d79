# Hashes drawings: a dHash of 64 bits of each, rendered in three sizes by rsvg-convert.  Prints CSV:
# the drawing, the width, the hash as hexadecimal digits, as a signed and an unsigned number, as
# base64, and as bits.  Arguments: how many drawings, where they are; without the second, or with
# an empty folder, drawings are made up.
import base64
import random
import subprocess
import sys
import zlib
from pathlib import Path

import numpy


def pixels(png):
    """The grey values of a PNG of 8 bits a channel, not interlaced, as rsvg-convert writes it, on white."""
    place, packed = 8, b""
    while place < len(png):
        length, kind = int.from_bytes(png[place:place + 4], "big"), png[place + 4:place + 8]
        data, place = png[place + 8:place + 8 + length], place + 12 + length
        if kind == b"IHDR":
            width, height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
            depth, channels, interlaced = data[8], {2: 3, 6: 4}[data[9]], data[12]
            assert (depth, interlaced) == (8, 0)
        elif kind == b"IDAT":
            packed += data
    raw, rows = zlib.decompress(packed), []
    previous, stride = [0] * (width * channels), width * channels + 1
    for y in range(height):
        method, row = raw[y * stride], list(raw[y * stride + 1:(y + 1) * stride])
        for i in range(len(row)):
            left, up = row[i - channels] if i >= channels else 0, previous[i]
            corner = previous[i - channels] if i >= channels else 0
            estimate = left + up - corner
            nearest = min((left, up, corner), key=lambda value: abs(estimate - value))
            row[i] = row[i] + (0, left, up, (left + up) // 2, nearest)[method] & 255
        rows.append(row)
        previous = row
    image = numpy.array(rows, float).reshape(height, width, channels)
    grey = image[:, :, :3] @ [0.299, 0.587, 0.114]
    return grey if channels == 3 else 255 - (255 - grey) * image[:, :, 3] / 255


def dhash(grey):
    """64 bits: is a field of 8 rows of 9 darker than the one right of it?"""
    fields = numpy.array([[field.mean() for field in numpy.array_split(band, 9, axis=1)] for band in numpy.array_split(grey, 8)])
    return numpy.packbits(fields[:, :-1] < fields[:, 1:] - 0.5).tobytes()


def made_up():
    shapes = "".join(
        f'<ellipse cx="{random.randrange(100)}" cy="{random.randrange(100)}" rx="{random.randrange(5, 40)}" ry="{random.randrange(5, 40)}" '
        f'fill="rgb({random.randrange(256)},{random.randrange(256)},{random.randrange(256)})"/>'
        for _ in range(12))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="100" height="100">{shapes}</svg>'.encode()


def drawings(count, folder):
    found = sorted(Path(folder).rglob("*.svg")) if folder else []
    for path in random.sample(found, min(len(found), 2 * count)):
        # Some of thousands are large, or empty.
        if path.stat().st_size < 100_000:
            yield path.read_bytes()
    for _ in range(0 if found else count):
        yield made_up()


def render(svg, width):
    command = ["rsvg-convert", "--width", str(width), "--height", str(width), "--background-color", "white"]
    return subprocess.run(command, input=svg, capture_output=True, check=True, timeout=60).stdout


def main(count, folder):
    number = 0
    for svg in drawings(count, folder):
        try:
            hashes = [dhash(pixels(render(svg, width))) for width in (90, 72, 54)]
        except subprocess.SubprocessError:
            continue
        for width, code in zip((90, 72, 54), hashes):
            signed, unsigned = int.from_bytes(code, "big", signed=True), int.from_bytes(code, "big")
            print(number, width, code.hex(), signed, unsigned, base64.b64encode(code).decode(), f"{unsigned:064b}", sep=",")
        number += 1
        if number == count:
            break


if __name__ == "__main__":
    seed = random.randrange(10**6)
    print("seed", seed, file=sys.stderr)
    random.seed(seed)
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
