"""The applets of busybox that a base image links: a shell and tools for files, text and processes.

Left out on purpose: servers and clients of the network, mounts, users, kernel modules
and package tools; a benchmark's container can do nothing with them.
"""

_NAMES = """
[ ash awk base64 basename cat chmod chown cmp cp cut date dd df diff dirname dmesg du echo egrep env expr
false fgrep find fold free getopt grep groups gunzip gzip head hexdump hostname id kill killall less link
ln logname ls md5sum mkdir mkfifo mktemp more mv nl nologin nproc od paste patch pidof printf ps pwd
readlink realpath renice reset rev rm rmdir sed seq sh sha1sum sha256sum sha512sum shuf sleep sort
stat strings stty sync tac tail tar taskset tee test time timeout top touch tr true truncate tty uname
uniq unlink unzip uptime usleep vi wc which who whoami xargs xxd xzcat yes zcat
"""
APPLETS: tuple[str, ...] = tuple(_NAMES.split())
