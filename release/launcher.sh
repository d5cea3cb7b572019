#!/bin/sh
# zmart-lite @VERSION@. The lines are followed by the program, compressed: the first call unpacks it into a folder of its
# own, under its version, and every later one runs it from there. Nothing lies in the folder of temporary files.
VERSION=@VERSION@
ID=@ID@
BEGIN=@BEGIN@
NEEDS_MB=@NEEDS_MB@

if [ "$#" = 1 ] && [ "$1" = --version ]; then
  echo "zmart-lite, version $VERSION"
  exit 0
fi

caller_path=${PATH-}
PATH=/usr/bin:/bin:/usr/sbin:/sbin:$caller_path
program=zmart-lite-program/$VERSION-$ID
refused=

# A folder of another user's may hold another user's program.
own() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; }

folders() {
  if [ -n "${ZMARTLITE_DIR-}" ]; then
    echo "$ZMARTLITE_DIR"
    return
  fi
  [ -z "${ZMART_STORE_DIR-}" ] || [ ! -d "$ZMART_STORE_DIR" ] || echo "$ZMART_STORE_DIR"
  [ -z "${STATE_DIRECTORY-}" ] || echo "${STATE_DIRECTORY%%:*}"
  [ -z "${XDG_CACHE_HOME-}" ] || echo "$XDG_CACHE_HOME"
  [ -z "${HOME-}" ] || echo "$HOME/.cache"
  echo "/var/tmp/zmart-lite-$(id -u)"
  echo "${TMPDIR:-/tmp}/zmart-lite-$(id -u)"
}

refuse() {
  refused="${refused:+$refused; }$1 $2"
  rmdir "$1/zmart-lite-program" 2>/dev/null
  return 1
}

usable() {
  base=$1/zmart-lite-program
  mkdir -p -m 700 "$1" 2>/dev/null
  [ -d "$base" ] || mkdir -m 700 "$base" 2>/dev/null || refuse "$1" "cannot be written" || return 1
  own "$base" || refuse "$1" "holds a zmart-lite-program of another user" || return 1
  probe=$base/probe.$$
  if ! { printf '#!/bin/sh\nexit 0\n' >"$probe" && chmod 700 "$probe"; } 2>/dev/null; then
    rm -f "$probe"
    refuse "$1" "cannot be written, or is full"
    return 1
  fi
  "$probe" 2>/dev/null
  can_run=$?
  rm -f "$probe"
  [ "$can_run" = 0 ] || refuse "$1" "lets no program run (noexec)" || return 1
  free_mb=$(($(df -Pk "$base" | awk 'NR == 2 { print $4 }') / 1024))
  [ "$free_mb" -ge "$NEEDS_MB" ] || refuse "$1" "has $free_mb MB free of $NEEDS_MB MB needed" || return 1
}

unpack() {
  # What a killed unpacking left.
  for left in "$1"/zmart-lite-program/*.unpacking.*; do
    [ ! -d "$left" ] || kill -0 "${left##*.}" 2>/dev/null || rm -rf "$left"
  done
  work=$1/$program.unpacking.$$
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' HUP INT TERM
  mkdir -m 700 "$work" 2>/dev/null || refuse "$1" "cannot be written" || return 1
  if ! tail -c "+$BEGIN" "$0" 2>/dev/null | tar -xzf - -C "$work" 2>/dev/null || [ ! -x "$work/zmart-lite" ]; then
    rm -rf "$work"
    refuse "$1" "could not take the program (is the disk full, or this file damaged?)"
    return 1
  fi
  # A power cut must not leave a whole folder of empty files.
  sync -f "$work" 2>/dev/null || sync
  mv -T "$work" "$1/$program" 2>/dev/null || [ -x "$1/$program/zmart-lite" ] || refuse "$1" "cannot be written" || return 1
  rm -rf "$work"
  trap - EXIT HUP INT TERM
}

newline='
'
IFS=$newline
set -f
candidates=$(folders)
for folder in $candidates; do
  if own "$folder/zmart-lite-program" && [ -x "$folder/$program/zmart-lite" ]; then
    found=$folder
    break
  fi
done
if [ -z "${found-}" ]; then
  for folder in $candidates; do
    set +f
    if usable "$folder" && unpack "$folder"; then
      found=$folder
      break
    fi
  done
fi
if [ -z "${found-}" ]; then
  echo "zmart-lite: no folder to unpack the program into: $refused. Name one that lets programs run and has" \
    "$NEEDS_MB MB free: ZMARTLITE_DIR=/path/to/folder." >&2
  exit 1
fi
unset IFS
set +f
PATH=$caller_path
exec "$found/$program/zmart-lite" "$@"
