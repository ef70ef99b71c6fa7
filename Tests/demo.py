"""A server for tests in Python: `flashsale demo` with its own database."""
import contextlib, os, pathlib, re, signal, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ADMIN_TOKEN = "token-of-the-tests"


@contextlib.contextmanager
def demo(**settings):
    """Starts a server until the end of the block; yields its URL. Its admin token is ADMIN_TOKEN."""
    # A database that is still stopping may write into its directory during the removal.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        server = subprocess.Popen(
            [os.environ.get("FLASHSALE", ROOT / ".build/release/flashsale"), "demo", "--port", "0", "--data-dir", f"{directory}/data"],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"ADMIN_TOKEN": ADMIN_TOKEN, "LOG_LEVEL": "error"} | settings)
        try:
            urls = (match[1] for line in server.stdout if (match := re.search(r"serves on (http\S+)", line)))
            url = next(urls, None)
            if url is None:
                sys.exit("the server did not start")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
