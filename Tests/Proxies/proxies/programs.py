"""Starts each proxy in the foreground with its file of deploy/proxies, on a free port and in its own folder."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.processes import HarnessError, answers, free_port, running, wait_until
from harness.services import ROOT

FILES = ROOT / "deploy/proxies"

APACHE_MODULES = (
    "mpm_event", "authz_core", "alias", "slotmem_shm", "proxy", "proxy_http", "proxy_balancer", "proxy_hcheck",
    "lbmethod_bybusyness")

# The configuration around each file of deploy/proxies, which Debian's own files contain otherwise.
NGINX = """
pid {work}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    include {file};
}}
"""
APACHE = """
ServerRoot {work}
ServerName localhost
PidFile {work}/apache.pid
DefaultRuntimeDir {work}
ErrorLog /dev/stderr
{modules}
Include {file}
"""
LIGHTTPD = """
server.document-root = "{work}"
server.errorlog = "/dev/stderr"
include "{file}"
"""
CADDY = """
{{
    admin off
}}
import {file}
"""


@dataclass(frozen=True)
class Program:
    name: str  # of the Debian package
    file: str  # of deploy/proxies
    around: str  # the configuration that includes the file
    command: Callable[[Path], Sequence[str]]  # takes the path of that configuration

    @property
    def executable(self) -> str:
        name = self.command(Path())[0]
        path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")  # not on the PATH of Debian's users
        if path is None:
            raise HarnessError(f"{name} is missing: apt-get install {self.name}")
        return path


PROGRAMS = {
    "nginx": Program("nginx", "nginx.conf", NGINX, lambda path: ["nginx", "-c", str(path), "-g", "daemon off;"]),
    "haproxy": Program("haproxy", "haproxy.cfg", "", lambda path: ["haproxy", "-db", "-f", str(path)]),
    "caddy": Program("caddy", "Caddyfile", CADDY,
                     lambda path: ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]),
    "apache": Program("apache2", "apache.conf", APACHE, lambda path: ["apache2", "-D", "FOREGROUND", "-f", str(path)]),
    "lighttpd": Program("lighttpd", "lighttpd.conf", LIGHTTPD, lambda path: ["lighttpd", "-D", "-f", str(path)]),
}


def settings(name: str, ports: Sequence[int], without: Sequence[str]) -> str:
    """The file's text with other ports and without the texts of `without`.

    The file has 8080 for the proxy, and 8081 and 8082 for the servers.
    """
    text = (FILES / PROGRAMS[name].file).read_text()
    for each in without:
        if each not in text:
            raise HarnessError(f"{PROGRAMS[name].file} does not contain {each!r}")
        text = text.replace(each, "")
    for default, port in zip(("8080", "8081", "8082"), ports, strict=True):
        text, count = re.subn(rf"\b{default}\b", str(port), text)
        if count == 0:
            raise HarnessError(f"{PROGRAMS[name].file} does not contain port {default}")
    return text


@contextmanager
def proxying(name: str, work: Path, servers: Sequence[int], without: Sequence[str] = ()) -> Iterator[int]:
    """Starts a proxy in front of servers on these ports; yields its port when it reaches a server."""
    program, port = PROGRAMS[name], free_port()
    executable = program.executable
    file = work / program.file
    file.write_text(settings(name, (port, *servers), without))
    if program.around:
        modules = "\n".join(f"LoadModule {each}_module /usr/lib/apache2/modules/mod_{each}.so" for each in APACHE_MODULES)
        around = work / f"around-{program.file}"
        around.write_text(program.around.format(work=work, file=file, modules=modules))
        file = around
    work.chmod(0o755)  # the workers of nginx and Apache run as another user
    log = work / f"{name}.log"
    environment = {"XDG_DATA_HOME": str(work), "XDG_CONFIG_HOME": str(work), "HOME": str(work)}
    with running(executable, *program.command(file)[1:], log=log, env=environment) as process:
        wait_until(lambda: answers(port, "/health/ready"), process, log)
        yield port
