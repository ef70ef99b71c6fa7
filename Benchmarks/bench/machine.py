"""The machine, the versions, and the durability of a measurement."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from harness.processes import HarnessError, output_of
from harness.services import ROOT, sql

from .services import find_redis

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def describe(postgres_url: str, work: Path) -> list[str]:
    """Returns lines about the machine, the versions and the durability.

    Raises `HarnessError` if PostgreSQL is not durable, or its data are in memory.
    """
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    cpu = names[0] if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    settings = dict(line.split("|") for line in sql(
        postgres_url,
        f"select name, setting from pg_settings where name in ({', '.join(map(repr, DURABLE))})").splitlines())
    if settings != DURABLE:
        raise HarnessError(f"PostgreSQL is not durable: {settings}")
    file_system = output_of("stat", "-f", "-c", "%T", work).strip()
    if file_system in ("tmpfs", "ramfs"):
        raise HarnessError(f"{work} is in memory ({file_system}), so nothing is durable: choose another --work")
    versions = [
        f"PostgreSQL {sql(postgres_url, 'show server_version').split()[0]}",
        "wrk " + version("wrk", "-v", word=1),
    ]
    if find_redis() and shutil.which("redis-cli"):
        versions.append("Redis " + version("redis-cli", "--version", word=1))
    if shutil.which("swift"):
        versions.append("Swift " + output_of("swift", "--version").split("Swift version ")[1].split()[0])
    return [
        f"{os.cpu_count()} cores, {cpu}, {memory:.0f} GB, Linux {platform.release()}; load generator, servers and "
        f"databases share it; load average before: {load_before:.1f}",
        f"{', '.join(versions)}; flashsale {commit()}, built for release; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "durable: " + ", ".join(f"{name} = {value}" for name, value in DURABLE.items()) + f" on {file_system}",
    ]


load_before = os.getloadavg()[0]


def version(*command: str, word: int) -> str:
    """Returns a word of a program's version. Ignores the exit status, because wrk prints its version and fails."""
    result = subprocess.run(command, capture_output=True, text=True)
    return (result.stdout or result.stderr).split()[word]


def commit() -> str:
    try:
        return output_of("git", "-C", ROOT, "describe", "--always", "--dirty").strip()
    except HarnessError:
        return "outside git"
