"""A small disk for the database's files, which can be filled up."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.processes import HarnessError, output_of

# Not in the project: its folder may be closed to other users.
PARENT = Path("/var/tmp")
PREFIX = "flashsale-reliability-"
SIZE_MB = 1024


class Disk:
    """A folder that PostgreSQL's user may enter, with a file system of its own where mounting is allowed."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.mount, self.data = folder / "disk", folder / "disk/data"
        self.mount.mkdir()
        self.obstacle = "" if os.geteuid() == 0 else "mounting takes root"
        if not self.obstacle:
            try:
                # A file with ext4, so that flushes reach the real disk.
                output_of("mkfs.ext4", "-q", "-m", "0", folder / "image", f"{SIZE_MB}M")
                output_of("mount", "-o", "loop", folder / "image", self.mount)
            except (HarnessError, OSError) as error:
                self.obstacle = str(error)
        self.data.mkdir()

    def fill(self) -> None:
        """Takes all the space there is."""
        with open(self.mount / "filler", "ab") as file:
            size, step = os.fstat(file.fileno()).st_size, 64 << 20
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def drain(self) -> None:
        (self.mount / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[Disk]:
    for left in PARENT.glob(f"{PREFIX}*-*"):
        if not Path("/proc", left.name.removeprefix(PREFIX).split("-")[0]).exists():
            remove(left)  # of a run that was killed
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=PARENT))
    try:
        yield Disk(folder)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    if (folder / "disk").is_mount():
        output_of("umount", folder / "disk")
    shutil.rmtree(folder, ignore_errors=True)
