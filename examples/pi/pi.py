"""Computes digits of pi, one after the other, by Gibbons' spigot (Amer. Math. Monthly 113, 2006)."""

import os
import pathlib

DIGITS = int(os.environ.get("DIGITS", "6000"))
OUTPUT = pathlib.Path(os.environ.get("HEADRACE_OUTPUT_DIR", "."))


def digits() -> str:
    """The first DIGITS digits, without the point."""
    q, r, t, k, n, m = 1, 0, 1, 1, 3, 3
    found = ""
    while len(found) < DIGITS:
        if 4 * q + r - t < n * t:
            found += str(n)
            if len(found) % 200 == 0:
                print(f"{len(found)} of {DIGITS} digits", flush=True)
            q, r, n = 10 * q, 10 * (r - n * t), 10 * (3 * q + r) // t - 10 * n
        else:
            q, r, t, k, n, m = q * k, (2 * q + r) * m, t * m, k + 1, (q * (7 * k + 2) + r * m) // (t * m), m + 2
    return found


OUTPUT.mkdir(parents=True, exist_ok=True)
(OUTPUT / "pi.txt").write_text(digits() + "\n")
print("done", flush=True)
