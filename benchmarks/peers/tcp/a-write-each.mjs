import net from 'node:net'

/** Cuts the stream into messages of 64 bytes and writes each back by itself. */
export const start = ({ port, host }) =>
  new Promise(resolve => {
    net
      .createServer({ noDelay: true }, socket => {
        let rest = Buffer.alloc(0)
        socket.on('error', () => undefined)
        socket.on('data', chunk => {
          const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
          let at = 0
          for (; at + 64 <= data.length; at += 64) socket.write(data.subarray(at, at + 64))
          rest = data.subarray(at)
        })
      })
      .listen(port, host, resolve)
  })
