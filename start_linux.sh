#!/bin/sh
# Starts the window of DeepMyelinSegmentation; the first start installs what it needs.
cd "$(dirname "$0")" || exit 1
if [ ! -f .venv/installed ] || ! .venv/bin/python -c '' 2> /dev/null; then
  python=
  for name in python3.13 python3.12 python3.11 python3; do
    command -v "$name" > /dev/null || continue
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
      python=$name
      break
    fi
  done
  if [ -z "$python" ]; then
    echo "Python 3.11 or newer with venv was not found."
    echo "Install it, for example with: sudo apt install python3 python3-venv"
    echo "or from https://www.python.org/downloads/, and start this file again."
    [ -t 0 ] && read -r _
    exit 1
  fi
  echo "Installing, once; this takes some minutes and 700 MB."
  rm -f .venv/bin/python*  # links to a Python that may be gone
  "$python" -m venv .venv &&
    .venv/bin/python -m pip install -q --no-compile -r requirements-light.txt &&
    touch .venv/installed || { [ -t 0 ] && read -r _; exit 1; }
fi
exec .venv/bin/python app.py "$@"
