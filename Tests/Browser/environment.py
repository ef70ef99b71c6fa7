"""The Python environment of the programs that drive Chromium."""

import pathlib
import shutil
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ["playwright==1.65.2", "axe-playwright-python==0.1.8"]
ENVIRONMENT = ROOT / ".build/browser" / "-".join(package.split("==")[1] for package in PACKAGES)
PYTHON = ENVIRONMENT / "bin/python"


def chromium():
    """The path of Chromium. Ends the program if there is none."""
    path = shutil.which("chromium")
    if path is None:
        sys.exit("error: Chromium is missing: apt-get install chromium")
    return path


def install():
    if (ENVIRONMENT / "complete").exists():
        return
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    subprocess.run([ENVIRONMENT / "bin/pip", "install", "-q", *PACKAGES], check=True)
    (ENVIRONMENT / "complete").touch()
