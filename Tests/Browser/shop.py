"""A server and its database that a test can take away."""

from contextlib import ExitStack, contextmanager

from harness.processes import free_port, running, wait_for_line
from harness.services import FLASHSALE, NOTHING_LAPSES, sql

ADMIN_TOKEN = "token-of-the-tests"


class Shop:
    """A server on a port of its own. It keeps the port when it starts again."""

    def __init__(self, services, name):
        self.name, self.work, self.port = name, services.work, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = services.database(name)
        self.stack = ExitStack()
        self.starts = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def start(self):
        self.starts += 1
        log = self.work / f"{self.name}-{self.starts}.log"
        env = {**NOTHING_LAPSES, "DATABASE_URL": self.database, "ADMIN_TOKEN": ADMIN_TOKEN, "PAGES": "true",
               "EVENT_WEBHOOKS_ALLOW_PRIVATE": "true"}
        self.process = self.stack.enter_context(
            running(FLASHSALE, "serve", "--unsigned-webhooks", "--port", str(self.port), log=log, env=env))
        wait_for_line(r"flashsale serves on (http://\S+)", self.process, log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    @contextmanager
    def without_database(self):
        # PostgreSQL ends the connections, and accepts no new ones.
        other = self.database.rsplit("/", 1)[0] + "/flashsale"
        sql(other, f"alter database {self.name} allow_connections false")
        sql(other, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{self.name}'")
        try:
            yield
        finally:
            sql(other, f"alter database {self.name} allow_connections true")
