import { once } from 'node:events'
import net from 'node:net'

const text = value => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}
const packet = (type, ...parts) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([type, body.length]), body])
}

/** A connection that speaks MQTT 3.1.1; `onPacket(type, body)` gets what comes after the CONNACK. Packets here are shorter than 128 bytes. */
const connect = async (port, id, onPacket) => {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  let rest = Buffer.alloc(0)
  const connected = new Promise(resolve => {
    socket.on('data', chunk => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let at = 0
      while (at + 2 <= rest.length && at + 2 + rest[at + 1] <= rest.length) {
        const end = at + 2 + rest[at + 1]
        if (rest[at] >> 4 === 2) resolve()
        else onPacket(rest[at], rest.subarray(at + 2, end))
        at = end
      }
      rest = rest.subarray(at)
    })
  })
  await once(socket, 'connect')
  socket.write(packet(0x10, text('MQTT'), Buffer.from([4, 2, 0, 60]), text(id)))
  await connected
  return socket
}

let run = 0

// A zero at the ninth byte asks the server of the route to answer each message.
const payload = Buffer.alloc(64, 'x').fill(0, 8, 9)

/** One publisher, one subscriber, messages of 64 bytes, at most `window` on their way; resolves with how many were delivered. */
export const mqttLoad =
  (window, qos, topics = { to: 'bench/t', from: 'bench/t' }) =>
  async (port, seconds) => {
    const name = `bench-${process.pid}-${++run}`
    let delivered = 0
    let outstanding = 0
    let identifier = 0
    let publisher
    const message = () => {
      const id = qos === 0 ? Buffer.alloc(0) : Buffer.from([(identifier = (identifier % 65535) + 1) >> 8, identifier & 255])
      return packet(0x30 | (qos << 1), text(topics.to), id, payload)
    }
    const fill = () => {
      const room = window - outstanding
      if (room < Math.max(1, window >> 3)) return
      outstanding += room
      publisher.write(Buffer.concat(Array.from({ length: room }, message)))
    }
    const acks = []
    const subscriber = await connect(port, `${name}-s`, (type, body) => {
      if (type >> 4 !== 3) return
      delivered++
      outstanding--
      if (qos === 1) {
        acks.push(Buffer.from([0x40, 2, body[9], body[10]]))
        if (acks.length === 1) queueMicrotask(() => subscriber.write(Buffer.concat(acks.splice(0))))
      }
      fill()
    })
    const granted = new Promise(resolve => subscriber.once('data', resolve))
    subscriber.write(packet(0x82, Buffer.from([0, 1]), text(topics.from), Buffer.from([qos])))
    await granted
    publisher = await connect(port, `${name}-p`, () => undefined)
    fill()
    await new Promise(resolve => setTimeout(resolve, seconds * 1000))
    publisher.destroy()
    subscriber.destroy()
    return delivered
  }
