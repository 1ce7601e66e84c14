#!/usr/bin/env bash
# Proves that both commands of the README work on a fresh machine: makes an empty Debian root, puts this machine's
# Node and npm into it and nothing else, clones the checkout, and runs `npm run demo` and `npm test` there.
#
#   scripts/dev/fresh-root.sh [demo|test ...]     default: demo test
#
# Needs root and mmdebstrap or debootstrap. Works in mount namespace and folder of its own; leaves nothing behind.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/../.." && pwd)
commands=("$@")
[ ${#commands[@]} -gt 0 ] || commands=(demo test)

if [ -z "${SHUNT_FRESH_ROOT:-}" ]; then
  folder=$(mktemp -d "${TMPDIR:-/var/tmp}/shunt-fresh-XXXXXX")
  # A job of its own group, so that a signal to this script ends all of it before its folder goes.
  set -m
  job=''
  trap 'kill -- "-$job" 2>/dev/null && wait "$job" || true; rm -rf --one-file-system "$folder"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # The namespace ends with its last process, and with it every mount, also after a failure.
  SHUNT_FRESH_ROOT=$folder/root unshare --mount --propagation private "$0" "${commands[@]}" </dev/null &
  job=$!
  wait "$job"
  exit
fi

root=$SHUNT_FRESH_ROOT
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -v -- -security | head -n 1)

echo "fresh-root: making an empty $suite"
if command -v mmdebstrap >/dev/null; then
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,git "$suite" "$root" "$mirror"
else
  debootstrap --variant=minbase --include=ca-certificates,git "$suite" "$root" "$mirror" >/dev/null
fi

# How this machine reaches its registries is a setting of the machine, not a part of Shunt.
for setting in /etc/apt /etc/ssl /etc/resolv.conf /etc/hosts /usr/local/share/ca-certificates /root/.npmrc /usr/etc/npmrc; do
  [ ! -e "$setting" ] || { mkdir -p "$root$(dirname "$setting")"; cp -aL --remove-destination "$setting" "$root$(dirname "$setting")/"; }
done

node=$(command -v node)
npm=$(cd "$(dirname "$(readlink -f "$(command -v npm)")")/.." && pwd)
mkdir -p "$root/usr/lib/node_modules"
cp "$node" "$root/usr/bin/node"
cp -a "$npm" "$root/usr/lib/node_modules/npm"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/bin/npm"
ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/bin/npx"
# Libraries that this machine's Node is linked with and an empty Debian may lack.
ldd "$node" | awk '/=> \//{print $3}' | while read -r library; do
  [ -e "$root$library" ] || { mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"; }
done

git clone --quiet --no-hardlinks "$checkout" "$root/root/shunt"
# The new root must be the root of the mount namespace, not a chroot: programs that enter another mount namespace and
# come back would find themselves on the old one.
mount --bind "$root" "$root"
for mount in proc sys dev; do mount --rbind "/$mount" "$root/$mount"; done
mount -t tmpfs tmpfs "$root/run"
mkdir "$root/outside"
cd "$root"
pivot_root . outside
# shellcheck disable=SC2016
exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LANG=C bash -euc '
  umount --lazy /outside
  rmdir /outside
  cd /root/shunt
  for name; do
    case $name in
    demo) argv=(npm run demo) ;;
    test) argv=(npm test) ;;
    *) echo "error: no command $name (USAGE)" >&2; exit 2 ;;
    esac
    echo "fresh-root: ${argv[*]}"
    "${argv[@]}"
  done
  echo "fresh-root: all of it works on an empty Debian"
' bash "${commands[@]}"
