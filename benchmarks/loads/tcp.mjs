import net from 'node:net'

const SIZE = 64

/** Messages of 64 bytes that come back: `depth` outstanding on each of `connections`; resolves with how many came. */
export const tcpLoad = (connections, depth) => async (port, seconds) => {
  let done = 0
  const burst = Buffer.alloc(SIZE * depth, 'm')
  const sockets = Array.from({ length: connections }, () => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    let part = 0
    socket.on('connect', () => socket.write(burst))
    socket.on('data', chunk => {
      part += chunk.length
      const whole = Math.floor(part / SIZE)
      part -= whole * SIZE
      done += whole
      if (whole > 0) socket.write(burst.subarray(0, whole * SIZE))
    })
    socket.on('error', () => undefined)
    return socket
  })
  await new Promise(resolve => setTimeout(resolve, seconds * 1000))
  for (const socket of sockets) socket.destroy()
  return done
}
