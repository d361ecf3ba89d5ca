#!/bin/sh
# Sets mediagen up in containers on this machine, and starts it.
#
#   ./setup.sh             check the tools, write .env with generated secrets, start all, say where things are
#   ./setup.sh --yes       the same without a question
#   ./setup.sh --env-only  only write .env
#   ./setup.sh --help      this text
#
# Run it as often as you like: what stands in .env is never changed, only what is missing is added.
# COMPOSE names the command to use, where it is not `docker compose` or `podman-compose`.
set -eu
cd "$(dirname "$0")"
umask 077

WAIT_S=300
yes=
env_only=

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }
there() { command -v "$1" >/dev/null 2>&1; }

options() {
  for option in "$@"; do
    case $option in
      -h|--help) sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"; exit 0 ;;
      -y|--yes) yes=1 ;;
      --env-only) env_only=1 ;;
      *) fail "$option is no option; ./setup.sh --help shows them" ;;
    esac
  done
}

find_compose() {
  if [ -n "${COMPOSE:-}" ]; then return; fi
  if there docker && docker compose version >/dev/null 2>&1; then
    docker info >/dev/null 2>&1 || fail "Docker is installed and does not answer. Start it (sudo systemctl start docker), or become a member of the group docker."
    COMPOSE="docker compose"
  elif there podman && there podman-compose; then
    COMPOSE=podman-compose
  else
    fail "mediagen's containers need Docker with Compose v2 (https://docs.docker.com/engine/install/), or podman and podman-compose 1.1 or newer. Without containers: ./run"
  fi
}

# Prints the value of a setting, as Compose sees it: of the environment, else of .env, else what is given.
value() {
  eval "found=\${$1:-}"
  [ -n "$found" ] || found=$(sed -n "s/^$1=//p" .env | tail -n 1)
  printf '%s' "${found:-$2}"
}

# Adds a setting to .env, unless it has a value there.
keep() {
  grep -q "^$1=." .env || printf '%s=%s\n' "$1" "$2" >> .env
}

random() { od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

write_env() {
  if [ ! -e .env ]; then
    say "# Settings of this installation: .env.example lists all. It holds secrets; show it to nobody." > .env
  fi
  chmod 600 .env
  [ -z "$(tail -c 1 .env)" ] || echo >> .env  # the last line has an end
  keep POSTGRES_PASSWORD "$(random 32)"
  keep VALKEY_PASSWORD "$(random 32)"
  keep S3_ACCESS_KEY "$(random 10)"
  keep S3_SECRET_KEY "$(random 32)"
  keep WEBHOOK_SECRET "whsec_$(random 32)"  # hexadecimal digits are base64, too: of 48 bytes
  keep HOOK_SECRET "$(random 32)"
  keep FLOWER_USER mediagen
  keep FLOWER_PASSWORD "$(random 16)"
}

ask_for_token() {
  [ -z "$yes" ] && [ -t 0 ] && [ -z "$(value REPLICATE_API_TOKEN '')" ] || return 0
  trap 'stty echo; exit 130' INT TERM
  stty -echo
  printf 'Replicate API token (Enter for none: pictures are drawn here then, free of charge): '
  read -r token || token=
  stty echo
  trap - INT TERM
  say
  case $token in
    '') ;;
    *[!A-Za-z0-9_-]*) say "That is no token, and was not kept. Write REPLICATE_API_TOKEN=... into .env yourself." ;;
    *) keep REPLICATE_API_TOKEN "$token" ;;
  esac
}

fetch() {
  if there curl; then curl -fsS -m 10 -o /dev/null "$1"; else wget -q -T 10 -O /dev/null "$1"; fi
}

await_health() {
  say "Waiting until every part is well (at most $WAIT_S s) ..."
  end=$(($(date +%s) + WAIT_S))
  until fetch "$1/health/ready" 2>/dev/null; do
    if [ "$(date +%s)" -ge "$end" ]; then
      $COMPOSE ps
      $COMPOSE logs --tail 20
      fail "mediagen does not answer well at $1/health/ready; above is what its parts said last."
    fi
    sleep 1
  done
}

options "$@"
[ -n "$env_only" ] || find_compose
[ -n "$env_only" ] || there curl || there wget || fail "setup.sh needs curl or wget to see whether the server is well."
write_env
if [ -n "$env_only" ]; then say "All that is needed stands in .env."; exit 0; fi
ask_for_token
say "Building the image and starting with: $COMPOSE up -d --build"
$COMPOSE up -d --build
url="http://$(value WEB_ADDRESS 127.0.0.1 | sed 's/^0\.0\.0\.0$/127.0.0.1/'):$(value WEB_PORT 8000)"
await_health "$url"
say "
mediagen runs.
  Web app      $url
  API          $url/docs
  Flower       http://127.0.0.1:$(value FLOWER_PORT 5555)  user $(value FLOWER_USER mediagen), password: FLOWER_PASSWORD in .env
  Settings     .env; after a change: $COMPOSE up -d
  Stop         $COMPOSE down    (with -v it also deletes every job and file)"
