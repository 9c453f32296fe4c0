import { IopaError, type Logger } from '@iopa/constants'
import type { DatagramNetwork } from '../channels/datagram-channel.ts'
import type { SecuredChannel, SecuredDatagrams, SecuredPeer, SecuredReceiver } from '../channels/secured-datagrams.ts'
import type { OpenOptions } from '../contract/link.ts'

/** Each of several addresses has so many milliseconds before the next one is tried beside it. */
const HEAD_START = 500

const UNFINISHED =
  'the DTLS handshake did not finish. Check that DTLS is served there, then identity and key: a server may answer wrong ones late, so wait for 15 s'

/** What a handshake needs. */
export interface Handshake {
  /** The host of the URL, and its addresses. */
  readonly host: string
  readonly addresses: readonly string[]
  readonly port: number
  readonly network: DatagramNetwork
  readonly dtls: SecuredDatagrams
  readonly options: OpenOptions
}

/** The association with a server, on a channel of its own. */
export class Association implements SecuredReceiver {
  readonly channel: SecuredChannel
  peer!: SecuredPeer
  #message: (bytes: Uint8Array, unproven: boolean) => void = () => undefined
  #ended: () => void = () => undefined
  #closed = false
  readonly #place: string
  readonly #refused = new AbortController()

  constructor(channel: SecuredChannel, place: string) {
    this.channel = channel
    this.#place = place
    channel.open(this)
  }

  /** Begins to deliver; `ended` is called once, at once where the association has ended already. */
  begin(message: (bytes: Uint8Array, unproven: boolean) => void, ended: () => void): void {
    this.#message = message
    this.#ended = ended
    if (this.#closed) ended()
  }

  /** Aborted where the system says that nothing listens there; of interest until the handshake is complete, since what says so is not authentic. */
  get refused(): AbortSignal {
    return this.#refused.signal
  }

  opened(): void {}

  message(bytes: Uint8Array, _: SecuredPeer, unproven: boolean): void {
    this.#message(bytes, unproven)
  }

  closed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ended()
  }

  /** What cannot be sent is lost, and then sent again; a port where nothing listens ends the handshake. */
  error(error: Error): void {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED')
      this.#refused.abort(new IopaError(502, 'port-unreachable', `Nothing listens at ${this.#place}: the system says so.`))
  }
}

/** The association with the first address of a host that completes the handshake. Rejects when none does, and with the reason of the signal. */
export const openAssociation = async (handshake: Handshake): Promise<Association> => {
  const { addresses, options } = handshake
  const { clock, signal } = options
  if (addresses.length === 1) return shake(addresses[0]!, handshake, signal)
  const given = new AbortController()
  const attempts: Promise<Association>[] = []
  try {
    for (const address of addresses) {
      const attempt = shake(address, handshake, AbortSignal.any([signal, given.signal]))
      attempts.push(attempt)
      let timer: unknown
      const late = new Promise<undefined>(resolve => {
        timer = clock.setTimeout(() => resolve(undefined), HEAD_START, { keep: true })
      })
      const first = await Promise.race([attempt.catch(() => undefined), late])
      clock.clearTimeout(timer)
      if (first !== undefined) return first
    }
    return await Promise.any(attempts).catch(({ errors }: AggregateError) => Promise.reject(errors[0]))
  } finally {
    given.abort()
  }
}

const shake = async (address: string, { host, port, network, dtls, options }: Handshake, signal: AbortSignal): Promise<Association> => {
  const { clock, limits } = options
  signal.throwIfAborted()
  const isIpv6 = address.includes(':')
  const bound = await network.bind({ host: isIpv6 ? '::' : '0.0.0.0', port: 0, peer: { address, port } })
  let association: Association | undefined
  try {
    options.waitsFor?.(UNFINISHED)
    association = new Association(dtls.over(bound, { clock, limits, logger: SILENT, accept: false }), `${isIpv6 ? `[${address}]` : address}:${port}`)
    association.peer = await association.channel.connect({ host, address, port }, AbortSignal.any([signal, association.refused]))
    signal.throwIfAborted()
    return association
  } catch (error) {
    await (association?.channel ?? bound).close()
    throw error
  }
}

/** A client has no log: what fails is said by its promises. */
const SILENT: Logger = { error() {}, warn() {}, info() {}, debug() {} }
