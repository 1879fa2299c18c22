#!/bin/sh
# generate.sh [DIR] regenerates lethe_onnx.pb.go, here or in DIR, without a diff.
# It needs protoc; the Go plugin is built at the version that go.mod names.
# The version of protoc, which the plugin would note in the header, is left out:
# it does not change the code, and the file would depend on the machine.
set -eu
cd "$(dirname "$0")"
out=${1:-.}

plugin=$(mktemp -d)
trap 'rm -rf "$plugin"' EXIT
go build -o "$plugin/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
protoc --plugin="$plugin/protoc-gen-go" --go_out="$plugin" --go_opt=paths=source_relative lethe_onnx.proto
sed '/^\/\/ \tprotoc  /d' "$plugin/lethe_onnx.pb.go" >"$out/lethe_onnx.pb.go"
