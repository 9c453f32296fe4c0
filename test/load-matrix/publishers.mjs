// Publishers at their receive maximum, in a process of their own. `fork`ed with { port, version, count, window, asks }.
import { open, publishPacket } from './packets.mjs'

const { port, version, count, window, asks } = JSON.parse(process.argv[2])
const totals = { acknowledged: 0, refused: 0, closed: 0, answered: 0 }
let stopping = false

/** One publisher; of every message that is acknowledged the next one is written at once. */
const publisher = async (index, name, topic, answers) => {
  const packets = new Map()
  const packetOf = id => {
    let bytes = packets.get(id)
    // Topics of its own, so that its messages are handled side by side.
    if (bytes === undefined) packets.set(id, (bytes = publishPacket(version, `${topic}/${name}/${id}`, 'x'.repeat(60), 1, id)))
    return bytes
  }
  let out = []
  const flush = socket => {
    if (out.length === 0) return
    const bytes = out.length === 1 ? out[0] : Buffer.concat(out)
    out = []
    socket.write(bytes)
  }
  let socket = null
  const handle = (type, flags, bytes, start, end) => {
    if (type === 4) {
      const id = (bytes[start] << 8) | bytes[start + 1]
      if (end - start > 2 && bytes[start + 2] >= 0x80) totals.refused++
      else totals.acknowledged++
      if (!stopping) out.push(packetOf(id))
    } else if (type === 3 && answers) {
      // A question: its answer goes to a topic of its own.
      const topicEnd = start + 2 + ((bytes[start] << 8) | bytes[start + 1])
      const payload = bytes.toString('latin1', topicEnd + ((flags & 6) > 0 ? 2 : 0) + (version === 5 ? 1 : 0), end)
      totals.answered++
      out.push(publishPacket(version, `answer/${payload}`, 'y', 0, 0))
    } else if (type === 14) totals.refused++
    if (out.length === 1) setImmediate(() => flush(socket))
  }
  socket = await open(port, version, name, handle, () => {
    if (!stopping) totals.closed++
  })
  if (answers) {
    const { subscribePacket } = await import('./packets.mjs')
    socket.write(subscribePacket(version, `question/${name}`, 0))
  }
  return () => {
    for (let id = 1; id <= window; id++) out.push(packetOf(id))
    flush(socket)
  }
}

const starts = []
for (let at = 0; at < count; at += 50) {
  starts.push(...(await Promise.all(Array.from({ length: Math.min(50, count - at) }, (_, index) => publisher(at + index, `p${at + index}`, 'work', false)))))
}
for (let at = 0; at < asks; at++) starts.push(await publisher(at, `q${at}`, 'ask', true))
process.send('ready')
process.on('message', message => {
  if (message === 'go') for (const start of starts) start()
  else if (message === 'totals') process.send(totals)
  else {
    stopping = true
    process.exit(0)
  }
})
