#!/bin/sh
# What .rpm, .apk and Arch's package run once their files are there. Nothing is enabled or
# started; an agent that runs already is started again, with the new program.
set -eu
if command -v ldconfig >/dev/null; then ldconfig; fi
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers staplegun.conf
    systemd-tmpfiles --create staplegun.conf
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart staplegun.service
fi
