#!/bin/sh
# Behind `npm start`, `npm test`, `npm run bench`: gets what is missing, says so, and runs the task.
#
#   sh scripts/run.sh start|test|test:unit|test:slow|bench [ARGUMENTS…]
#
# Plain POSIX shell, since it runs before anything else is there. Nothing is done twice: with all
# in place it costs a few hundredths of a second.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'kvmsec: %s\n' "$*" >&2; }
fail() { say "$@"; exit 3; }
has() { command -v "$1" >/dev/null 2>&1; }

# Prints the packages of the lists ("package command-or-file" a line) that are not there.
missing_packages() {
  seen=' '
  while read -r package proof; do
    case $package in '' | '#'*) continue ;; esac
    case $seen in *" $package "*) continue ;; esac
    seen="$seen$package "
    case $proof in
      /*) [ -e "$proof" ] || printf '%s ' "$package" ;;
      *) has "$proof" || printf '%s ' "$package" ;;
    esac
  done <<END
$(cat "$@")
END
}

install_packages() {
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if ! has apt-get; then
    say "these are missing, and this is neither Debian nor Ubuntu, so install them yourself"
    say "(the names are Debian's; other distributions often have others):"
    fail "  $missing"
  fi
  command="apt-get install -y --no-install-recommends ${missing% }"
  if [ "$(id -u)" = 0 ]; then
    as_root=
  elif has sudo && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  elif has sudo && [ -t 0 ] && [ -t 2 ]; then
    say "these packages are missing: $missing"
    printf 'Install them now with sudo? [Y/n] ' >&2
    read -r answer || answer=n
    case $answer in
      '' | [yY]*) as_root=sudo ;;
      *) fail "install them with: sudo $command" ;;
    esac
  else
    say "these packages are missing, and only root can install them: $missing"
    has sudo && fail "have them installed with: sudo $command"
    fail "have them installed with: su -c '$command'"
  fi
  say "installing distribution packages: $missing"
  # A machine whose lists are old or empty needs an update first; one whose lists are fine does not.
  export DEBIAN_FRONTEND=noninteractive
  $as_root $command </dev/null >&2 && return 0
  say "trying again with fresh package lists"
  $as_root apt-get update </dev/null >&2 || say "apt-get update failed; going on with the lists there are"
  $as_root $command </dev/null >&2 || fail "could not install them. Try by hand: ${as_root:+sudo }$command"
}

pinned=node_modules/node/bin/node

# Node modules as package-lock.json has them, and the Node that they bring.
install_modules() {
  if ! node scripts/modules-installed.js; then
    if [ -L node_modules ]; then
      fail "node_modules is a link and not what package-lock.json asks for: run npm ci where it leads"
    fi
    say "installing Node modules (npm ci)"
    clean_install
    [ -x $pinned ] || install_node
    # npm leaves out what wants a newer Node than its own: then once more, on the Node just installed.
    node scripts/modules-installed.js || clean_install_on_pinned
  fi
  [ -x $pinned ] || install_node
  "$pinned" --version >/dev/null 2>&1 || fail "$pinned does not run on this machine"
}

clean_install() {
  npm ci --no-audit --no-fund --loglevel=error </dev/null >&2 || fail "npm ci failed; its last lines above say why"
}

clean_install_on_pinned() {
  say "once more, since this npm's Node $(node --version) is too old for some of them"
  aside=$(mktemp -d)
  cp $pinned "$aside/node"
  (PATH=$aside:$PATH NODE_NO_WARNINGS=1 clean_install) || { rm -r "$aside"; exit 3; }
  rm -r "$aside"
  [ -x $pinned ] || install_node
  node scripts/modules-installed.js || fail "npm ci left modules out. Try by hand: npm ci"
}

# The npm package `node` brings its program by an install script, which npm's settings may forbid.
install_node() {
  say "npm ran no install scripts: running that of the package node, which brings the pinned Node"
  (cd node_modules/node && node installArchSpecificPackage.js </dev/null >&2) || true
  [ -x $pinned ] || fail "the pinned Node is missing. Try: npm config set ignore-scripts false, then npm ci"
}

# Milliseconds after which one test counts as hung: several times what the longest takes on a slow machine.
patience=900000

run_tests() {
  concurrency=$(nproc 2>/dev/null || echo 2)
  [ "$concurrency" -ge 2 ] || concurrency=2
  [ "$concurrency" -le 4 ] || concurrency=4
  # Node options go before the files; whoever names files runs only those. A test that is stuck is
  # given up, and then its file's process is ended: what it waits for would keep it for ever.
  exec "$pinned" --conditions=kvmsec-source --disable-warning=ExperimentalWarning --test \
    --test-concurrency="$concurrency" --test-timeout="$patience" --test-force-exit \
    --test-reporter=spec "$@"
}

only_options() {
  for argument in "$@"; do
    case $argument in -*) ;; *) return 1 ;; esac
  done
}

task=${1:?start, test, test:unit, test:slow or bench}
shift
case $task in
  start) install_packages scripts/packages.txt ;;
  test:unit) ;;
  *) install_packages scripts/packages.txt scripts/packages-test.txt ;;
esac
install_modules
PATH=$PWD/node_modules/node/bin:$PWD/node_modules/.bin:$PATH
export PATH

case $task in
  start) exec "$pinned" bin/kvmsec.js demo "$@" ;;
  test)
    only_options "$@" || run_tests "$@"
    say "types"
    tsc --noEmit
    say "lint"
    oxlint --deny-warnings
    say "format"
    oxfmt --check
    run_tests "$@" 'test/unit/**/*.test.ts' 'test/property/**/*.test.ts' 'test/vm/**/*.test.ts'
    ;;
  test:unit)
    only_options "$@" || run_tests "$@"
    run_tests "$@" 'test/unit/**/*.test.ts' 'test/property/**/*.test.ts'
    ;;
  test:slow)
    patience=21600000
    only_options "$@" || run_tests "$@"
    run_tests "$@" 'test/slow/**/*.test.ts'
    ;;
  bench)
    # As the command itself is run.
    flags=$("$pinned" -e 'import("./bin/node-options.js").then(({ nodeFlags }) => console.log(nodeFlags.join(" ")))')
    exec "$pinned" $flags test/bench/main.ts "$@"
    ;;
  *) fail "unknown task $task: start, test, test:unit, test:slow or bench" ;;
esac
