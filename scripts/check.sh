#!/usr/bin/env bash
# Runs every check, goes on after one that fails, and says at the end which did: scripts/check.sh ENVIRONMENT
set -uo pipefail
cd "$(dirname "$0")/.."
venv=$1
bin=$venv/bin
failed=()

check() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

types() {
    MYPYPATH=$venv/link "$bin/mypy" --strict --package toolverifier | sed "s#$venv/link/toolverifier/##"
}

tests() {
    "$bin/python" -m pytest --quiet -r s --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=95 \
        --cov=toolverifier.core --cov=toolverifier.tools --cov=toolverifier.agent --cov=toolverifier.verification
}

check format "$bin/ruff" format --check .
check lint "$bin/ruff" check .
check types types
check "tests and coverage" tests

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED:'
    printf ' %s;' "${failed[@]}"
    printf '\n'
    exit 1
fi
printf '\nPassed: format, lint, types, tests, coverage\n'
