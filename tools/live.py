"""Measure the latency and the memory of live translation, from a sender in another process to a sent stream.

Usage, from the repository's folder:
  python -m tools.live [--frames 10000] [--rate 25] [--size 256] [--width 16] [--device auto]

The sender encodes pictures that carry their number, and sends each at its time over UDP. They are received, translated
by a generator of random weights (`pipelines/fast.toml` has width 16), encoded and sent on. The latency is the time from
the moment when a picture was due at the sender to the moment when its translation was sent.
"""

import argparse
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch

from recycle.config import NetworkSettings, ResNetSettings, TranslateSettings
from recycle.events import Event, Job, Progress
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.streaming.run import run_live
from recycle.translation.translator import Translator
from recycle.video.frame import Pixels

_BITS = 16
_PAGE = 4096


def picture(number: int, size: int) -> Pixels:
    """A drifting pattern, with the bits of `number` in a row of squares at the top."""
    y, x = np.mgrid[0:size, 0:size]
    grey = (128 + 60 * np.sin((x + 3 * number) / 17) * np.cos(y / 23)).astype(np.uint8)
    for bit in range(_BITS):
        side = size // _BITS
        grey[:side, bit * side : (bit + 1) * side] = 235 if number >> bit & 1 else 16
    return np.stack((grey, grey, grey), axis=-1)


def number_of(pixels: Pixels) -> int:
    """The number that a picture carries."""
    side = pixels.shape[1] // _BITS
    middles = (pixels[side // 2, bit * side + side // 2].mean() > 128 for bit in range(_BITS))
    return sum(1 << bit for bit, high in enumerate(middles) if high)


def send(port: int, *, frames: int, rate: int, size: int) -> None:
    """Send the pictures, and print the time at which the first is due."""
    with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options={"tune": "zerolatency", "g": str(rate)})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        begin = time.monotonic() + 1
        print(begin, flush=True)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            time.sleep(max(0, begin + number / rate - time.monotonic()))
            container.mux(stream.encode(frame))


class Watched:
    """A translator that notes the latency of each picture, and at times the memory of the process."""

    def __init__(self, translator: Translator, rate: int) -> None:
        self._translator, self._rate = translator, rate
        self.target = translator.target
        self.begin = 0.0
        self.latencies: list[float] = []
        self.memory: list[tuple[int, int]] = []
        """Numbers of pictures of the source, and the bytes that the process held then."""

    def stream(self, frames: Iterable[Pixels], **how: Any) -> Iterator[Pixels]:
        """As `Translator.stream`."""
        numbers: deque[int] = deque()

        def seen() -> Iterator[Pixels]:
            for pixels in frames:
                numbers.append(number_of(pixels))
                yield pixels

        for done in self._translator.stream(seen(), **how):
            yield done
            number = numbers.popleft()
            self.latencies.append(time.monotonic() - self.begin - number / self._rate)
            if not self.memory or number - self.memory[-1][0] >= 250:
                self.memory.append((number, int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE))


def measure(*, frames: int, rate: int, size: int, width: int, device: str) -> list[str]:
    """The figures, one line each."""
    torch.manual_seed(0)
    networks = NetworkSettings(generator=ResNetSettings(blocks=6, width=width, blur=width != 64))
    bundle = Bundle(BundleConfig(networks=networks, predictors=False, short_side=size))
    watched = Watched(Translator(bundle, device=device), rate)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tools.live", "--send", str(port), "--frames", str(frames)]
    command += ["--rate", str(rate), "--size", str(size)]

    def observe(event: Event) -> None:
        if isinstance(event, Progress) and sender.poll() is not None:
            job.cancel()

    job = Job(observe)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout is not None
        watched.begin = float(sender.stdout.readline())
        try:
            report = run_live(
                f"udp://127.0.0.1:{port}?timeout=3000000",
                "udp://127.0.0.1:9?pkt_size=1316",
                translator=cast(Translator, watched),
                to="b",
                settings=TranslateSettings(),
                job=job,
            )
        finally:
            sender.terminate()
    late = np.array(watched.latencies[min(50, len(watched.latencies) // 10) :]) * rate
    rows = [row for row in watched.memory if row[0] >= frames // 10]
    spread = [rows[round(part * (len(rows) - 1))] for part in np.linspace(0, 1, 5)]
    memory = ", ".join(f"{held / 2**20:.1f} at {number}" for number, held in spread)
    return [
        f"{report.frames} pictures translated, {report.dropped} dropped, {report.rate:.1f} a second",
        f"latency in frames: median {np.median(late):.2f}, 95 % below {np.quantile(late, 0.95):.2f}",
        f"memory in MiB, by picture: {memory}",
    ]


def main() -> None:
    """Measure, or send."""
    parser = argparse.ArgumentParser(
        "python -m tools.live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--send", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.send is not None:
        send(chosen.send, frames=chosen.frames, rate=chosen.rate, size=chosen.size)
        return
    figures = measure(
        frames=chosen.frames, rate=chosen.rate, size=chosen.size, width=chosen.width, device=chosen.device
    )
    print("\n".join(figures))


if __name__ == "__main__":
    main()
