"""On ARM64, emulated: the kernels compute what they compute elsewhere, and a training has the same bits on one thread and on two."""

import shutil
import subprocess
from pathlib import Path

import pytest

NEEDED = ("qemu-aarch64-static", "debootstrap")  # Debian's packages qemu-user-static and debootstrap


@pytest.mark.slow
@pytest.mark.emulated
@pytest.mark.timeout(0)
@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason="the emulator is missing; .ci/arm64 says what it needs")
def test_the_kernels_and_a_training(repository: Path):
    subprocess.run([repository / ".ci" / "arm64"], check=True)
