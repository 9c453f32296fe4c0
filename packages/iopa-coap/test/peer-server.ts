import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { RawPeer } from './raw-peer.ts'

/** A port that is free for UDP and TCP on loopback now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const tcp = createServer().listen(0, '127.0.0.1')
    await once(tcp, 'listening')
    const { port } = tcp.address() as { port: number }
    const udp = createSocket('udp4')
    try {
      udp.bind(port, '127.0.0.1')
      await once(udp, 'listening')
      return port
    } catch {
      // Taken for UDP: another one.
    } finally {
      udp.close()
      tcp.close()
      await once(tcp, 'close')
    }
  }
}

/** libcoap's server as a process. */
export interface PeerServer extends AsyncDisposable {
  readonly port: number
  readonly process: ChildProcess
}

/** Starts a coap-server on loopback and waits until it answers a ping. */
export async function startPeerServer(program: string, ...args: string[]): Promise<PeerServer> {
  const port = await freePort()
  const child = spawn(program, ['-A', '127.0.0.1', '-p', String(port), ...args], { stdio: 'ignore' })
  const peer = await RawPeer.to(port)
  for (let attempt = 0; ; attempt++) {
    try {
      peer.send('40004242')
      await peer.nextBytes(100)
      break
    } catch (error) {
      if (attempt === 50 || child.exitCode !== null) throw error
    }
  }
  peer.close()
  return {
    port,
    process: child,
    async [Symbol.asyncDispose]() {
      child.kill()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
  }
}

/** A way to a port that carries TCP alone, and counts its connections: what passes here did not go over UDP. */
export async function tcpOnly(port: number): Promise<AsyncDisposable & { readonly port: number; readonly connections: () => number }> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer(front => {
    connections++
    const back = connect(port, '127.0.0.1')
    front.pipe(back).pipe(front)
    for (const socket of [front, back]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}
