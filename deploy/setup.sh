#!/usr/bin/env bash
# Installs what Trainyard needs to be built or run on Debian 12. Does nothing when all is there.
#
#   deploy/setup.sh build     compilers, libraries and tools to build and test (default)
#   deploy/setup.sh run       only the shared libraries that the finished programs load
set -euo pipefail

build_packages=(
  g++ cmake ninja-build pkg-config ccache lld
  libgrpc++-dev libgrpc-dev libc-ares-dev libre2-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libabsl-dev
  libsqlite3-dev zlib1g-dev libssl-dev libfast-float-dev rapidjson-dev libeigen3-dev libcli11-dev
  prometheus-cpp-dev libonnx-dev libdnnl-dev libgtest-dev libgmock-dev libbenchmark-dev
)
run_packages=(libgrpc++1.51 libprotobuf32 libsqlite3-0 zlib1g libssl3 libprometheus-cpp-pull1.0 libprometheus-cpp-core1.0
              libdnnl2)

case "${1:-build}" in
  build) packages=("${build_packages[@]}") ;;
  run) packages=("${run_packages[@]}") ;;
  *) echo "usage: $0 [build|run]" >&2; exit 2 ;;
esac

missing=()
installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
for package in "${packages[@]}"; do
  grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "set-up: all ${#packages[@]} packages are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "set-up: needs root or sudo to install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "set-up: installing ${#missing[@]} packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
echo "set-up: done"
