#!/bin/sh
# Makes .venv with Headrace (editable) and all that working on it needs. Quick when nothing changed.
set -eu
cd "$(dirname "$0")/.."

python=
for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "prepare: no Python 3.11 or newer: install one (Debian 12 and Ubuntu 24.04 have it), or name it with PYTHON=" >&2
    exit 1
fi

# The stamp names what the environment was made of: another Python, another list of packages, or another place of the
# checkout, which programs in an environment bear in their first line, makes it anew.
stamp=$("$python" -c 'import hashlib, pathlib, sys
made_of = f"{sys.version}\n{pathlib.Path.cwd()}"
print(hashlib.sha256(pathlib.Path("pyproject.toml").read_bytes() + made_of.encode()).hexdigest())')
if [ "$(cat .venv/stamp 2>/dev/null || true)" = "$stamp" ]; then
    exit 0
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "prepare: this Python cannot make environments: run \`sudo apt-get install $package\` once" >&2
        exit 1
    fi
    echo "· installing $package …"
    apt-get -q update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
        --no-install-recommends "$package" >/dev/null
fi

if [ -L .venv ]; then
    echo "prepare: .venv is a link, and what it leads to is not this checkout's: remove the link" >&2
    exit 1
fi
echo "· making .venv …"
"$python" -m venv --clear .venv
echo "· installing Headrace and its tools from PyPI …"
.venv/bin/python -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
.venv/bin/python -m pip install -qq --disable-pip-version-check --editable . --group dev
echo "$stamp" >.venv/stamp
