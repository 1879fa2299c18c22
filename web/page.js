"use strict"
const $ = id => document.getElementById(id)
let worker = null
let name = ""
let url = ""

// What each verdict means to somebody who wants to load the file.
const verdicts = {
  clean: ["Clean", "Every byte was read. Loading this file runs nothing."],
  notice: ["Nothing harmful", "There is more in it than tensors, all of it known and harmless."],
  unknown: ["Unknown", "It names things that nobody here knows. Loading it may run anything."],
  incomplete: ["Not read to its end", "Something in it could not be read, so nobody can say that it is safe."],
  danger: ["Dangerous", "Do not load it: it runs code, or two programs see different contents in it."],
}

function start() {
  worker = new Worker("worker.js")
  worker.onmessage = ({ data }) => {
    if (data.ready) $("status").textContent = "Ready. Nothing that you choose leaves this device."
    else if (data.opened) show(data.opened)
    else if (data.written) save(data.written, data.format)
    else fail(data.error)
  }
  worker.onerror = e => {
    fail("The file was too much for this tab: " + (e.message || "out of memory") + ". Use ptcheck on your machine.")
    worker.terminate()
    start()
  }
}

function fail(message) {
  busy(false)
  $("status").textContent = message
}

function busy(is) {
  $("busy").hidden = !is
  for (const b of document.querySelectorAll(".get button")) b.disabled = is || b.dataset.off === "yes"
}

function open(file) {
  if (!file) return
  name = file.name
  $("result").hidden = true
  $("status").textContent = `Reading ${name} …`
  busy(true)
  worker.postMessage({ open: file })
}

// Everything from a file is put on the page as text; the drawing was made by the
// program, which escapes names.
function line(list, parts, className) {
  const li = document.createElement("li")
  if (className) li.className = className
  for (const [tag, text] of parts) {
    const e = document.createElement(tag)
    e.textContent = visible(text)
    li.append(e, " ")
  }
  list.append(li)
}

// Characters that nobody sees, or that turn the order of others, are written out.
const visible = s => String(s).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, c => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"))

function fill(id, lines) {
  $(id).replaceChildren()
  for (const l of lines) line($(id), [["span", l]])
}

function show(o) {
  if (o.error) return fail(o.error)
  busy(false)
  const [title, text] = verdicts[o.verdict] || verdicts.incomplete
  $("verdict").className = "verdict " + o.verdict
  $("verdict-title").textContent = title
  $("verdict-text").textContent = text
  $("kind").textContent = visible(`${name}: ${o.kind}`)
  $("findings").replaceChildren()
  for (const f of o.findings.slice(0, 200)) line($("findings"), [["strong", f.level], ["code", f.what], ["span", f.why], ["small", f.member || ""]], f.level)
  for (const g of o.gaps.slice(0, 200)) line($("findings"), [["strong", "not read"], ["span", g.what], ["small", g.member || ""]], "unknown")
  const unlisted = o.more + Math.max(o.findings.length - 200, 0) + Math.max(o.gaps.length - 200, 0)
  if (unlisted) line($("findings"), [["span", `and ${unlisted} more`]])

  $("contents-text").textContent = o.unread ? visible(o.unread) : `${o.count.toLocaleString("en")} tensor${o.count === 1 ? "" : "s"}, ${o.elements.toLocaleString("en")} numbers, format ${o.format}.` + (o.count > o.tensors.length ? ` The first ${o.tensors.length} are listed.` : "")
  fill("beside", o.beside.map(b => "beside the tensors: " + b))
  const rows = o.tensors.map(t => {
    const tr = document.createElement("tr")
    for (const [tag, text] of [["th", t.name], ["td", t.dtype], ["td", t.shape.join(" × ") || "scalar"]]) {
      const cell = document.createElement(tag)
      if (tag === "th") cell.scope = "row"
      cell.textContent = visible(text)
      tr.append(cell)
    }
    return tr
  })
  $("tensors").replaceChildren(...rows)
  $("table").hidden = rows.length === 0
  $("network-text").textContent = visible(o.network || o.no_network || "Without tensors there is no network.")
  $("drawing").innerHTML = o.drawing || ""
  $("drawing").hidden = !o.drawing
  fill("notes", o.notes)
  for (const [id, can] of [["get-onnx", o.can_onnx], ["get-safetensors", o.can_weights]]) {
    $(id).dataset.off = can ? "" : "yes"
    $(id).disabled = !can
  }
  $("get-text").textContent = o.can_weights ? "" : "Nothing can be written, because no tensors were found."
  fill("lost", o.lost.map(l => "not in the safetensors file: " + l))
  $("download").hidden = true
  $("result").hidden = false
  $("drawing").scrollLeft = ($("drawing").scrollWidth - $("drawing").clientWidth) / 2
  $("status").textContent = `${name}: ${title}`
  $("verdict-title").focus()
}

function save(blob, format) {
  busy(false)
  if (url) URL.revokeObjectURL(url)
  url = URL.createObjectURL(blob)
  const a = $("download")
  a.href = url
  a.download = name.replace(/\.[^.]*$/, "") + "." + format
  a.textContent = `Save ${a.download} (${(blob.size / 1e6).toFixed(1)} MB)`
  a.hidden = false
  a.focus()
  $("status").textContent = `${a.download} is ready.`
}

function write(format) {
  busy(true)
  $("status").textContent = `Writing ${format} …`
  worker.postMessage({ write: format })
}

$("file").addEventListener("click", e => { e.target.value = "" }) // so that the same file, written anew, is a change
$("file").addEventListener("change", e => open(e.target.files[0]))
$("get-onnx").addEventListener("click", () => write("onnx"))
$("get-safetensors").addEventListener("click", () => write("safetensors"))
for (const event of ["dragover", "dragenter"]) document.addEventListener(event, e => { e.preventDefault(); $("drop").classList.add("over") })
document.addEventListener("dragleave", () => $("drop").classList.remove("over"))
document.addEventListener("drop", e => { e.preventDefault(); $("drop").classList.remove("over"); open(e.dataTransfer.files[0]) })
start()
