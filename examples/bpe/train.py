"""Trains a byte-pair tokenizer, and goes on from its checkpoint wherever it is started again.

Input: every text under CORPUS (default: the licence texts of the base system). Output: tokenizer.json with the merges
in order, and the corpus's length in tokens after them. Integers only, so the result is the same on every machine.
"""

import json
import os
import pathlib
import re
import signal
import sys
from collections import Counter
from itertools import pairwise

SAVED = 85  # The contract's "saved; start me again".
CORPUS = pathlib.Path(os.environ.get("CORPUS", "/usr/share/common-licenses"))
MERGES = int(os.environ.get("MERGES", "1500"))
CHECKPOINT = pathlib.Path(os.environ.get("HEADRACE_CHECKPOINT_DIR", "checkpoint")) / "state.json"
OUTPUT = pathlib.Path(os.environ.get("HEADRACE_OUTPUT_DIR", "output"))
SAVE_EVERY = 50

leave = False


def asked_to_leave(_signal: int, _frame: object) -> None:
    """Notes the request: the loop saves between two merges."""
    global leave  # noqa: PLW0603
    leave = True


def words() -> dict[str, list]:
    """The distinct words of the corpus as byte values, each with how often it stands there."""
    counts: Counter[bytes] = Counter()
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and not path.is_symlink():
            counts.update(re.findall(rb"\s*\S+", path.read_bytes()))
    return {"words": [list(word) for word in counts], "counts": list(counts.values())}


def write(path: pathlib.Path, value: object) -> None:
    """Writes aside, then renames: whoever looks finds the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    with aside.open("w") as file:
        json.dump(value, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def best_pair(state: dict) -> tuple[int, int] | None:
    """The most frequent neighbours; of equals, the smallest."""
    pairs: Counter[tuple[int, int]] = Counter()
    for word, count in zip(state["words"], state["counts"], strict=True):
        for pair in pairwise(word):
            pairs[pair] += count
    return min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)


def merged(word: list[int], pair: tuple[int, int], token: int) -> list[int]:
    """The word with every occurrence of the pair as one token."""
    found: list[int] = []
    at = 0
    while at < len(word):
        if at + 1 < len(word) and (word[at], word[at + 1]) == pair:
            found.append(token)
            at += 2
        else:
            found.append(word[at])
            at += 1
    return found


def main() -> int:
    """Trains until done or asked to leave."""
    signal.signal(signal.SIGTERM, asked_to_leave)
    arch, epoch = os.environ.get("HEADRACE_ARCH", "?"), os.environ.get("HEADRACE_EPOCH", "?")
    if CHECKPOINT.exists():
        state = json.loads(CHECKPOINT.read_text())
        print(f"epoch {epoch} on {arch}: goes on after merge {len(state['merges'])}", flush=True)
    else:
        state = {**words(), "merges": []}
        print(f"epoch {epoch} on {arch}: starts with {len(state['words'])} words", flush=True)
    while len(state["merges"]) < MERGES:
        pair = best_pair(state)
        if pair is None:
            break
        token = 256 + len(state["merges"])
        state["words"] = [merged(word, pair, token) if pair[0] in word else word for word in state["words"]]
        state["merges"].append(pair)
        if len(state["merges"]) % 25 == 0:
            print(f"merge {len(state['merges'])} of {MERGES}: {pair}", flush=True)
        if leave:
            write(CHECKPOINT, state)
            print(f"saved after merge {len(state['merges'])}", flush=True)
            return SAVED
        if len(state["merges"]) % SAVE_EVERY == 0:
            write(CHECKPOINT, state)
    # Done: a SIGTERM now, even while the interpreter winds up, must not turn this into an end by a signal.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tokens = sum(len(word) * count for word, count in zip(state["words"], state["counts"], strict=True))
    write(OUTPUT / "tokenizer.json", {"merges": state["merges"], "tokens": tokens})
    print(f"done: {len(state['merges'])} merges, {tokens} tokens", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
