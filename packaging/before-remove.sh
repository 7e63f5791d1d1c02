#!/bin/sh
# What .rpm, .apk and Arch's package run before their files go. rpm calls it in an upgrade as
# well, with 1.
set -eu
[ "${1-}" != 1 ] || exit 0
if [ -d /run/systemd/system ]; then
    systemctl disable --now staplegun.service staplegun-fill.service
fi
