import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { RawPeer } from './raw-peer.ts'

const listens = async (port: number): Promise<boolean> => {
  const tcp = createServer()
  const udp = createSocket('udp4')
  try {
    tcp.listen(port, '127.0.0.1')
    await once(tcp, 'listening')
    udp.bind(port, '127.0.0.1')
    await once(udp, 'listening')
    return true
  } catch {
    return false
  } finally {
    udp.close()
    if (tcp.listening) tcp.close()
  }
}

/**
 * A port that is free for UDP and TCP on loopback now, and the one after it too: libcoap takes that for TLS.
 * Below those that the system gives out by itself, so that nothing else of the tests takes it meanwhile.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + 2 * Math.floor(Math.random() * 6000)
    if ((await listens(port)) && (await listens(port + 1))) return port
  }
}

/** libcoap's server as a process. */
export interface PeerServer extends AsyncDisposable {
  readonly port: number
  readonly process: ChildProcess
}

/** Starts a coap-server on loopback and waits until it answers a ping. Another program may take the port meanwhile: then it starts again on another. */
export async function startPeerServer(program: string, ...args: string[]): Promise<PeerServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(await freePort(), program, args)
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

async function startOn(port: number, program: string, args: readonly string[]): Promise<PeerServer> {
  const child = spawn(program, ['-A', '127.0.0.1', '-p', String(port), ...args], { stdio: 'ignore' })
  const peer = await RawPeer.to(port)
  for (let attempt = 0; ; attempt++) {
    try {
      peer.send('40004242')
      await peer.nextBytes(100)
      break
    } catch (error) {
      if (attempt < 50 && child.exitCode === null) continue
      peer.close()
      child.kill()
      throw error
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
