#!/bin/sh
# What .rpm, .apk and Arch's package run before their files go. rpm calls it in an upgrade as
# well, with 1.
set -eu
[ "${1-}" != 1 ] || exit 0
if [ -d /run/systemd/system ]; then
    # Node.js does not start where NODE_OPTIONS names a script that is not there.
    for file in /etc/systemd/system/*.service.d/staplegun.conf; do
        if grep -qs '/staplegun/node\.cjs' "$file"; then
            unit=${file%.d/staplegun.conf}
            staplegun disable "${unit##*/}"
        fi
    done
    systemctl disable --now staplegun.service staplegun-fill.service
fi
