"""Trains a model that guesses the next byte of a text, by stochastic gradient descent in NumPy.

Saves parameters, step and the state of the random generator, so that a run that moved sees the same batches as one
that did not. SIGTERM: save and leave with 85. SIGUSR1: save and go on. The result declares the tolerance within which
runs on different processors agree.
"""

import json
import os
import pathlib
import signal
import sys

import numpy as np

SAVED = 85
CORPUS = pathlib.Path(os.environ.get("CORPUS", "/usr/share/common-licenses"))
STEPS = int(os.environ.get("STEPS", "3000"))
CHECKPOINT = pathlib.Path(os.environ.get("HEADRACE_CHECKPOINT_DIR", "checkpoint")) / "model.npz"
OUTPUT = pathlib.Path(os.environ.get("HEADRACE_OUTPUT_DIR", "output")) / "result.json"
TOLERANCE = 1e-6
CONTEXT, WIDTH, BATCH, RATE = 4, 32, 64, 0.2

asked: set[int] = set()


def corpus() -> np.ndarray:
    """The bytes of every text under CORPUS, in the order of their names."""
    paths = [path for path in sorted(CORPUS.rglob("*")) if path.is_file() and not path.is_symlink()]
    return np.frombuffer(b"".join(path.read_bytes() for path in paths), dtype=np.uint8)


def save(step: int, parameters: dict[str, np.ndarray], random: np.random.Generator) -> None:
    """Writes aside, then renames."""
    CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
    aside = CHECKPOINT.with_name("new-model.npz")
    with aside.open("wb") as file:
        np.savez(file, step=step, random=json.dumps(random.bit_generator.state), **parameters)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(CHECKPOINT)
    print(f"saved at step {step}", flush=True)


def start() -> tuple[int, dict[str, np.ndarray], np.random.Generator]:
    """Where the checkpoint is, or the beginning."""
    random = np.random.Generator(np.random.PCG64(1))
    if not CHECKPOINT.exists():
        embedding = random.normal(0, 0.1, (256, WIDTH))
        return 0, {"embedding": embedding, "weights": random.normal(0, 0.1, (CONTEXT * WIDTH, 256))}, random
    with np.load(CHECKPOINT) as saved:
        random.bit_generator.state = json.loads(str(saved["random"]))
        return int(saved["step"]), {name: saved[name] for name in ("embedding", "weights")}, random


def step_once(text: np.ndarray, parameters: dict[str, np.ndarray], random: np.random.Generator) -> float:
    """One step on one batch; answers the batch's mean loss, in nats a byte."""
    at = random.integers(0, len(text) - CONTEXT, BATCH)
    contexts = text[at[:, None] + np.arange(CONTEXT)]
    targets = text[at + CONTEXT]
    hidden = parameters["embedding"][contexts].reshape(BATCH, -1)
    logits = hidden @ parameters["weights"]
    logits -= logits.max(axis=1, keepdims=True)
    likely = np.exp(logits)
    likely /= likely.sum(axis=1, keepdims=True)
    loss = -np.log(likely[np.arange(BATCH), targets]).mean()
    likely[np.arange(BATCH), targets] -= 1
    back = (likely @ parameters["weights"].T).reshape(BATCH, CONTEXT, WIDTH)
    parameters["weights"] -= RATE / BATCH * (hidden.T @ likely)
    np.add.at(parameters["embedding"], contexts, -RATE / BATCH * back)
    return float(loss)


def main() -> int:
    """Trains until done or asked to leave."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, _frame: asked.add(number))
    text = corpus()
    step, parameters, random = start()
    print(f"epoch {os.environ.get('HEADRACE_EPOCH', '?')}: begins at step {step} of {STEPS}", flush=True)
    loss = 0.0
    while step < STEPS:
        loss = step_once(text, parameters, random)
        step += 1
        if step % 100 == 0:
            print(f"step {step}: {loss:.4f} nats a byte", flush=True)
        if signal.SIGTERM in asked:
            save(step, parameters, random)
            return SAVED
        if signal.SIGUSR1 in asked:
            asked.discard(signal.SIGUSR1)
            save(step, parameters, random)
    # Done: a SIGTERM now, even while the interpreter winds up, must not turn this into an end by a signal.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    sums = {name: float(values.sum()) for name, values in parameters.items()}
    norms = {name: float(np.sqrt((values**2).sum())) for name, values in parameters.items()}
    OUTPUT.write_text(json.dumps({"steps": step, "loss": loss, "sums": sums, "norms": norms, "tolerance": TOLERANCE}))
    print(f"done: loss {loss:.4f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
