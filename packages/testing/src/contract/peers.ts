import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A peer of a test, and where it is. */
export interface Peer {
  readonly url: string
  close(): Promise<void>
}

/** `url` with another port of loopback. */
const at = (url: string, port: number): string => {
  const moved = new URL(url)
  moved.hostname = '127.0.0.1'
  moved.port = String(port)
  return moved.href
}

const listening = async (server: Server): Promise<number> => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const closing = async (server: Server, sockets: Iterable<Socket>): Promise<void> => {
  const closed = once(server, 'close')
  server.close()
  for (const socket of sockets) socket.destroy()
  await closed
}

/** Accepts connections, or takes datagrams where `datagrams` is true, but neither reads nor answers. */
export const silentPeer = async (url: string, datagrams: boolean): Promise<Peer> => {
  if (datagrams) {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return { url: at(url, socket.address().port), close: async () => void socket.close() }
  }
  const sockets = new Set<Socket>()
  const server = createServer({ pauseOnConnect: true }, socket => {
    socket.on('error', () => undefined)
    sockets.add(socket)
  })
  return { url: at(url, await listening(server)), close: () => closing(server, sockets) }
}

/** A relay to the server of a URL. */
export interface Relay extends Peer {
  /** Breaks its connections; others may be made. */
  drop(): void
  /** Breaks its connections, and accepts no further ones. */
  cut(): void
}

export const relay = async (url: string): Promise<Relay> => {
  const sockets = new Set<Socket>()
  const { hostname, port } = new URL(url)
  let open = true
  const server = createServer(socket => {
    if (!open) {
      socket.destroy()
      return
    }
    const inner = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) })
    for (const one of [socket, inner]) {
      sockets.add(one)
      one.on('error', () => undefined)
      one.on('close', () => {
        socket.destroy()
        inner.destroy()
      })
    }
    socket.pipe(inner).pipe(socket)
  })
  const drop = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
    sockets.clear()
  }
  return {
    url: at(url, await listening(server)),
    drop,
    cut: () => {
      open = false
      drop()
    },
    close: () => closing(server, sockets)
  }
}
