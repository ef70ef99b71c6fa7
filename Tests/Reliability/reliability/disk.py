"""A small disk of its own for the database's files, which can be filled up."""

import os
import shutil
import tempfile
from pathlib import Path

from harness.processes import HarnessError, output_of

# Not in the project: its folder may be closed to other users.
PARENT = Path("/var/tmp")
PREFIX = "flashsale-reliability-"
SIZE_MB = 768
MOUNT, FILLER = "disk", "filler"


class Disk:
    """A folder that every user may pass, as PostgreSQL's user has to. It has a file system of its own where mounting is
    allowed."""

    def __init__(self) -> None:
        remove_leftovers()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=PARENT))
        self.folder.chmod(0o755)
        self.mount = self.folder / MOUNT
        self.mount.mkdir()
        self.obstacle = self._try_to_mount()
        self.data = self.mount / "data"
        self.data.mkdir()

    def _try_to_mount(self) -> str:
        """Why it could not be mounted; nothing if it could. A file with ext4, so that flushes reach the real disk."""
        if os.geteuid() != 0:
            return "mounting takes root"
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(SIZE_MB << 20)
        try:
            output_of("mkfs.ext4", "-q", "-m", "0", image)
            output_of("mount", "-o", "loop", image, self.mount)
        except (HarnessError, OSError) as error:
            return str(error)
        return ""

    def fill(self) -> None:
        """Takes all the space there is."""
        with open(self.mount / FILLER, "ab") as file:
            size, step = os.fstat(file.fileno()).st_size, 64 << 20
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def drain(self) -> None:
        (self.mount / FILLER).unlink(missing_ok=True)

    def remove(self) -> None:
        remove(self.folder)


def remove(folder: Path) -> None:
    if (folder / MOUNT).is_mount():
        output_of("umount", folder / MOUNT)
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Of runs that were killed."""
    for folder in PARENT.glob(f"{PREFIX}*-*"):
        if not Path("/proc", folder.name.removeprefix(PREFIX).split("-")[0]).exists():
            remove(folder)
