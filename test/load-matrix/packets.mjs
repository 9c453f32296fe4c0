// As few bytes and objects as possible: the load must not be bounded by what makes it.
import net from 'node:net'

const text = value => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}
const packet = (first, ...parts) => {
  const body = Buffer.concat(parts)
  const head = body.length < 128 ? [first, body.length] : [first, (body.length & 127) | 128, body.length >> 7]
  return Buffer.concat([Buffer.from(head), body])
}

export const connectPacket = (version, clientId, receiveMaximum) =>
  packet(
    0x10,
    text('MQTT'),
    Buffer.from([version, 0x82, 0, 0]),
    version === 5 ? Buffer.from([3, 0x21, receiveMaximum >> 8, receiveMaximum & 255]) : Buffer.alloc(0),
    text(clientId),
    text(clientId)
  )

export const subscribePacket = (version, filter, qos) =>
  packet(0x82, Buffer.from([0xff, 0xff]), version === 5 ? Buffer.from([0]) : Buffer.alloc(0), text(filter), Buffer.from([qos]))

export const publishPacket = (version, topic, payload, qos, packetId) =>
  packet(
    0x30 | (qos << 1),
    text(topic),
    qos > 0 ? Buffer.from([packetId >> 8, packetId & 255]) : Buffer.alloc(0),
    version === 5 ? Buffer.from([0]) : Buffer.alloc(0),
    Buffer.from(payload)
  )

/** Opens a connection and sends CONNECT; `handle(type, flags, bytes, start, end)` gets each packet. Resolves when CONNACK has come. */
export const open = (port, version, clientId, handle, closed, receiveMaximum = 1000) =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    let waiting = null
    socket.on('connect', () => socket.write(connectPacket(version, clientId, receiveMaximum)))
    socket.on('error', reject)
    socket.on('close', () => closed())
    socket.on('data', chunk => {
      const bytes = waiting === null ? chunk : Buffer.concat([waiting, chunk])
      let at = 0
      while (at + 2 <= bytes.length) {
        let length = bytes[at + 1]
        let head = 2
        if (length > 127) {
          if (at + 3 > bytes.length) break
          length = (length & 127) | (bytes[at + 2] << 7)
          head = 3
        }
        if (at + head + length > bytes.length) break
        const type = bytes[at] >> 4
        if (type === 2) {
          if (bytes[at + head + 1] === 0) resolve(socket)
          else reject(new Error(`refused with ${bytes[at + head + 1]}`))
        } else handle(type, bytes[at] & 15, bytes, at + head, at + head + length)
        at += head + length
      }
      waiting = at === bytes.length ? null : bytes.subarray(at)
    })
  })
