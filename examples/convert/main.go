// Command convert turns the state dict of a LeNet into ONNX: convert in.pt out.onnx.
package main

import (
	"log"
	"os"

	"lethe/convert"
	"lethe/onnxio"
	"lethe/pickle"
)

func run(in, out string) error {
	f, err := os.Open(in)
	if err != nil {
		return err
	}
	defer f.Close() // tensors are read when the model is written
	info, err := f.Stat()
	if err != nil {
		return err
	}
	checkpoint, err := pickle.Decode(f, info.Size(), pickle.Options{})
	if err != nil {
		return err
	}
	network, err := convert.Recognize(checkpoint.StateDict())
	if err != nil {
		return err
	}
	to, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := onnxio.Encode(to, network, checkpoint.StateDict(), onnxio.EncodeOptions{}); err != nil {
		return err
	}
	return to.Close()
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: convert in.pt out.onnx")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
