#!/bin/sh
# Installs the release that this file lies in. It can also be used where it was unpacked:
# bin/staplegun finds the library beside it.
#
# usage: ./install.sh [--prefix DIR] [--libdir DIR] [--sysconfdir DIR] [--destdir DIR]
#   --prefix      where to: /usr/local for root, ~/.local for others
#   --libdir      where the library goes: PREFIX/lib
#   --sysconfdir  where the agent's configuration goes: /etc for root, PREFIX/etc for others
#   --destdir     a root to install into, for who makes a package
# It prints each file that it wrote. To remove them, feed that to `xargs -d '\n' rm`.
set -eu

usage() {
    sed -n '/^# usage/,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 64
}

prefix= libdir= sysconfdir= destdir=
while [ $# -gt 0 ]; do
    case $1 in
        --*=*) value=${1#*=} ;;
        --prefix | --libdir | --sysconfdir | --destdir) [ $# -gt 1 ] || usage; value=$2 ;;
        *) usage ;;
    esac
    case $value in
        /*) ;;
        *) echo "install.sh: $1: '$value' is not an absolute path" >&2; exit 64 ;;
    esac
    case $1 in
        --prefix*) prefix=$value ;;
        --libdir*) libdir=$value ;;
        --sysconfdir*) sysconfdir=$value ;;
        --destdir*) destdir=$value ;;
        *) usage ;;
    esac
    case $1 in *=*) shift ;; *) shift 2 ;; esac
done
if [ "$(id -u)" -eq 0 ]; then
    : "${prefix:=/usr/local}" "${sysconfdir:=/etc}"
else
    : "${prefix:=$HOME/.local}" "${sysconfdir:=$prefix/etc}"
fi
: "${libdir:=$prefix/lib}"
# LD_PRELOAD is split at blanks and colons, and what follows is written by sed.
case $prefix$libdir in
    *[:\ \|\&]*) echo "install.sh: no blank, colon, | or & may be in $prefix or $libdir" >&2; exit 64 ;;
esac

cd "$(dirname "$0")"
umask 022

# Standard input into a file: written beside its place and moved there, since programs may have
# the old one mapped.
place() {
    mkdir -p "$(dirname "$destdir$1")"
    cat > "$destdir$1.new"
    chmod "$2" "$destdir$1.new"
    mv -f "$destdir$1.new" "$destdir$1"
    echo "$destdir$1"
}

# With the paths that hold from now on.
adapted() {
    sed -e "s|^prefix=.*|prefix=$prefix|" -e "s|^libdir=.*|libdir=$libdir|" \
        -e "s|=/bin/staplegun|=$prefix/bin/staplegun|" "$1"
}

find bin lib include share etc ! -type d | LC_ALL=C sort -r | while IFS= read -r file; do
    case $file in
        bin/* | share/staplegun/hooks/*) place "$prefix/$file" 755 < "$file" ;;
        lib/pkgconfig/*) adapted "$file" | place "$libdir/${file#lib/}" 644 ;;
        lib/systemd/*) adapted "$file" | place "$prefix/$file" 644 ;;
        lib/lib*)
            target=$libdir/${file#lib/}
            if [ -L "$file" ]; then
                mkdir -p "$destdir$libdir"
                ln -sfn "$(readlink "$file")" "$destdir$target"
                echo "$destdir$target"
            else
                place "$target" 755 < "$file"
            fi ;;
        # What the operator wrote stays.
        etc/*)
            target=$sysconfdir/${file#etc/}
            [ -e "$destdir$target" ] || place "$target" 644 < "$file" ;;
        *) place "$prefix/$file" 644 < "$file" ;;
    esac
done
