"""Copies the pages of the documentation to the folder that mkdocs reads. For scripts/site.sh.

A page's text is that of GitHub. Links between pages become those of the site, links to other files lead to GitHub, and
what neither has is an error. README.md becomes two pages: its section "Install" is one.
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = "https://github.com/histdist/histdist/blob/main/"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
    "scripts/qupath/README.md": "qupath.md",
} | {f"docs/{p.name}": p.name for p in (ROOT / "docs").glob("*.md")}
IMAGES = {f"docs/{p.name}": p.name for p in (ROOT / "docs").iterdir() if p.suffix in (".png", ".jpg", ".svg")}
INSTALL = re.compile(r"^## Install\n(.*?)(?=^## )", re.M | re.S)
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")
CODE = re.compile(r"^```.*?^```", re.M | re.S)


def linked(source, text):
    """The text of a page with the site's links."""

    def link(m):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), m[2]))
        if not (ROOT / target).exists():
            sys.exit(f"site: {source} links to {m[2]}, which doesn't exist")
        return m[1] + (PAGES.get(target) or IMAGES.get(target) or FILES + target) + m[3]

    parts, at = [], 0
    for block in CODE.finditer(text):
        parts += [LINK.sub(link, text[at : block.start()]), block[0]]
        at = block.end()
    return "".join(parts) + LINK.sub(link, text[at:])


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source, name in PAGES.items():
        text = (ROOT / source).read_text("utf8")
        if source == "README.md":
            (folder / "install.md").write_text("# Install\n" + linked(source, INSTALL.search(text)[1]), "utf8")
            text = INSTALL.sub("", text)
        (folder / name).write_text(linked(source, text), "utf8")
    for source, name in IMAGES.items():
        shutil.copy(ROOT / source, folder / name)


main(Path(sys.argv[1]))
