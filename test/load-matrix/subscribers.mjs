// Subscribers that are fast, slow and dead. `fork`ed with { port, version, fast, slow, dead }.
import { open, subscribePacket } from './packets.mjs'

const { port, version, fast, slow, dead } = JSON.parse(process.argv[2])
const totals = { fast: 0, slow: 0, closed: 0, expelled: 0, outrun: 0 }

const acknowledge = (bytes, flags, start) => {
  if ((flags & 6) === 0) return null
  const at = start + 2 + ((bytes[start] << 8) | bytes[start + 1])
  return Buffer.from([0x40, 2, bytes[at], bytes[at + 1]])
}

for (let at = 0; at < fast; at++) {
  let acknowledgements = []
  const socket = await open(
    port,
    version,
    `fast${at}`,
    (type, flags, bytes, start) => {
      if (type !== 3) return
      totals.fast++
      const answer = acknowledge(bytes, flags, start)
      if (answer === null) return
      acknowledgements.push(answer)
      if (acknowledgements.length > 1) return
      setImmediate(() => {
        socket.write(Buffer.concat(acknowledgements))
        acknowledgements = []
      })
    },
    // A queue of QoS 1 is bounded, however fast its client is.
    () => (at % 2 === 0 ? totals.closed++ : totals.outrun++)
  )
  socket.write(subscribePacket(version, 'work/#', at % 2))
}
/** One that takes a little now and then, and acknowledges it. */
const slowSubscriber = async name => {
  const socket = await open(
    port,
    version,
    name,
    (type, flags, bytes, start) => {
      if (type !== 3) return
      totals.slow++
      const answer = acknowledge(bytes, flags, start)
      if (answer !== null) socket.write(answer)
      socket.pause()
      setTimeout(() => socket.resume(), 20)
    },
    () => totals.expelled++
  ).catch(() => null)
  socket?.write(subscribePacket(version, 'work/#', 1))
}
for (let at = 0; at < slow; at++) await slowSubscriber(`slow${at}`)
for (let at = 0; at < dead; at++) {
  const socket = await open(port, version, `dead${at}`, () => undefined, () => totals.expelled++)
  socket.write(subscribePacket(version, '#', at % 2))
  setTimeout(() => socket.pause(), 50)
}

process.send('ready')
process.on('message', message => {
  if (message === 'totals') process.send(totals)
  else process.exit(0)
})
