// Pairs of channels in which what one side seals is changed. Nothing waits: time is a number, and every key is at hand.
import { type DatagramReceiver, DEFAULT_LIMITS, type SecuredChannel, type SecuredEnd, type SecuredPeer } from '@iopa/transport'
import { credentialsOf } from '../src/certificates/credentials.ts'
import { DtlsChannel } from '../src/channel/dtls-channel.ts'
import type { KeyExchange } from '../src/key-exchange/key-exchange.ts'
import { keyExchangesOf } from '../src/key-exchange/key-exchanges.ts'
import type { DtlsOptions } from '../src/options.ts'
import { clientSessions } from '../src/sessions/client-sessions.ts'
import { serverSessions } from '../src/sessions/server-sessions.ts'
import { SessionStore } from '../src/sessions/session-store.ts'
import { CIPHER_SUITES } from '../src/suites/cipher-suites.ts'
import { authority, issue, NOW } from './certificate-authority.ts'
import { KEY } from './channels.ts'

export const MOST_DATAGRAMS = 200

/** Time that passes when a test says so, at once. */
class QuickClock {
  time = 0
  #order = 0
  readonly #timers = new Map<number, { readonly due: number; readonly callback: () => void }>()

  now(): number {
    return NOW + this.time
  }

  elapsed(): number {
    return this.time
  }

  setTimeout(callback: () => void, milliseconds: number): number {
    this.#timers.set(++this.#order, { due: this.time + milliseconds, callback })
    return this.#order
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as number)
  }

  get pending(): number {
    return this.#timers.size
  }

  advance(milliseconds: number): void {
    const until = this.time + milliseconds
    for (;;) {
      let next: number | undefined
      let due = until
      // The first of those that are due together.
      for (const [order, timer] of this.#timers) if (timer.due < due || (timer.due === due && next === undefined)) [next, due] = [order, timer.due]
      if (next === undefined) break
      const { callback } = this.#timers.get(next)!
      this.#timers.delete(next)
      this.time = due
      callback()
    }
    this.time = until
  }
}

/** A suite with what both sides prove, and the sessions that its handshakes share: a handshake without curves is many times as fast. */
export interface SessionKind {
  readonly suite: string
  readonly proof: 'psk' | 'certificate' | 'rpk'
  readonly cid: boolean
  readonly options: { readonly server: DtlsOptions; readonly client: DtlsOptions }
  readonly stores: { readonly server: SessionStore; readonly client: SessionStore }
}

/** Sessions of all kinds last as long as the tests. */
const LASTING = { now: () => NOW, elapsed: () => 0 }

const optionsOf = (): Readonly<Record<SessionKind['proof'], SessionKind['options']>> => {
  const root = authority()
  const [server, sensor] = [issue({ name: 'lamp', names: ['localhost'] }, root), issue({ name: 'sensor' }, root)]
  const publicPem = ({ publicKey }: typeof server): string => publicKey.export({ format: 'pem', type: 'spki' }) as string
  return {
    psk: { server: { psk: { sensor: KEY } }, client: { psk: { sensor: KEY } } },
    certificate: {
      server: { key: server.key, cert: server.cert, ca: root.cert, requestCert: true },
      client: { key: sensor.key, cert: sensor.cert, ca: root.cert }
    },
    rpk: {
      server: { key: server.key, rawPublicKeys: { sensor: publicPem(sensor) } },
      client: { key: sensor.key, rawPublicKeys: { lamp: publicPem(server) } }
    }
  }
}

/** Every suite with each proof that it can have, with connection ids and without. */
export const sessionKinds = (): readonly SessionKind[] => {
  const options = optionsOf()
  return CIPHER_SUITES.flatMap(({ name, exchange }) =>
    (exchange === 'ecdhe-ecdsa' ? (['certificate', 'rpk'] as const) : (['psk'] as const)).flatMap(proof =>
      [false, true].map(cid => ({
        suite: name,
        proof,
        cid,
        options: options[proof],
        stores: { server: new SessionStore(LASTING), client: new SessionStore(LASTING) }
      }))
    )
  )
}

/** One side of a pair, and what it has reported. */
interface End {
  readonly channel: SecuredChannel
  readonly opened: SecuredPeer[]
  readonly received: string[]
  readonly closed: SecuredEnd[]
}

/** The exchange with servers that choose this suite alone. */
const onlyWith = (suite: string, { server, ...exchange }: KeyExchange): KeyExchange => ({
  ...exchange,
  ...(server !== undefined && { server: parameters => (parameters.suite.name === suite ? server(parameters) : undefined) })
})

const read = new WeakMap<DtlsOptions, ReturnType<typeof credentialsOf>>()

const exchangesOf = (options: DtlsOptions, suite: string, clock: QuickClock): readonly KeyExchange[] => {
  const credentials = read.get(options) ?? credentialsOf(options)
  read.set(options, credentials)
  return keyExchangesOf(options, credentials, clock).map(exchange => onlyWith(suite, exchange))
}

/** Two channels over a network of one clock. */
export interface HostilePair {
  readonly clock: QuickClock
  readonly server: End
  readonly client: End
  /** What was thrown where nothing may be thrown. */
  readonly failures: readonly unknown[]
  /** Datagrams that were sent. */
  sent(): number
}

/** A server and a client of one kind; `extra` gives datagrams that go out before the next one. */
export const hostilePair = ({ suite, cid, options, stores }: SessionKind, resumes: boolean, extra: () => readonly Uint8Array[]): HostilePair => {
  const clock = new QuickClock()
  const receivers = new Map<number, DatagramReceiver>()
  const failures: unknown[] = []
  let sent = 0
  const open = (port: number, accept: boolean): End => {
    const below = {
      localAddress: '127.0.0.1',
      localPort: port,
      raw: undefined,
      open: (receiver: DatagramReceiver): void => void receivers.set(port, receiver),
      send: (bytes: Uint8Array, to: number): void => {
        sent++
        const datagrams = [...extra(), Buffer.from(bytes)]
        const deliver = (): void => {
          try {
            for (const datagram of datagrams) receivers.get(to)?.message(datagram, '127.0.0.1', port)
          } catch (error) {
            failures.push(error)
          }
        }
        if (sent < MOST_DATAGRAMS) clock.setTimeout(deliver, 1)
      },
      close: async (): Promise<void> => void receivers.delete(port)
    }
    const end: Omit<End, 'channel'> = { opened: [], received: [], closed: [] }
    const channel = new DtlsChannel(
      below,
      { clock, limits: DEFAULT_LIMITS, logger: console, accept },
      {
        exchanges: exchangesOf(accept ? options.server : options.client, suite, clock),
        ...(resumes && { serverSessions: serverSessions(stores.server), clientSessions: clientSessions(stores.client) }),
        cid,
        idle: 86_400_000
      }
    )
    channel.open({
      opened: peer => void end.opened.push(peer),
      message: (bytes, peer) => {
        if (accept && !end.opened.includes(peer)) failures.push(new Error('A message came before its session.'))
        end.received.push(Buffer.from(bytes).toString('latin1'))
      },
      closed: (_, reason) => void end.closed.push(reason),
      error: error => void failures.push(error)
    })
    return { ...end, channel }
  }
  return { clock, server: open(5684, true), client: open(40_000, false), failures, sent: () => sent }
}
