#!/bin/sh
# Build the playground page into the package, where Node.js is and the page is older than what it is made of. Whatever
# comes of it is said in a sentence, and is no failure: the API works without the page.
set -u
cd "$(dirname "$0")/.." || exit 1

built=src/assistd/playground/dist/index.html
# Of files alone: a folder that was unpacked from an sdist is newer than the page that came with it.
changed=$(find playground -name node_modules -prune -o -type f -newer "$built" -print 2>/dev/null | head -n 1)
[ -f "$built" ] && [ -z "$changed" ] && exit 0

give_up() {
    if [ -f "$built" ]; then
        echo "The playground page stays the one that was built before: $1."
    else
        echo "assistd comes without its playground page: $1. The API works all the same."
    fi
    exit 0
}

needed="building it takes Node.js 20.19, or 22.12 or newer"
fits='const [major, minor] = process.versions.node.split(".").map(Number);
    (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22'
command -v node >/dev/null && command -v npm >/dev/null || give_up "$needed"
[ "$(node -p "$fits")" = true ] || give_up "$needed, and this is $(node --version)"

echo "Building the playground page ..."
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
cd playground || exit 1
if ! [ -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund >"$log" 2>&1 || { cat "$log" >&2; cd ..; give_up "its packages could not be installed"; }
fi
npm run --silent build >"$log" 2>&1 || { cat "$log" >&2; cd ..; give_up "its build failed"; }
