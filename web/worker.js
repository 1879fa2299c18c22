// Runs the Go program beside the page, so that the page stays alive, and reads
// the file in slices: no more than a few megabytes of it are in memory at once.
"use strict"
importScripts("wasm_exec.js")

const go = new Go()
let file = null
const reader = new FileReaderSync()
const read = (at, n) => new Uint8Array(reader.readAsArrayBuffer(file.slice(at, at + n)))

async function load() {
  const response = await fetch("lethe.wasm")
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), go.importObject)
  go.run(instance) // ends when the worker does
}

const ready = load()
ready.then(() => postMessage({ ready: true }), e => postMessage({ error: "The program cannot be loaded: " + e.message }))

onmessage = async ({ data }) => {
  await ready
  try {
    if (data.open) {
      file = data.open
      postMessage({ opened: JSON.parse(letheOpen(read, file.size)) })
    } else {
      let parts = []
      const message = letheWrite(data.write, bytes => parts.push(new Blob([bytes])))
      if (message) postMessage({ error: message })
      else postMessage({ written: new Blob(parts), format: data.write })
    }
  } catch (e) {
    postMessage({ error: e.message })
  }
}
