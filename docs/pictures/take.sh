#!/usr/bin/env bash
# Takes the pictures in this folder anew: plays `attache demo` in a real browser.
# Needs Rust, Node 20 or newer with npm, Chromium (or CHROMIUM=/path), and pngquant to make the files small.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$here/../.."
cd "$root"
target="$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')"

cargo build --package attache
npm install --prefix "$target/pictures" --no-audit --no-fund --ignore-scripts --silent playwright-core@1.65.1
NODE_PATH="$target/pictures/node_modules" node "$here/take.cjs" "$target/debug/attache" "$here"
pngquant --force --ext .png --skip-if-larger --speed 1 "$here"/*.png || [ $? -eq 98 ]
ls -l "$here"/*.png
