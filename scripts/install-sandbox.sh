#!/bin/sh
# Install a sandbox of the code interpreter, where it is missing and nobody has to be asked for it: `bubblewrap`, or
# `runsc` (gVisor), which the tests try as well. Whatever comes of it is said in a sentence, and is no failure: only the
# code interpreter needs one.
set -u

package=${1:-bubblewrap}
case $package in
bubblewrap) program=bwrap ;;
*) program=$package ;;
esac
command -v "$program" >/dev/null && exit 0

give_up() {
    echo "The code interpreter can have $package, and $1; everything else works without it."
    exit 0
}

[ "$(uname -s)" = Linux ] || give_up "needs Linux to run it on"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "installing it takes rights that this user does not have (try: sudo apt-get install $package)"
fi

install() {
    if command -v apt-get >/dev/null; then
        apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=60"
        $apt install "$package" || { $apt update && $apt install "$package"; }
    elif command -v dnf >/dev/null; then
        $as_root dnf -q -y install "$package"
    elif command -v apk >/dev/null; then
        $as_root apk add -q "$package"
    elif command -v pacman >/dev/null; then
        $as_root pacman -Sq --noconfirm "$package"
    else
        echo "this system's package manager is not one that is known here"
        return 1
    fi
}

echo "Installing $package, a sandbox of the code interpreter ..."
said=$(install </dev/null 2>&1) && command -v "$program" >/dev/null ||
    give_up "it could not be installed: $(echo "$said" | tail -n 1)"
