"""A small disk for the database's files, which can be filled up."""

import os
import shutil
import tempfile
from pathlib import Path

from harness.processes import HarnessError, output_of

# Not in the project: its folder may be closed to other users.
PARENT = Path("/var/tmp")
PREFIX = "flashsale-reliability-"
SIZE_MB = 1024


class Disk:
    """A folder that PostgreSQL's user may pass. It has a file system of its own where mounting is allowed."""

    def __init__(self) -> None:
        for folder in PARENT.glob(f"{PREFIX}*-*"):
            if not Path("/proc", folder.name.removeprefix(PREFIX).split("-")[0]).exists():
                remove(folder)  # of a run that was killed
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=PARENT))
        self.folder.chmod(0o755)
        self._mount = self.folder / "disk"
        self._mount.mkdir()
        self._filler = self._mount / "filler"
        self.obstacle = self._try_to_mount()
        self.data = self._mount / "data"
        self.data.mkdir()

    def _try_to_mount(self) -> str:
        """Mounts a file with ext4, so that flushes reach the real disk. Returns the reason if that is not possible."""
        if os.geteuid() != 0:
            return "mounting takes root"
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(SIZE_MB << 20)
        try:
            output_of("mkfs.ext4", "-q", "-m", "0", image)
            output_of("mount", "-o", "loop", image, self._mount)
        except (HarnessError, OSError) as error:
            return str(error)
        return ""

    def fill(self) -> None:
        """Takes all the space there is."""
        with open(self._filler, "ab") as file:
            size, step = os.fstat(file.fileno()).st_size, 64 << 20
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def drain(self) -> None:
        self._filler.unlink(missing_ok=True)

    def remove(self) -> None:
        remove(self.folder)


def remove(folder: Path) -> None:
    if (folder / "disk").is_mount():
        output_of("umount", folder / "disk")
    shutil.rmtree(folder, ignore_errors=True)
