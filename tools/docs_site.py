"""What the docs site (mkdocs.yml) changes in the pages, which read well in the repository too.

Links to files outside docs/ become links to the repository. The page of the Python API gets an
entry for every exported name.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOG = logging.getLogger("mkdocs.hooks.docs_site")  # a warning fails the strict build
OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)((?:#[^)\s]*)?)\)")
EXPORTS = "<!-- exports -->"


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Called by MkDocs with the text of each page."""
    source = page.file.src_uri

    def to_repository(link: re.Match[str]) -> str:
        path, anchor = link.groups()
        target = ROOT / path
        if not target.exists():
            LOG.warning("%s links to %s, which does not exist", source, path)
        kind = "tree" if target.is_dir() else "blob"
        return f"]({config.repo_url}/{kind}/main/{path}{anchor})"

    return OUTSIDE.sub(to_repository, markdown).replace(EXPORTS, exports())


def exports() -> str:
    """An entry of mkdocstrings for every name of `import hvdtma`."""
    import hvdtma

    names = [name for name in hvdtma.__all__ if not name.startswith("__")]
    homes = {name: getattr(hvdtma, name).__module__ for name in names}
    return "\n\n".join(f"::: {homes[name]}.{name}" for name in sorted(names, key=str.lower))
