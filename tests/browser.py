"""A real browser without a window: what a page looks like once its scripts have run."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip

# Whatever goes wrong ends up in an attribute that can be read from outside.
WATCH = """<script>
const wrong = (what) => document.documentElement.append(
  Object.assign(document.createElement("tt"), { className: "wrong", textContent: what }));
addEventListener("error", (e) => wrong(e.message || "failed to load " + e.target.src), true);
addEventListener("unhandledrejection", (e) => wrong(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => wrong("would load " + e.blockedURI));
</script>"""


def rendered(page: Path, folder: Path, script: str = "", *, width: int = 1400) -> str:
    """The page's DOM after its figures are drawn, and then `script` has run."""
    watched = folder / f"watched-{page.name}"
    html = page.read_text(encoding="utf-8").replace("<style>", WATCH + "<style>", 1)
    html = html.replace("</body>", f"<script>drawn.then(() => {{{script}}})</script></body>")
    watched.write_text(html, encoding="utf-8")
    size = f"--window-size={width},2200"
    command = [BROWSER, *FLAGS, size, f"--user-data-dir={folder / 'profile'}", watched.as_uri()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            return process.communicate(timeout=120)[0].decode()
        finally:  # its helpers too
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
