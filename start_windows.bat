@echo off
rem Starts the window of DeepMyelinSegmentation; the first start installs what it needs.
cd /d "%~dp0"
if exist ".venv\installed" goto start
set "PYTHON="
for %%V in (3.13 3.12 3.11 3) do (
  if not defined PYTHON (
    py -%%V -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && set "PYTHON=py -%%V"
  )
)
if not defined PYTHON (
  python -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && set "PYTHON=python"
)
if not defined PYTHON (
  echo Python 3.11 or newer was not found.
  echo Install it from https://www.python.org/downloads/windows/ and start this file again.
  pause
  exit /b 1
)
echo Installing, once; this takes some minutes and 700 MB.
%PYTHON% -m venv .venv || goto failed
".venv\Scripts\python.exe" -m pip install -q --no-compile -r requirements-light.txt || goto failed
echo installed> ".venv\installed"
:start
".venv\Scripts\python.exe" app.py %*
if errorlevel 1 pause
exit /b 0
:failed
echo The installation failed; the lines above say why.
pause
exit /b 1
