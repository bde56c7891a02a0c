#!/bin/sh
# Starts the window of DeepMyelinSegmentation; the first start installs what it needs.
cd "$(dirname "$0")" || exit 1
if [ ! -f .venv/installed ] || ! .venv/bin/python -c '' 2> /dev/null; then
  python=
  # Programs that Finder starts do not see the folders in which python.org and Homebrew install.
  PATH="$PATH:/usr/local/bin:/opt/homebrew/bin"
  for name in python3.13 python3.12 python3.11 python3; do
    command -v "$name" > /dev/null || continue
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
      python=$name
      break
    fi
  done
  if [ -z "$python" ]; then
    echo "Python 3.11 or newer was not found."
    echo "Install it from https://www.python.org/downloads/macos/ and open this file again."
    exit 1
  fi
  echo "Installing, once; this takes some minutes and 700 MB."
  rm -f .venv/bin/python*  # links to a Python that may be gone
  "$python" -m venv .venv &&
    .venv/bin/python -m pip install -q --no-compile -r requirements-light.txt &&
    touch .venv/installed || exit 1
fi
exec .venv/bin/python app.py "$@"
