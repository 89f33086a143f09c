#!/bin/sh
# Install Chromium for the tests of the playground, where it is missing and nobody has to be asked for it. Those tests
# fail without one and say so; nothing else needs it.
set -u

for program in chromium chromium-browser google-chrome; do
    command -v "$program" >/dev/null && exit 0
done
[ -n "${ASSISTD_TEST_BROWSER:-}" ] && exit 0

give_up() {
    echo "The playground's tests need Chromium, and $1 (ASSISTD_TEST_BROWSER=path names one that is somewhere else)."
    exit 0
}

command -v apt-get >/dev/null || give_up "this system's package manager is not one that is known here"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "installing it takes rights that this user does not have (try: sudo apt-get install chromium)"
fi

echo "Installing Chromium for the tests of the playground ..."
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300"
install="$apt install --no-install-recommends chromium fonts-dejavu-core"
said=$({ $install || { $apt update && $install; }; } </dev/null 2>&1) && command -v chromium >/dev/null ||
    give_up "it could not be installed: $(echo "$said" | tail -n 1)"
