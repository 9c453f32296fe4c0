import dgram from 'node:dgram'
import { once } from 'node:events'

const IN_FLIGHT = 64
const SOCKETS = 8
const LOST_AFTER = 500

/** Keeps 64 datagrams in flight over 8 sockets; `make(socket, slot)` gives one, `slotOf(answer)` says whose answer it is. */
const datagramLoad = async (port, seconds, make, slotOf) => {
  const sockets = await Promise.all(
    Array.from({ length: SOCKETS }, async () => {
      const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 1 << 22 })
      socket.connect(port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    })
  )
  const sent = new Float64Array(IN_FLIGHT)
  let answered = 0
  let running = true
  const send = slot => {
    sent[slot] = performance.now()
    sockets[slot % SOCKETS].send(make(slot % SOCKETS, slot))
  }
  for (const socket of sockets) {
    socket.on('message', message => {
      const slot = slotOf(message)
      if (!running || slot === undefined) return
      answered++
      send(slot)
    })
  }
  for (let slot = 0; slot < IN_FLIGHT; slot++) send(slot)
  const sweep = setInterval(() => {
    const now = performance.now()
    for (let slot = 0; slot < IN_FLIGHT; slot++) if (now - sent[slot] > LOST_AFTER) send(slot)
  }, 50)
  await new Promise(resolve => setTimeout(resolve, seconds * 1000))
  running = false
  clearInterval(sweep)
  for (const socket of sockets) socket.close()
  return answered
}

/** Confirmable requests to /hello. Each socket counts its own message ids, so that no server can answer from its de-duplication. */
export const coapLoad = method => {
  const ids = new Uint16Array(SOCKETS).map(() => Math.random() * 65536)
  const path = Buffer.from('\xb5hello', 'latin1')
  const body = method === 'put' ? Buffer.concat([Buffer.from([0xff]), Buffer.alloc(200, 'x')]) : Buffer.alloc(0)
  const tokens = new Uint32Array(IN_FLIGHT)
  const make = (socket, slot) => {
    const id = ++ids[socket]
    const head = Buffer.from([0x44, method === 'put' ? 3 : 1, id >> 8, id & 255, slot, 0, 0, 0])
    head.writeUIntBE((tokens[slot] = (tokens[slot] + 1) & 0xffffff), 5, 3)
    return Buffer.concat([head, path, body])
  }
  const slotOf = answer => (answer.length >= 8 && answer.readUIntBE(5, 3) === tokens[answer[4]] && answer[1] >> 5 === 2 ? answer[4] : undefined)
  return (port, seconds) => datagramLoad(port, seconds, make, slotOf)
}

/** Datagrams of 64 bytes that come back. */
export const udpLoad = () => {
  const message = slot => Buffer.alloc(64, slot)
  return (port, seconds) =>
    datagramLoad(
      port,
      seconds,
      (_, slot) => message(slot),
      answer => answer[0]
    )
}
