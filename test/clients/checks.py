# What the checks of Python's clients share: a seed that is printed, a count, codes of many lengths.
import random
import sys

seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6)
print("seed", seed)
random.seed(seed)
passed = failed = 0


def check(name, good):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED:", name)


def sizes():
    """Numbers of bytes: the edges, and some at random."""
    return [1, 2, 7, 8, 9, 16, 32, 128, 2048] + [random.randrange(1, 2049) for _ in range(20)]


def digits(code):
    return "".join(format(byte, "08b") for byte in code)


def distance(a, b):
    return sum((x ^ y).bit_count() for x, y in zip(a, b))


def finish(client):
    print(f"{client}: {passed} passed, {failed} failed")
    sys.exit(failed > 0)
