# SPDX-License-Identifier: Apache-2.0
"""What tests of containers expect: Failed says what was otherwise."""
import time

PATIENCE = 60  # seconds; only keeps what hangs from hanging for ever


class Failed(Exception):
    pass


def same(got, want, what=""):
    if got != want:
        raise Failed(f"{what}: got {got!r}, want {want!r}")


def has(text, *words):
    for w in words:
        if w not in text:
            raise Failed(f"{w!r} is not in {text!r}")


def until(condition, what, patience=PATIENCE):
    end = time.time() + patience
    while not condition():
        if time.time() > end:
            raise Failed(f"never: {what}")
        time.sleep(0.005)
