#!/usr/bin/env bash
# Builds the documentation as a site, bin/site/html: make site. Broken links are errors. Exit code 3: what builds it, at
# the versions of docs/requirements.txt, can't be fetched. PYTHON: python3, 3.9 or later, with pip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
out=$PWD/bin/site
tools=$out/tools-$(cksum <docs/requirements.txt | tr ' ' -)
if [ ! -d "$tools" ]; then
	if ! "$python" -m pip --version >/dev/null 2>&1; then
		echo "site: pip is missing: on Debian and Ubuntu, apt-get install python3-pip; or set PYTHON to a Python that has it" >&2
		exit 3
	fi
	rm -rf "$out"/tools-*
	"$python" -m pip install -q --no-deps --only-binary=:all: --target "$tools.new" -r docs/requirements.txt >&2 || {
		echo "site: can't fetch the packages of docs/requirements.txt from PyPI: is there a network?" >&2
		exit 3
	}
	mv "$tools.new" "$tools"
fi
"$python" scripts/site.py "$out/pages"
NO_MKDOCS_2_WARNING=1 PYTHONPATH=$tools "$python" -m mkdocs build --strict -f docs/mkdocs.yml
echo "built $out/html"
