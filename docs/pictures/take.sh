#!/usr/bin/env bash
# Takes the pictures in this folder anew: the walk through every page leaves most of them (`pages.mjs` says
# which), and a play of `attache demo` its own. Needs what `cargo xtask peers` installs, Chromium (or
# CHROMIUM=/path), and pngquant to make the files small.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$here/../.."
cd "$root"
target="$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')"

cargo xtask peers
cargo build --package attache
ATTACHE_PICTURES="$here" cargo test --package attache --test pages
NODE_PATH="$root/tests/peers/node_modules" "$root/target/peers/node" "$here/take.cjs" "$target/debug/attache" "$here"
pngquant --force --ext .png --skip-if-larger --speed 1 "$here"/*.png || [ $? -eq 98 ]
ls -l "$here"/*.png
