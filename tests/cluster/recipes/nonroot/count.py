"""Saves on request as whoever it runs as, goes on from there, and is done in its second attempt."""

import os
import pathlib
import signal

checkpoint = pathlib.Path(os.environ["HEADRACE_CHECKPOINT_DIR"]) / "below" / "state"
output = pathlib.Path(os.environ["HEADRACE_OUTPUT_DIR"]) / "who"

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
begun = checkpoint.read_text() if checkpoint.exists() else ""
os.write(1, f"user {os.getuid()}, begun by {begun or 'nobody'}\n".encode())
if not begun:
    signal.sigwait([signal.SIGTERM])
checkpoint.parent.mkdir(exist_ok=True)
checkpoint.write_text(f"{begun}user {os.getuid()} ")
if not begun:
    raise SystemExit(85)
output.write_text(checkpoint.read_text())
