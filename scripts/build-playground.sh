#!/bin/sh
# Build the playground page into the package, where Node.js is and the page is older than what it is made of. Whatever
# comes of it is said in a sentence, and is no failure: the API works without the page.
set -u
cd "$(dirname "$0")/.." || exit 1

built=src/assistd/playground/dist/index.html
changed=$(find playground \( -name node_modules -o -name 'test-results' \) -prune -o -newer "$built" -print 2>/dev/null | head -n 1)
[ -f "$built" ] && [ -z "$changed" ] && exit 0

give_up() {
    if [ -f "$built" ]; then
        echo "The playground page stays the one that was built before: $1."
    else
        echo "assistd comes without its playground page: $1. The API works all the same."
    fi
    exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || give_up "building it takes Node.js 20 or newer"
[ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" = true ] ||
    give_up "building it takes Node.js 20 or newer, and this is $(node --version)"

echo "Building the playground page ..."
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
cd playground || exit 1
if ! [ -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund >"$log" 2>&1 || { cat "$log" >&2; cd ..; give_up "its packages could not be installed"; }
fi
npm run --silent build >"$log" 2>&1 || { cat "$log" >&2; cd ..; give_up "its build failed"; }
