import type { DatagramChannel, Endpoint, Limits } from '@iopa/transport'

const SLOTS = 1024

/** Endpoints of the latest peers, so that a peer that sends again costs nothing; bounded, as addresses can be forged. */
export class Endpoints {
  readonly #channel: DatagramChannel
  readonly #limits: Limits
  readonly #slots: (Endpoint | undefined)[] = new Array<Endpoint | undefined>(SLOTS).fill(undefined)

  constructor(channel: DatagramChannel, limits: Limits) {
    this.#channel = channel
    this.#limits = limits
  }

  of(address: string, port: number): Endpoint {
    const slot = port % SLOTS
    const known = this.#slots[slot]
    if (known !== undefined && known.remotePort === port && known.remoteAddress === address) return known
    const { localAddress, localPort, raw } = this.#channel
    const endpoint: Endpoint = {
      scheme: 'udp',
      protocol: 'UDP/1.0',
      remoteAddress: address,
      remotePort: port,
      localAddress,
      localPort,
      tls: false,
      sessionId: `${localAddress}:${localPort}-${address}:${port}`,
      rawTransport: raw,
      bodyLimit: this.#limits.body
    }
    this.#slots[slot] = endpoint
    return endpoint
  }
}
