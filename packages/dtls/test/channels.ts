import { type VirtualClock, type VirtualNetwork, type VirtualNetworkOptions, virtualClock, virtualNetwork } from '@iopa/testing'
import { DEFAULT_LIMITS, type Limits, type SecuredChannel, type SecuredEnd, type SecuredPeer } from '@iopa/transport'
import { type DtlsOptions, dtls } from '../src/index.ts'

export const KEY: Buffer = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')

/** What a channel has reported. */
interface Log {
  readonly opened: SecuredPeer[]
  readonly received: { readonly text: string; readonly peer: SecuredPeer; readonly unproven: boolean }[]
  readonly closed: { readonly peer: SecuredPeer; readonly reason: SecuredEnd }[]
  readonly refused: string[]
}

export interface OpenChannel extends Log {
  readonly channel: SecuredChannel
}

interface ChannelOptions {
  readonly accept?: boolean
  readonly port?: number
  readonly machine?: string
  readonly echo?: boolean
  readonly limits?: Partial<Limits>
}

/** A clock and a network with DTLS channels on them. */
export interface World {
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  open(options: DtlsOptions, channel?: ChannelOptions): Promise<OpenChannel>
  /** A session of a client with the server at port 5684. */
  connect(client: OpenChannel, port?: number): Promise<SecuredPeer>
  settle(milliseconds?: number): Promise<void>
}

const SERVER_PORT = 5684

export const world = (conditions: Omit<VirtualNetworkOptions, 'clock'> = {}): World => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...conditions })
  return {
    clock,
    network,
    open: async (options, { accept = false, port = accept ? SERVER_PORT : 0, machine, echo = accept, limits } = {}) => {
      const log: Log = { opened: [], received: [], closed: [], refused: [] }
      const on = machine === undefined ? network : network.machine(machine)
      const channel = dtls(options).over(await on.bind({ host: '0.0.0.0', port }), {
        clock,
        limits: { ...DEFAULT_LIMITS, ...limits },
        logger: console,
        accept,
        refused: (_, code) => log.refused.push(code)
      })
      channel.open({
        opened: peer => log.opened.push(peer),
        message: (bytes, peer, unproven) => {
          log.received.push({ text: Buffer.from(bytes).toString(), peer, unproven })
          if (echo) peer.send(bytes, unproven ? 'latest' : 'proven')
        },
        closed: (peer, reason) => log.closed.push({ peer, reason }),
        error: error => {
          throw error
        }
      })
      return { ...log, channel }
    },
    connect: (client, port = SERVER_PORT) => {
      const signal = new AbortController().signal
      return clock.runUntil(client.channel.connect({ address: '127.0.0.1', port, host: 'localhost' }, signal), 120_000)
    },
    settle: (milliseconds = 50) => clock.advance(milliseconds)
  }
}
