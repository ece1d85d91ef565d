#!/usr/bin/env bash
# Builds a release twice, compares the two, and installs and runs each package in a clean root by the commands of
# README.md, up to the first virtual stain: make release-check. As root, on Debian or Ubuntu for amd64. Nothing is
# published.
#
#   scripts/release-check.sh [PART …]    some of: build again files deb archive rpm arm64 windows image
#
# All but build take what is in dist/. KEEP=1 keeps the roots, in TMPDIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ "$(id -u)" = 0 ] || { echo "release-check: run it as root: it makes root folders of other systems" >&2; exit 1; }
parts=("$@")
[ $# -gt 0 ] || parts=(build again files deb archive rpm arm64 windows image)
work=$(mktemp -d "${TMPDIR:-/tmp}/release-check.XXXXXX")
# Wine's server writes for some seconds after the last program.
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work" 2>/dev/null || { sleep 10; rm -rf "$work"; }' EXIT

fail() {
	echo "release-check: $*" >&2
	exit 1
}

# commands NAME prints the block of commands that README.md marks so.
commands() {
	local text
	text=$(awk -v mark="<!-- install: $1 -->" '$0 == mark {on = 1; next} on && /^```/ {if (++fence == 2) exit; next} on' README.md)
	[ -n "$text" ] || fail "README.md has no block <!-- install: $1 -->"
	echo "$text"
}

# within ROOT SCRIPT runs a script of sh in a root, with a /proc and nothing of this machine's environment.
within() {
	local root=$1
	shift
	unshare --mount --pid --fork --mount-proc="$root/proc" chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -euxc "$*"
}

# root NAME [SUITE [ARCH]] makes a clean root in $work/NAME, which asks no questions, with a folder /download.
root() {
	scripts/release.sh debian "$work/$1" "${@:2}"
	echo 'APT::Get::Assume-Yes "true";' >"$work/$1/etc/apt/apt.conf.d/yes"
	mkdir -p "$work/$1/download"
}

# stained FOLDER checks that a demonstration has left its images there.
stained() {
	local name
	for name in virtual-er-panel.png virtual-er.png slide/virtual-er.ome.tiff; do
		[ -s "$1/demo/$name" ] || fail "no $name in $1/demo"
	done
}

# installed ROOT checks what a package has besides the program.
installed() {
	local file
	for file in usr/bin/histdist usr/share/man/man1/histdist-translate.1.gz \
		usr/share/bash-completion/completions/histdist usr/share/fish/vendor_completions.d/histdist.fish; do
		[ -s "$1/$file" ] || fail "the package has no /$file"
	done
	ls "$1"/usr/share/zsh/*/_histdist >/dev/null || fail "the package has no completion for zsh"
}

version() { sed -n 's/.*"version":"\([^"]*\)".*/\1/p' dist/metadata.json; }

build() { make --no-print-directory release-snapshot; }

# again builds in another folder, with nothing in Go's cache. The tools are the same.
again() {
	local clone=$work/again/elsewhere tool
	git clone -q . "$clone"
	mkdir -p "$clone/bin/cuda"
	for tool in bin/goreleaser-* bin/cyclonedx-gomod-* bin/zig-*; do ln -s "$PWD/$tool" "$clone/bin/"; done
	cp -R bin/cuda/packages-* "$clone/bin/cuda/"
	GOCACHE=$work/again/cache ZIG_GLOBAL_CACHE_DIR=$work/again/zig make --no-print-directory -C "$clone" release-snapshot
	diff dist/checksums.txt "$clone/dist/checksums.txt" || fail "the same commit gave other bytes"
	echo "both builds: $(wc -l <dist/checksums.txt) files with equal hashes"
	rm -rf "$work/again"
}

files() {
	local archive newest name
	(cd dist && sha256sum --check --quiet --ignore-missing checksums.txt) || fail "dist/ is not what its checksums say"
	for archive in dist/*.tar.gz dist/*.zip; do
		case $archive in
		*_source.tar.gz) continue ;;
		*.zip) unzip -Z1 "$archive" ;;
		*) tar -tzf "$archive" ;;
		esac >"$work/list"
		for name in LICENSE NOTICE README.md CHANGELOG.md man/histdist.1.gz completions/histdist.zsh; do
			grep -q "/$name$" "$work/list" || fail "$archive has no $name"
		done
		[ -s "${archive/.tar.gz/.cdx.json}" ] || [ -s "${archive/.zip/.cdx.json}" ] || fail "$archive has no SBOM"
	done
	for name in dist/*.cdx.json; do
		python3 -c 'import json, sys
bom = json.load(open(sys.argv[1]))
names = {c["name"] for c in bom["components"]}
missing = {"std", "gorgonia.org/gorgonia", "modernc.org/sqlite"} - names
sys.exit(f"{sys.argv[1]} lacks {missing}" if bom["bomFormat"] != "CycloneDX" or missing else 0)' "$name"
	done
	# What .goreleaser.yaml promises of the C library.
	for name in dist/linux-*/histdist; do
		newest=$(objdump -T "$name" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
		[ "$(printf '%s\nGLIBC_2.28\n' "$newest" | sort -V | tail -1)" = GLIBC_2.28 ] || fail "$name needs $newest"
		echo "$name needs $newest, $(objdump -p "$name" | awk '/NEEDED/ {printf "%s ", $2}')"
	done
	python3 -c 'import json, sys
manifest, sums = json.load(open("dist/scoop/histdist.json")), open("dist/checksums.txt").read()
for machine in manifest["architecture"].values():
    line = machine["hash"] + "  " + machine["url"].rsplit("/", 1)[1]
    if line not in sums: sys.exit("scoop: no file has " + line)'
	grep -q "$(sed -n 's/^  sha256 "\(.*\)"/\1/p' bin/release/histdist.rb)  histdist_.*_source.tar.gz" dist/checksums.txt ||
		fail "the Homebrew formula has the hash of another source"
	if command -v ruby >/dev/null; then ruby -c bin/release/histdist.rb; fi
}

deb() {
	root deb
	cp dist/*_amd64.deb "$work/deb/download/"
	within "$work/deb" "cd /download; $(commands deb)
		histdist doctor --quick; histdist --version"
	installed "$work/deb"
	stained "$work/deb/download"
	[ "$(within "$work/deb" histdist --version 2>/dev/null)" = "histdist version v$(version)" ] || fail "the package has another version"
	within "$work/deb" 'histdist doctor --quick' 2>/dev/null >"$work/doctor"
	grep -q '^device cpu *yes' "$work/doctor" || fail "the package has no fast device"
	grep -q '^openslide *[0-9]' "$work/doctor" || fail "the package doesn't bring OpenSlide"
	within "$work/deb" 'apt-get remove histdist; ! command -v histdist' >/dev/null
}

# The archive runs on a system without a compiler, as old as Debian still has.
archive() {
	root archive bullseye
	cp dist/*_linux_amd64.tar.gz "$work/archive/download/"
	within "$work/archive" "! command -v cc; cd /download; $(commands archive)"
	stained "$work/archive"/download/histdist_*_linux_amd64
}

# There is no Fedora to be had, so the package goes into a Debian, whose files rpm doesn't know: --nodeps.
rpm_() {
	scripts/release.sh need rpm rpm
	root rpm
	rpm --root "$work/rpm" --initdb
	rpm -qp --requires dist/*.x86_64.rpm
	rpm --root "$work/rpm" --nodeps --noscripts -i dist/*.x86_64.rpm
	installed "$work/rpm"
	within "$work/rpm" "cd /download; $(commands rpm | grep -v '^dnf ')"
	stained "$work/rpm/download"
}

arm64() {
	local handler=/proc/sys/fs/binfmt_misc/qemu-aarch64
	scripts/release.sh need qemu-aarch64-static qemu-user-static
	if [ ! -e $handler ]; then # the kernel runs programs of this machine by qemu, in any root
		[ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
		printf '%s' ':qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' \
			>/proc/sys/fs/binfmt_misc/register
	fi
	root arm64 bookworm arm64
	cp dist/*_arm64.deb "$work/arm64/download/"
	within "$work/arm64" "uname -m; cd /download; $(commands deb | sed 's/_amd64/_arm64/')
		histdist doctor --quick"
	installed "$work/arm64"
	stained "$work/arm64/download"
}

windows() {
	local run=$PWD/scripts/windows.sh
	[ -x /usr/lib/wine/wine64 ] || scripts/release.sh need wine64 wine64 # Debian's is not in the path
	mkdir "$work/windows"
	unzip -q dist/*_windows_amd64.zip -d "$work/windows"
	(cd "$work"/windows/* && export WINEPREFIX=$work/wine && "$run" run ./histdist.exe doctor --quick && "$run" run ./histdist.exe demo)
	stained "$work"/windows/*
}

# The program runs as the image says: as its user, in its folder, with its environment.
image() {
	local tag bundle
	scripts/release.sh images
	for tag in $(umoci list --layout dist/image); do
		bundle=$work/image-$tag
		umoci unpack --image "dist/image:$tag" "$bundle" >/dev/null
		python3 - "$bundle" <<'PYTHON'
import json, os, subprocess, sys
bundle = sys.argv[1]
process = json.load(open(bundle + "/config.json"))["process"]
user, args = process["user"], process["args"]
if user["uid"] == 0 or args[0] != "histdist":
    sys.exit(f"the image runs {args} as {user}")
environment = dict(e.split("=", 1) for e in process["env"])
def run(*arguments):
    print("+ histdist", *arguments, flush=True)
    subprocess.run(["unshare", "--mount", "--pid", "--fork", "--mount-proc=" + bundle + "/rootfs/proc", "chroot",
        f"--userspec={user['uid']}:{user['gid']}", bundle + "/rootfs", "/bin/sh", "-euc", 'cd "$0"; exec "$@"',
        process["cwd"], "histdist", *arguments], env=environment, check=True)
run("--version")
run("doctor", "--quick")
run("demo")
PYTHON
		stained "$bundle/rootfs/work"
		case $tag in
		*-cuda) [ -e "$bundle"/rootfs/usr/local/lib/python3/dist-packages/nvidia/cudnn/lib/libcudnn.so.9 ] || fail "$tag has no cuDNN" ;;
		esac
		rm -rf "$bundle"
	done
}

scripts/release.sh need unzip unzip objdump binutils
for part in "${parts[@]}"; do
	echo "== $part"
	case $part in
	rpm) rpm_ ;;
	build | again | files | deb | archive | arm64 | windows | image) $part ;;
	*) fail "no part $part" ;;
	esac
	echo "== $part: done after $SECONDS s"
done
