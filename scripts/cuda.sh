#!/usr/bin/env bash
# What a build for NVIDIA's GPUs needs, on machines with and without one. Everything goes to bin/cuda.
#
#   scripts/cuda.sh env      prepares and prints the environment for `go build -tags gpu` (make gpu does this)
#   scripts/cuda.sh fake     builds the fake driver and libraries of the tests, which run the kernels on the processor
#   scripts/cuda.sh check    checks that ptx/gen_*.ptx match the kernels' sources and assemble for sm_80 and sm_90
#   scripts/cuda.sh pack FOLDER FILE.tar   packs programs into FILE.tar.xz, or FILE.tar.gz without xz and Python's lzma
#   scripts/cuda.sh fetch    fetches what the others need; exit code 3 if it can't
#   scripts/cuda.sh kernels  makes ptx/gen_FAMILY.ptx from each FAMILY.cu in graph/device/internal/cuda/internal/kernels
#
# Headers come from a CUDA toolkit 12.x (CUDA_PATH, /usr/local/cuda) or else from NVIDIA's package on PyPI. The kernels'
# compiler is always the pinned one from PyPI: another one makes other PTX. Environment: PYTHON (python3), CC (gcc), CXX
# (g++).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The oldest CUDA 12 whose headers gorgonia.org/cu and cuDNN 9 know: its PTX runs on drivers from 530 on.
release=12.1.105
out=$PWD/bin/cuda
packages=$out/packages-$release
source=graph/device/internal/cuda/internal
kernels=$source/kernels ptx=$source/kernels/ptx fake=$source/fakegpu

say() { echo "cuda: $*" >&2; }

# package NAME unpacks a package of NVIDIA's from PyPI; it needs no installation.
package() {
	local mark=$packages/.$1
	[ -e "$mark" ] && return
	local python=${PYTHON:-python3}
	if ! "$python" -m pip --version >/dev/null 2>&1; then
		say "$1 $release is missing, and there is no pip to fetch it: install a CUDA toolkit 12.x and set CUDA_PATH, or pip:"
		say "  Debian, Ubuntu: apt-get install python3-pip    Fedora: dnf install python3-pip    or set PYTHON to a Python that has it"
		exit 1
	fi
	say "fetching $1 $release"
	mkdir -p "$packages"
	local fetched
	fetched=$(mktemp -d "$out/fetch.XXXXXX")
	"$python" -m pip download -q --no-deps --only-binary=:all: -d "$fetched" "$1==$release" >&2 || {
		rm -rf "$fetched"
		say "can't fetch $1 $release from PyPI: is there a network? On this kind of machine NVIDIA publishes it for Linux on x86_64 and aarch64"
		exit 1
	}
	"$python" -m zipfile -e "$fetched"/*.whl "$packages"
	rm -rf "$fetched"
	touch "$mark"
}

# headers sets include to a folder with cuda.h of CUDA 12.
headers() {
	for include in "${CUDA_PATH:-/usr/local/cuda}/include" /usr/local/cuda-12*/include /opt/cuda/include /usr/include; do
		if grep -qE '^#define CUDA_VERSION 12[0-9]{3}' "$include/cuda.h" 2>/dev/null; then return; fi
	done
	package nvidia-cuda-runtime-cu12
	include=$packages/nvidia/cuda_runtime/include
}

# driver makes bin/cuda/libcuda.a, to link in place of NVIDIA's driver: see driver/libcuda/trampoline.c.
driver() {
	headers
	local stamp
	stamp="${CC:-gcc} $include $(sha256sum "$source/driver/libcuda/trampoline.c" "$include/cuda.h" | sha256sum)"
	if [ -e "$out/libcuda.a" ] && [ "$(cat "$out/libcuda.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
	local work cc=${CC:-gcc}
	work=$(mktemp -d)
	echo '#include <cuda.h>' | $cc -E -P -I"$include" -xc - | tr '\n' ' ' | grep -oE 'CUresult +cu[A-Za-z0-9_]+ *\(' |
		sed -E 's/CUresult +([A-Za-z0-9_]+).*/FUNCTION(\1)/' | sort -u >"$work/functions.h"
	$cc -O2 -Wall -fPIC -I"$work" -c -o "$work/trampoline.o" "$source/driver/libcuda/trampoline.c"
	rm -f "$out/libcuda.a"
	ar rcs "$out/libcuda.a" "$work/trampoline.o"
	rm -rf "$work"
	echo "$stamp" >"$out/libcuda.stamp"
}

fake() {
	headers
	local cxx=${CXX:-g++}
	if ! command -v "$cxx" >/dev/null; then
		say "the fake driver of the tests needs a C++ compiler: apt-get install g++, dnf install gcc-c++, or set CXX"
		exit 1
	fi
	mkdir -p "$out/fake"
	local f=$out/fake/libcuda.so.1
	if [ -e "$f" ] && [ -e "$out/fake/libcublasLt.so.12" ] && [ -e "$out/fake/libnccl.so.2" ] && [ -z "$(find "$fake" "$source/cudnn/dnn.h" "$kernels"/*.cu "$kernels"/*.cuh -newer "$f")" ]; then return; fi
	local family object stamp=$out/fake/begun
	touch "$stamp.new"
	# Products and sums stay apart, as the code has them: what the GPU fuses is for the GPU to show.
	set -- -std=c++17 -O3 -march=native -ffp-contract=off -fPIC -fvisibility=hidden -pthread -Wall -Wno-unknown-pragmas -Wno-unused-function -I"$include"
	local objects=()
	for family in $(families); do
		object=$out/fake/$family.o
		objects+=("$object")
		# A family is compiled again when it, or what all of them include, has changed.
		if [ -e "$object" ] && [ -z "$(find "$fake" "$kernels/$family.cu" "$kernels"/*.cuh -newer "$object" -type f)" ]; then continue; fi
		$cxx "$@" -DFAMILY="\"../kernels/$family.cu\"" -c -o "$object.new" "$fake/kernels.cc"
		touch -r "$stamp.new" "$object.new"
		mv "$object.new" "$object"
	done
	$cxx "$@" -shared -o "$f.new" "${objects[@]}" "$fake/blocks.cc" "$fake/driver.cc"
	touch -r "$stamp.new" "$f.new"
	mv "$f.new" "$f"
	# NVIDIA's libraries, which give their work to the fake driver.
	local library
	for library in cublasLt.so.12 cudnn.so.9 nccl.so.2; do
		$cxx "$@" -shared -o "$out/fake/lib$library.new" "$fake/$(echo "${library%%.*}" | tr A-Z a-z).cc" -L"$out/fake" -l:libcuda.so.1 '-Wl,-rpath,$ORIGIN'
		mv "$out/fake/lib$library.new" "$out/fake/lib$library"
	done
	rm -f "$stamp.new"
}

# families lists the kernels' files.
families() { (cd "$kernels" && printf '%s\n' *.cu | sed 's/\.cu$//'); }

# compile FOLDER makes the kernels' PTX there.
compile() {
	package nvidia-cuda-nvrtc-cu12
	local family nvrtc=$packages/nvidia/cuda_nvrtc/lib
	${CC:-gcc} -O1 -o "$out/ptxc" "$kernels/ptxc/main.c" -ldl
	for family in $(families); do
		(cd "$kernels" && LD_LIBRARY_PATH=$nvrtc "$out/ptxc" "$nvrtc/libnvrtc.so.12" "$family.cu" "$1/gen_$family.ptx.new" \
			--gpu-architecture=compute_80 --std=c++17)
		mv "$1/gen_$family.ptx.new" "$1/gen_$family.ptx"
	done
}

check() {
	rm -rf "$out/check"
	mkdir -p "$out/check"
	compile "$out/check"
	local made
	made=$(cd "$ptx" && for f in gen_*.ptx; do cmp -s "$f" "$out/check/$f" || echo "$f"; done; cd "$out/check" && for f in *; do [ -e "$OLDPWD/$f" ] || echo "$f"; done)
	if [ -n "$made" ]; then
		say "$ptx/gen_*.ptx are not those of the sources: make them with scripts/cuda.sh kernels"
		exit 1
	fi
	package nvidia-cuda-nvcc-cu12
	local family arch ptxas=$packages/nvidia/cuda_nvcc/bin/ptxas
	chmod +x "$ptxas"
	for arch in sm_80 sm_90; do
		for family in $(families); do
			"$ptxas" -arch=$arch -o "$out/check/$family-$arch.cubin" "$ptx/gen_$family.ptx"
		done
		say "the kernels assemble for $arch: $(cat "$out"/check/*-$arch.cubin | wc -c) bytes"
	done
}

# pack makes one file of programs that share most of their code: together they pack into a fifth, with a dictionary that
# spans several of them.
pack() {
	local from=$1 to=$2
	rm -f "$to".*
	if command -v xz >/dev/null; then
		tar -C "$from" -cf - . | xz -T1 --lzma2=preset=3,dict=192MiB >"$to.new"
		mv "$to.new" "$to.xz"
	elif "${PYTHON:-python3}" -c 'import lzma' 2>/dev/null; then
		tar -C "$from" -cf - . | "${PYTHON:-python3}" -c 'import lzma, shutil, sys
with lzma.open(sys.argv[1], "wb", filters=[{"id": lzma.FILTER_LZMA2, "preset": 3, "dict_size": 192 << 20}]) as f:
    shutil.copyfileobj(sys.stdin.buffer, f)' "$to.new"
		mv "$to.new" "$to.xz"
	else
		tar -C "$from" -czf "$to.gz" .
	fi
	say "$(ls "$to".*z): $(($(stat -c %s "$to".*z) >> 20)) MiB"
}

mkdir -p "$out"
case ${1:-} in
env)
	driver
	# Not CGO_LDFLAGS, with which go would compile the processor's kernels once more, but the compiler's own variables.
	# Folders on the command line, such as gorgonia.org/cu's, precede LIBRARY_PATH: if one has a libcuda.so, ours must
	# come first there.
	echo "export CPATH='$include${CPATH:+:$CPATH}' LIBRARY_PATH='$out${LIBRARY_PATH:+:$LIBRARY_PATH}'"
	for folder in /usr/local/cuda/lib64 /usr/local/cuda/lib /usr/lib/x86_64-linux-gnu /opt/cuda/lib64 /opt/cuda/lib; do
		[ -e "$folder/libcuda.so" ] || continue
		echo "export CGO_LDFLAGS='${CGO_LDFLAGS:--O2 -g} -L$out'"
		break
	done
	;;
fake) fake ;;
fetch) (headers && package nvidia-cuda-nvrtc-cu12 && package nvidia-cuda-nvcc-cu12) || exit 3 ;;
check) check ;;
pack) pack "$2" "$3" ;;
kernels)
	rm -f "$ptx"/gen_*.ptx
	compile "$PWD/$ptx"
	;;
*)
	say "usage: scripts/cuda.sh env|fake|check|kernels|pack|fetch"
	exit 2
	;;
esac
