#!/bin/sh
# Regenerates lethe_onnx.pb.go without a diff. It needs protoc; the Go plugin is
# built at the version that go.mod names. protoc's own version, which the plugin
# would note in the header, is left out: it does not change the code, and it
# would make the file depend on the machine.
set -eu
cd "$(dirname "$0")"

plugin=$(mktemp -d)
trap 'rm -rf "$plugin"' EXIT
go build -o "$plugin/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
protoc --plugin="$plugin/protoc-gen-go" --go_out=. --go_opt=paths=source_relative lethe_onnx.proto
sed '/^\/\/ \tprotoc  /d' lethe_onnx.pb.go >"$plugin/out"
cat "$plugin/out" >lethe_onnx.pb.go
