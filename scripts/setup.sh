#!/usr/bin/env bash
# Installs what `make run` and `make test` need and the machine lacks; says what it installs.
# Usage: scripts/setup.sh build | clients | peers | mutants | docs | slurm | browser | jepsen | systems
#   build    a C linker (cargo itself has to be there already)
#   clients  redis-cli, redis-benchmark, redis-py, check-jsonschema, promtool, ioredis, node-redis and the crate redis, which some
#            tests drive; they are skipped without
#   peers    etcd-server and redis-server, which `make bench-daemon` compares with; left out without
#   mutants  cargo-mutants, which `make mutants` runs; into target/tools
#   slurm    Slurm and munge, on which `make deploy-check` runs a campaign; that test is skipped without
#   browser  chromium, and playwright-core into target/browser, which `make report-check` drives; it is skipped without
#   systems  etcd-server, redis-server, redis-sentinel and nats-server, which `harness run --system` tests; their tests are skipped without
#   docs     mdbook, which `make docs` runs; into target/tools
#   jepsen   clojure, in which a test runs the checker of docs/jepsen; that test is skipped without
set -euo pipefail
cd "$(dirname "$0")/.."

apt_install() {
    echo "setup: installing $* with apt-get"
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    $sudo apt-get -qq update && DEBIAN_FRONTEND=noninteractive $sudo apt-get -qq -y install "$@" >/dev/null
}

build() {
    command -v cargo >/dev/null || {
        echo "setup: no cargo; install a Rust toolchain (1.88 or later) from https://rustup.rs and try again" >&2
        exit 1
    }
    command -v cc >/dev/null || apt_install build-essential
}

clients() {
    command -v redis-cli >/dev/null || apt_install redis-tools ||
        echo "setup: no redis-cli; the tests that drive it will be skipped"
    if ! target/venv/bin/python -c 'import redis' 2>/dev/null; then
        echo "setup: installing redis-py 8 into target/venv"
        { command -v python3 >/dev/null || apt_install python3 python3-venv; } &&
            { python3 -m venv target/venv 2>/dev/null || { apt_install python3-venv && python3 -m venv target/venv; }; } &&
            target/venv/bin/pip -q install --disable-pip-version-check 'redis>=8,<9' ||
            echo "setup: no redis-py; the tests that drive it will be skipped"
    fi
    if [ -x target/venv/bin/pip ] && [ ! -x target/venv/bin/check-jsonschema ]; then
        echo "setup: installing check-jsonschema into target/venv"
        target/venv/bin/pip -q install --disable-pip-version-check 'check-jsonschema>=0.30,<1' ||
            echo "setup: no check-jsonschema; the test of the workflow for GitHub will be skipped"
    fi
    promtool
    libraries
}

# Prometheus' own tool that checks metrics and rules, without its server, which the package would start; into target/tools.
promtool() {
    [ -x target/tools/bin/promtool ] || command -v promtool >/dev/null && return 0
    local into
    into=$(mktemp -d)
    echo "setup: taking promtool out of the Debian package prometheus into target/tools"
    { (cd "$into" && apt-get -qq download prometheus) && dpkg-deb -x "$into"/prometheus_*.deb "$into" &&
        mkdir -p target/tools/bin && cp "$into/usr/bin/promtool" target/tools/bin/; } ||
        echo "setup: no promtool; the tests that drive it will be skipped"
    rm -rf "$into"
}

# The libraries of other languages than Python; into target/libraries.
libraries() {
    local into=target/libraries
    if ! cmp -s libraries/package.json "$into/package.json" || [ ! -d "$into/node_modules/ioredis" ]; then
        echo "setup: installing ioredis and node-redis into $into"
        { command -v npm >/dev/null || apt_install nodejs npm; } && mkdir -p "$into" && cp libraries/package.json "$into" &&
            npm install --silent --no-fund --no-audit --prefix "$into" >/dev/null ||
            echo "setup: no ioredis, no node-redis; the tests that drive them will be skipped"
    fi
    local program=$into/bin/failover-redis-rs
    if [ ! "$program" -nt libraries/redis-rs/src/main.rs ] || [ ! "$program" -nt libraries/redis-rs/Cargo.lock ]; then
        echo "setup: building a program with the crate redis into $into"
        cargo install --quiet --locked --force --debug --root "$into" --target-dir "$into/build" --path libraries/redis-rs ||
            echo "setup: no crate redis; the test that drives it will be skipped"
    fi
}

peers() {
    local missing=()
    command -v etcd >/dev/null || missing+=(etcd-server)
    command -v redis-server >/dev/null || missing+=(redis-server)
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "setup: apt-get may also start the services of ${missing[*]}; the benchmark starts its own and needs none"
    apt_install "${missing[@]}" || echo "setup: could not install ${missing[*]}; the benchmark leaves out what is missing"
}

systems() {
    local missing=()
    command -v etcd >/dev/null || missing+=(etcd-server)
    command -v redis-server >/dev/null || missing+=(redis-server)
    command -v redis-sentinel >/dev/null || missing+=(redis-sentinel)
    command -v nats-server >/dev/null || missing+=(nats-server)
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "setup: apt-get may also start the services of ${missing[*]}; the harness starts its own and needs none"
    apt_install "${missing[@]}" || echo "setup: could not install ${missing[*]}; their tests will be skipped"
}

jepsen() {
    command -v clojure >/dev/null || apt_install clojure || echo "setup: no clojure; the test of docs/jepsen will be skipped"
}

mutants() {
    [ -x target/tools/bin/cargo-mutants ] && return 0
    echo "setup: installing cargo-mutants into target/tools"
    cargo install --quiet --locked --root target/tools cargo-mutants@27.1.0
}

slurm() {
    command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return 0
    echo "setup: apt-get may also start the services of Slurm and munge; the test starts its own and needs none"
    apt_install --no-install-recommends slurmctld slurmd slurm-client munge || echo "setup: no Slurm; its test will be skipped"
}

docs() {
    [ -x target/tools/bin/mdbook ] && return 0
    echo "setup: installing mdbook into target/tools; minutes, once"
    cargo install --quiet --locked --root target/tools --no-default-features --features search mdbook@0.5.4 ||
        echo "setup: no mdbook"
}

browser() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || apt_install chromium fonts-dejavu-core ||
        echo "setup: no chromium; the pages of runs will not be opened"
    [ -d target/browser/node_modules/playwright-core ] && return 0
    command -v npm >/dev/null || apt_install npm || { echo "setup: no npm; the pages of runs will not be opened" && return 0; }
    echo "setup: installing playwright-core into target/browser"
    mkdir -p target/browser
    npm install --silent --no-fund --no-audit --prefix target/browser playwright-core@1 >/dev/null ||
        echo "setup: no playwright-core; the pages of runs will not be opened"
}

for part in "$@"; do "$part"; done
