// Opens idle connections from a process of its own, which has descriptors of its own: `node idle-peers.mjs <count> <port>...`.
// Says `open <count>` when all are, holds them until a line comes in, drops them, and says `closed`.
import net from 'node:net'

const [count, ...ports] = process.argv.slice(2).map(Number)
const sockets = new Set()

const open = port =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' }, () => {
      socket.off('error', reject)
      socket.on('error', () => undefined)
      resolve()
    })
    socket.once('error', reject)
    socket.on('close', () => sockets.delete(socket))
    sockets.add(socket)
  })

// More at once would overflow the backlog of a listener.
for (let at = 0; at < count; at += 500) {
  await Promise.all(Array.from({ length: Math.min(500, count - at) }, (_, index) => open(ports[(at + index) % ports.length])))
}
console.log(`open ${sockets.size}`)
await new Promise(resolve => process.stdin.once('data', resolve))
for (const socket of sockets) socket.resetAndDestroy()
console.log('closed')
process.stdin.destroy()
