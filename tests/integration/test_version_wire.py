"""What we write today, read by the code of released versions itself: every message that they know
is what it was, with whatever it has gained, and every other one is skipped.
"""

import json
import subprocess
import sys

import msgspec
import pytest

from tests.integration.versions import Versions
from tests.unit.relay_supervisor.wire.samples import TO_SUPERVISOR, TO_WORKER, Sample
from tests.unit.relay_supervisor.wire.test_golden import name_of, widened
from tests.versions import archive, golden

READER = """
import json, sys, msgspec
from relay_supervisor.wire import handshake, v1
first = {"Hello": handshake.Hello, "Welcome": handshake.Welcome}
decoders = {name: msgspec.msgpack.Decoder(kind).decode for name, kind in first.items()}
decoders |= {"worker": v1.decode_to_worker, "supervisor": v1.decode_to_supervisor}
read = []
for decoder, header in json.load(sys.stdin):
    message = decoders[decoder](bytes.fromhex(header))
    read.append([type(message).__name__, msgspec.msgpack.encode(message).hex()])
json.dump([v1.__file__, read], sys.stdout)
"""
FIRST = ("Hello", "Welcome")


def decoder_of(sample: Sample) -> str:
    """Which of the reader's decoders is for this message."""
    if name_of(sample) in FIRST:
        return name_of(sample)
    return "worker" if sample in TO_WORKER else "supervisor"


@pytest.mark.parametrize("version", archive.RELEASED)
@pytest.mark.parametrize("more", [False, True], ids=["today", "with-more-to-come"])
def test_an_old_peer_reads_what_it_knows_and_skips_the_rest(
    versions: Versions, version: str, more: bool
) -> None:
    samples = [*TO_WORKER, *TO_SUPERVISOR]
    written = [
        [decoder_of(one), msgspec.msgpack.encode(widened(one) if more else one).hex()]
        for one in samples
    ]
    written += [["worker", msgspec.msgpack.encode([63, "to come"]).hex()]]
    written += [["supervisor", msgspec.msgpack.encode([127, "to come"]).hex()]]
    done = subprocess.run(
        [sys.executable, "-P", "-c", READER],
        env=versions.environment(version),
        input=json.dumps(written).encode(),
        capture_output=True,
        check=True,
    )
    where, read = json.loads(done.stdout)
    assert where.startswith(str(versions.sources[version]))
    known = golden.released(version)
    names = [*map(name_of, samples), "of a tag to come", "of a tag to come"]
    for name, (kind, header) in zip(names, read, strict=True):
        if name in known:
            assert (kind, header) == (name, known[name].hex())
        else:
            assert kind == "Unknown"
