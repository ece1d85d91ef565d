#!/usr/bin/env bash
# The parts of a release that GoReleaser doesn't make: docs/releasing.md.
#
#   scripts/release.sh env                               installs the C compilers of releases, prints the environment for
#                                                        GoReleaser (make does this)
#   scripts/release.sh prepare VERSION EPOCH COMMIT      manual pages, completions, Homebrew formula: into bin/release
#   scripts/release.sh images [cpu]                      container images of the packages in dist/, cpu: without the one
#                                                        with NVIDIA's libraries
#   scripts/release.sh push REPOSITORY USER              pushes them, GITHUB_TOKEN is the password
#   scripts/release.sh debian FOLDER [SUITE [ARCH]]      installs the smallest Debian, of a machine whose programs run here
#
# images and debian need root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Zig's C compiler (clang) links to a glibc of any age and for any machine. From PyPI, for Linux on x86_64.
zig=0.17.1
zig_sha256=ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54

# Releases are built by this Go whichever is installed: its library is part of the program, with its vulnerabilities.
go=go1.26.10

# The libraries of the image with CUDA, from PyPI; cuDNN compiles with NVRTC.
cuda=(nvidia-cublas-cu12==12.9.3.13 nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-cudnn-cu12==9.28.0.42 nvidia-nccl-cu12==2.32.3)

say() { echo "release: $*" >&2; }
fail() {
	say "$@"
	exit 1
}

pip() {
	"${PYTHON:-python3}" -m pip --version >/dev/null 2>&1 || fail "Python with pip is missing: apt-get install python3-pip"
	"${PYTHON:-python3}" -m pip "$@" >&2
}

# need installs system packages where that is allowed, or names them: need PROGRAM PACKAGE …
need() {
	local missing=()
	while [ $# -gt 0 ]; do
		command -v "$1" >/dev/null || missing+=("$2")
		shift 2
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing ${missing[*]}"
		export DEBIAN_FRONTEND=noninteractive
		{ apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >&2 && return 0
	fi
	fail "missing: apt-get install ${missing[*]}"
}

environment() {
	local folder=$PWD/bin/zig-$zig fetched cuda CPATH='' LIBRARY_PATH=''
	[ -n "$(git remote)" ] || fail "GoReleaser takes the commit and its date from a clone: this repository has no remote"
	need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
	if [ ! -d "$folder" ]; then
		mkdir -p bin
		fetched=$(mktemp -d bin/zig.XXXXXX)
		pip download -q --no-deps --only-binary=:all: -d "$fetched" "ziglang==$zig" || fail "can't fetch ziglang $zig from PyPI"
		echo "$zig_sha256  $(echo "$fetched"/*.whl)" | sha256sum --check --quiet >&2 || fail "ziglang $zig is not the file it was"
		"${PYTHON:-python3}" -m zipfile -e "$fetched"/*.whl "$fetched"
		rm "$fetched"/*.whl
		chmod +x "$fetched/ziglang/zig"
		mv "$fetched" "$folder"
	fi
	# gorgonia.org/cu asks for this machine's headers and libraries, which are not those that are linked to.
	cat >"$folder/cc" <<-'EOT'
		#!/bin/sh
		for flag; do
			shift
			case $flag in -I/usr/include | -L/usr/lib/*) ;; *) set -- "$@" "$flag" ;; esac
		done
		exec "$(dirname "$0")/ziglang/zig" cc "$@"
	EOT
	chmod +x "$folder/cc"
	cuda=$(CC="$folder/cc -target x86_64-linux-gnu.2.28" scripts/cuda.sh env) || exit 1
	eval "$cuda"
	echo "export GOTOOLCHAIN=${GOTOOLCHAIN:-$go} ZIG_CC='$folder/cc' CUDA_INCLUDE='${CPATH%%:*}' CUDA_LIBRARY='${LIBRARY_PATH%%:*}'"
}

prepare() {
	local version=$1 epoch=$2 commit=$3 out=bin/release shell sum
	rm -rf "$out"
	mkdir -p "$out/man" "$out/completions"
	CGO_ENABLED=0 "${GO:-go}" build -buildvcs=false -trimpath -ldflags "-X main.version=v$version" -o "$out/histdist" ./cmd/histdist
	SOURCE_DATE_EPOCH=$epoch "$out/histdist" man "$out/man"
	gzip -n9 "$out"/man/*
	for shell in bash zsh fish; do
		"$out/histdist" completion $shell >"$out/completions/histdist.$shell"
	done
	# Of the archive that GoReleaser makes by the same command.
	sum=$(git archive --format=tar.gz --prefix="histdist-$version/" "$commit" | sha256sum | cut -d' ' -f1)
	sed "s/@VERSION@/$version/g; s/@SHA256@/$sum/" scripts/histdist.rb.in >"$out/histdist.rb"
}

# debian FOLDER [SUITE [ARCH]]: for another machine's architecture packages are unpacked, not configured.
debian() {
	local folder=$1 suite=${2:-bookworm} arch=${3:-amd64}
	need debootstrap debootstrap
	debootstrap --variant=minbase --arch="$arch" "$suite" "$folder" http://deb.debian.org/debian >"$folder.log" 2>&1 ||
		{ tail -5 "$folder.log" >&2; fail "debootstrap failed: $folder.log"; }
	rm "$folder.log"
}

# tarball FOLDER FILE packs a tree in which times and order say nothing of its making.
tarball() {
	tar -C "$1" --sort=name --mtime="@$(git log -1 --format=%ct)" --numeric-owner --xattrs --exclude=./proc/* --exclude=./sys/* -cf "$2" .
}

# images are layouts of the Open Container Initiative: a Debian with the package, and the same with NVIDIA's libraries.
images() {
	local package version image=dist/image work
	package=$(echo dist/histdist_*_amd64.deb)
	[ -e "$package" ] || fail "no package in dist: make release-snapshot"
	version=$(dpkg-deb --field "$package" Version | tr '~' '-')
	need umoci umoci
	work=$(mktemp -d)
	trap "rm -rf '$work'" EXIT

	debian "$work/root"
	cp "$package" "$work/root/histdist.deb"
	chroot "$work/root" sh -euc '
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q
		apt-get install -q -y /histdist.deb
		apt-get clean
		rm -rf /histdist.deb /var/lib/apt/lists/* /var/log/* /var/cache/* /usr/share/doc/* /usr/share/man/*
		useradd --uid 65532 --create-home histdist
		install -d -o histdist -m 1777 /work
		chmod 1777 /home/histdist' >"$work/apt.log" 2>&1 || { tail "$work/apt.log" >&2; fail "the package can't be installed"; }
	tarball "$work/root" "$work/root.tar"

	rm -rf "$image"
	umoci init --layout "$image"
	umoci new --image "$image:$version"
	layer "$image:$version" "$work/root.tar"
	umoci config --image "$image:$version" --os linux --architecture amd64 \
		--config.user 65532:65532 --config.workingdir /work --config.entrypoint histdist --config.cmd --help \
		--config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --config.env HOME=/home/histdist \
		--config.label org.opencontainers.image.source=https://github.com/histdist/histdist \
		--config.label org.opencontainers.image.version="$version" --config.label org.opencontainers.image.licenses=Apache-2.0
	[ "${1:-}" != cpu ] || return 0

	local site=$work/cuda/usr/local/lib/python3/dist-packages
	pip install -q --no-deps --no-compile --only-binary=:all: --root-user-action=ignore --target "$site" "${cuda[@]}" ||
		fail "can't fetch NVIDIA's libraries from PyPI"
	# What the program doesn't open.
	rm -rf "$site"/nvidia/*/include "$site"/nvidia/cublas/lib/libnvblas* "$site"/nvidia/cublas/lib/libcublas.so*
	tarball "$work/cuda" "$work/cuda.tar"
	umoci tag --image "$image:$version" "$version-cuda"
	layer "$image:$version-cuda" "$work/cuda.tar"
	umoci config --image "$image:$version-cuda" \
		--config.env NVIDIA_VISIBLE_DEVICES=all --config.env NVIDIA_DRIVER_CAPABILITIES=compute,utility
	umoci gc --layout "$image"
}

layer() {
	umoci raw add-layer --image "$1" --history.created "$(git log -1 --format=%cI)" "$2"
}

push() {
	local repository=$1 user=$2 tag
	need skopeo skopeo
	for tag in $(umoci list --layout dist/image); do
		skopeo copy --dest-creds "$user:$GITHUB_TOKEN" "oci:dist/image:$tag" "docker://$repository:$tag"
		case $tag in # latest and cuda are the newest release's
		*-cuda) skopeo copy --dest-creds "$user:$GITHUB_TOKEN" "oci:dist/image:$tag" "docker://$repository:cuda" ;;
		*) skopeo copy --dest-creds "$user:$GITHUB_TOKEN" "oci:dist/image:$tag" "docker://$repository:latest" ;;
		esac
	done
}

case ${1:-} in
env) environment ;;
prepare) prepare "$2" "$3" "$4" ;;
images) images "${2:-}" ;;
push) push "$2" "$3" ;;
debian) debian "${@:2}" ;;
need) need "${@:2}" ;;
*) fail "usage: scripts/release.sh env|prepare|images|push|debian" ;;
esac
