package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"syscall/js"
)

// main gives the worker two functions. letheOpen(read, size) returns JSON, where
// read(at, n) gives bytes of the file; letheWrite(format, put) returns a message,
// "" if put(bytes) got all of the file.
func main() {
	debug.SetMemoryLimit(1 << 30)
	var current *opened
	js.Global().Set("letheOpen", js.FuncOf(func(_ js.Value, args []js.Value) any {
		current = nil
		r := &blocks{size: int64(args[1].Float()), read: func(at int64, n int) (data []byte, err error) {
			defer caught(&err)
			got := args[0].Invoke(float64(at), n)
			data = make([]byte, got.Length())
			js.CopyBytesToGo(data, got)
			return data, nil
		}}
		var answer any
		var err error
		func() {
			defer caught(&err)
			current, err = open(r, r.size)
		}()
		if answer = current; err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		b, err := json.Marshal(answer)
		if err != nil {
			return fmt.Sprintf(`{"error":%q}`, err)
		}
		return string(b)
	}))
	js.Global().Set("letheWrite", js.FuncOf(func(_ js.Value, args []js.Value) any {
		if current == nil {
			return "there is no file"
		}
		w := &chunks{put: func(p []byte) (err error) {
			defer caught(&err)
			to := js.Global().Get("Uint8Array").New(len(p))
			js.CopyBytesToJS(to, p)
			args[1].Invoke(to)
			return nil
		}}
		err := current.write(w, args[0].String())
		if err == nil {
			err = w.flush()
		}
		if err != nil {
			return err.Error()
		}
		return ""
	}))
	select {}
}

// caught turns an exception of JavaScript into an error.
func caught(err *error) {
	switch e := recover().(type) {
	case nil:
	case js.Error:
		*err = errors.New(e.Error())
	default:
		panic(e)
	}
}
