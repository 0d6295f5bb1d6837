# shellcheck shell=bash
# What scripts/start and scripts/test have in common. Sourced by them, with the clone as directory.

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The first Python of 3.10 or newer.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  die "No Python of 3.10 or newer was found; install one, or name it: PYTHON=/path/to/python3 $0"
}

# The builder of the front end needs what package.json says under "engines".
need_node() {
  command -v npm >/dev/null || die "npm was not found; install Node.js 20.19 or newer, or 22.12 or newer."
  node -e 'const [a, b] = process.versions.node.split(".").map(Number);
    process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)' ||
    die "Node.js $(node --version) is too old; install 20.19 or newer, or 22.12 or newer."
}

# Install Debian packages; only root can.
install_debian() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "$* is missing; install it with the package manager of this machine."
  fi
  say "Installing $*"
  {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  } >/dev/null || die "apt-get could not install $*."
}

# make_venv DIRECTORY: a virtual environment with a recent pip, unless it is there.
make_venv() {
  [ -x "$1/bin/pip" ] && return
  local python
  python=$(find_python)
  rm -rf "$1"
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    install_debian python3-venv
  fi
  "$python" -m venv "$1"
  "$1/bin/pip" install -qq --disable-pip-version-check --upgrade pip
}

# A number that changes when one of these files or folders does.
fingerprint() {
  find "$@" -type f -not -name '*.pyc' -not -name _version.py -not -path '*/labextension/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1
}

# shellcheck disable=SC2034
FRONT_END=(package.json package-lock.json tsconfig.json src style schema)
