import { virtualClock } from '@iopa/testing'
import type { SecuredTarget } from '@iopa/transport'
import { HandshakeFailure } from '../src/alerts.ts'
import { type Credentials, credentialsOf } from '../src/certificates/credentials.ts'
import { ClientHandshake } from '../src/handshake/client-handshake.ts'
import type { Established } from '../src/handshake/handshake.ts'
import { readFragments } from '../src/handshake/reassembly.ts'
import type { ClientSessions, ServerSessions } from '../src/handshake/resumption.ts'
import { ServerHandshake } from '../src/handshake/server-handshake.ts'
import type { KeyExchange } from '../src/key-exchange/key-exchange.ts'
import { keyExchangesOf } from '../src/key-exchange/key-exchanges.ts'
import type { DtlsOptions } from '../src/options.ts'
import { contentOf, readRecord } from '../src/records/record.ts'
import { RecordCiphers } from '../src/records/record-cipher.ts'

export const TARGET: SecuredTarget = { host: 'lamp.example', address: '127.0.0.1', port: 5684 }

/** How two machines meet without a network between them. */
export interface Meeting {
  readonly clock?: ReturnType<typeof virtualClock>
  readonly serverSessions?: ServerSessions
  readonly clientSessions?: ClientSessions
  readonly target?: SecuredTarget
  /** The datagrams that arrive instead of one that was sent. */
  readonly over?: (datagram: Uint8Array, from: 'client' | 'server', index: number) => readonly Uint8Array[]
}

/** What each side has in the end. */
export interface Met {
  readonly server: Established | HandshakeFailure | undefined
  readonly client: Established | HandshakeFailure | undefined
  /** Datagrams that were sent. */
  readonly sent: { readonly client: readonly Uint8Array[]; readonly server: readonly Uint8Array[] }
}

const known = new WeakMap<DtlsOptions, Credentials>()

const exchangesOf = (options: DtlsOptions, clock: ReturnType<typeof virtualClock>): readonly KeyExchange[] => {
  const credentials = known.get(options) ?? credentialsOf(options)
  known.set(options, credentials)
  return keyExchangesOf(options, credentials, clock)
}

/** Lets a server and a client of these options shake hands. The cookie is left out. */
export async function meet(serverOptions: DtlsOptions, clientOptions: DtlsOptions, meeting: Meeting = {}): Promise<Met> {
  const { clock = virtualClock(), serverSessions, clientSessions, target = TARGET, over = (datagram: Uint8Array) => [datagram] } = meeting
  const sent = { client: [] as Uint8Array[], server: [] as Uint8Array[] }
  const arriving: { readonly to: 'client' | 'server'; readonly datagram: Uint8Array }[] = []
  let [server, client]: [ServerHandshake | undefined, ClientHandshake | undefined] = [undefined, undefined]
  const outcome: { server: Met['server']; client: Met['client'] } = { server: undefined, client: undefined }
  const eventsOf = (side: 'client' | 'server') => ({
    send: (datagram: Uint8Array): void => {
      sent[side].push(datagram)
      const to = side === 'client' ? 'server' : 'client'
      for (const changed of over(Buffer.from(datagram), side, sent[side].length - 1)) arriving.push({ to, datagram: changed })
    },
    established: (result: Established): void => void (outcome[side] = result),
    failed: (failure: HandshakeFailure): void => void (outcome[side] ??= failure),
    progressed: (): void => {}
  })
  const now = (): number => clock.elapsed()
  client = new ClientHandshake({
    events: eventsOf('client'),
    now,
    cid: undefined,
    ciphers: new RecordCiphers(),
    exchanges: exchangesOf(clientOptions, clock),
    sessions: clientSessions,
    target
  })
  const receive = (to: 'client' | 'server', datagram: Uint8Array): void => {
    for (let start = 0, record = readRecord(datagram, start); record !== undefined; start = record.end, record = readRecord(datagram, start)) {
      if (to === 'client') client?.receive(record)
      else if (server !== undefined) server.receive(record)
      else {
        const fragment = readFragments(contentOf(record))?.[0]
        if (fragment === undefined) return
        const hello = { type: fragment.type, sequence: fragment.sequence, body: fragment.bytes }
        const setting = { events: eventsOf('server'), now, cid: undefined, ciphers: new RecordCiphers(), sessions: serverSessions }
        server = new ServerHandshake({
          ...setting,
          exchanges: exchangesOf(serverOptions, clock),
          peer: { address: '127.0.0.1', port: 40_000 },
          hello,
          recordSequence: record.sequence
        })
        server.begin()
      }
    }
  }
  client.begin()
  for (let turn = 0; turn < 100 && (arriving.length > 0 || turn < 20); turn++) {
    const next = arriving.shift()
    if (next !== undefined) receive(next.to, next.datagram)
    // Promises of look-ups.
    else await new Promise(resolve => setImmediate(resolve))
  }
  return { ...outcome, sent }
}

/** What a side has when the handshake has succeeded. @throws its failure. */
export const established = (outcome: Met['server']): Established => {
  if (outcome === undefined) throw new Error('The handshake has not ended.')
  if (outcome instanceof HandshakeFailure) throw outcome
  return outcome
}

/** The alert of a handshake that has failed. */
export const alertOf = (outcome: Met['server']): number | undefined => (outcome instanceof HandshakeFailure ? outcome.alert : undefined)
