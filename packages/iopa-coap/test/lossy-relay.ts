import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decode, isMalformed } from '../src/codec/datagram-codec.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'

/** A datagram that passes through a relay. */
export interface Relayed {
  readonly toServer: boolean
  /** Counted for each direction, from 1. */
  readonly number: number
  readonly message: ReceivedMessage
  /** Milliseconds. */
  readonly time: number
}

/** A way to a server that loses what a test wants it to lose. */
export interface LossyRelay {
  readonly port: number
  /** Everything that came through, also what was dropped, in order. */
  readonly log: readonly (Relayed & { readonly dropped: boolean })[]
  close(): void
}

/** Relays the datagrams of one client after the other to a port on loopback and back; `drops` says which are lost. */
export async function lossyRelay(serverPort: number, drops: (datagram: Relayed) => boolean): Promise<LossyRelay> {
  const front = createSocket('udp4')
  const back = createSocket('udp4')
  front.bind(0, '127.0.0.1')
  back.bind(0, '127.0.0.1')
  await Promise.all([once(front, 'listening'), once(back, 'listening')])
  const log: (Relayed & { dropped: boolean })[] = []
  let client = 0
  const numbers = { toServer: 0, toClient: 0 }
  const pass = (bytes: Uint8Array, toServer: boolean): void => {
    const message = decode(bytes)
    if (isMalformed(message)) return
    const datagram = { toServer, number: ++numbers[toServer ? 'toServer' : 'toClient'], message, time: performance.now() }
    const dropped = drops(datagram)
    log.push({ ...datagram, dropped })
    if (dropped) return
    if (toServer) back.send(bytes, serverPort, '127.0.0.1')
    else front.send(bytes, client, '127.0.0.1')
  }
  front.on('message', (bytes, { port }) => {
    client = port
    pass(bytes, true)
  })
  back.on('message', bytes => pass(bytes, false))
  return {
    port: front.address().port,
    log,
    close() {
      front.close()
      back.close()
    }
  }
}
