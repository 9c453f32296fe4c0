import { ALERT, HandshakeFailure } from '../src/alerts.ts'
import { ClientHandshake } from '../src/handshake/client-handshake.ts'
import type { Established } from '../src/handshake/handshake.ts'
import { HelloGate } from '../src/handshake/hello-gate.ts'
import { MESSAGE } from '../src/handshake/message.ts'
import type { ClientSessions, ResumableSession, ServerSessions } from '../src/handshake/resumption.ts'
import { ServerHandshake } from '../src/handshake/server-handshake.ts'
import { CLIENT_TRANSITIONS, REFUSED, SERVER_TRANSITIONS, type TransitionTable } from '../src/handshake/transitions.ts'
import type { KeyExchange } from '../src/key-exchange/key-exchange.ts'
import { readRecord } from '../src/records/record.ts'
import { RecordCiphers } from '../src/records/record-cipher.ts'
import { CIPHER_SUITES } from '../src/suites/cipher-suites.ts'
import { TARGET } from './handshake-pair.ts'

const PEER = { address: '127.0.0.1', port: 40_000 }
const secret = (): Buffer => Buffer.alloc(32, 7)
const expectBody = (body: Uint8Array, text: string): void => {
  if (Buffer.from(body).toString() !== text) throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, `Not ${text}.`)
}

/** A key exchange that does nothing but pass through every state of the tables. */
const exchangeOf = (certificate: boolean, hint: boolean): KeyExchange => ({
  name: 'ecdhe-ecdsa',
  server: () => ({
    requestsCertificate: certificate,
    messages: () => [
      ...(certificate ? [{ type: MESSAGE.CERTIFICATE, body: Buffer.from('server certificate') }] : []),
      ...(hint ? [{ type: MESSAGE.SERVER_KEY_EXCHANGE, body: Buffer.from('server key') }] : []),
      ...(certificate ? [{ type: MESSAGE.CERTIFICATE_REQUEST, body: Buffer.from('request') }] : [])
    ],
    certificate: body => {
      expectBody(body, 'client certificate')
      return true
    },
    clientKeyExchange: body => {
      expectBody(body, 'client key')
      return secret()
    },
    certificateVerify: body => expectBody(body, 'signature'),
    identity: () => ({ user: { id: 'sensor' } })
  }),
  client: () => ({
    expectsCertificate: certificate,
    serverCertificate: body => expectBody(body, 'server certificate'),
    serverKeyExchange: body => expectBody(body, 'server key'),
    certificateRequest: body => expectBody(body, 'request'),
    answer: () => ({
      ...(certificate && { certificate: Buffer.from('client certificate'), certificateVerify: () => Buffer.from('signature') }),
      clientKeyExchange: Buffer.from('client key'),
      premaster: secret()
    }),
    identity: () => ({ user: { id: 'server' } })
  })
})

const kept = (): ResumableSession => ({
  id: Buffer.alloc(32, 1),
  suite: CIPHER_SUITES.find(({ exchange }) => exchange === 'ecdhe-ecdsa')!,
  masterSecret: Buffer.alloc(48, 9),
  extendedMasterSecret: true,
  identity: { user: { id: 'sensor' } }
})

/** A handshake of one kind. */
export interface Kind {
  readonly certificate: boolean
  readonly hint: boolean
  readonly resumes: boolean
  readonly ticket: boolean
  readonly cid: boolean
}

const FLAGS = [false, true]
export const KINDS: readonly Kind[] = FLAGS.flatMap(certificate =>
  FLAGS.flatMap(hint => FLAGS.flatMap(resumes => FLAGS.flatMap(ticket => FLAGS.map(cid => ({ certificate, hint, resumes, ticket, cid })))))
).filter(({ certificate, hint, resumes }) => !resumes || (!certificate && !hint))

export type Side = 'client' | 'server'

/** How often each step of both tables was tried, over many handshakes. */
export interface Coverage {
  readonly client: Uint32Array
  readonly server: Uint32Array
}

export const coverage = (): Coverage => ({
  client: new Uint32Array(CLIENT_TRANSITIONS.next.length),
  server: new Uint32Array(SERVER_TRANSITIONS.next.length)
})

const rows = (role: Side, { states, events, next }: TransitionTable, seen: Uint32Array): string[] =>
  states.flatMap((state, row) =>
    events.flatMap((event, column) => {
      const at = row * events.length + column
      const to = next[at] === REFUSED ? 'refused' : states[next[at]!]
      return seen[at] === 0 && next[at] === REFUSED ? [] : [`${role} ${state} ${event} -> ${to}: ${seen[at]}`]
    })
  )

/** A line for each step that the tables have or that was tried: how often. */
export const coverageReport = ({ client, server }: Coverage): string =>
  [...rows('server', SERVER_TRANSITIONS, server), ...rows('client', CLIENT_TRANSITIONS, client)].join('\n')

/** What a test does on the way. */
export interface Attack {
  /** The datagrams that arrive instead of the `index`-th one of the duel. */
  datagram?(bytes: Buffer, from: Side, index: number): readonly Uint8Array[]
  /** The content that is sealed instead of the `index`-th one. */
  sealed?(content: Buffer, from: Side, index: number): Uint8Array
}

/** How a duel has ended. */
export interface Duel {
  readonly client: Established | HandshakeFailure | undefined
  readonly server: Established | HandshakeFailure | undefined
  readonly datagrams: number
}

const MOST_TIME = 35_000

/** Lets both machines shake hands over a network that the attack controls; time passes until both have ended. */
export const duel = (kind: Kind, seen: Coverage, attack: Attack = {}): Duel => {
  let time = 0
  let [datagrams, sealed] = [0, 0]
  const outcome: { client: Duel['client']; server: Duel['server'] } = { client: undefined, server: undefined }
  const queue: { readonly to: Side; readonly bytes: Uint8Array }[] = []
  let server: ServerHandshake | undefined
  const ciphers = new RecordCiphers()
  const exchanges = [exchangeOf(kind.certificate, kind.hint)]
  const settingOf = (side: Side, events: number) => ({
    now: () => time,
    cid: kind.cid ? Buffer.alloc(8, side === 'client' ? 1 : 2) : undefined,
    ciphers,
    exchanges,
    trace: (state: number, event: number): void => void (seen[side][state * events + event]! += 1),
    events: {
      send: (bytes: Uint8Array): void => {
        const arriving = attack.datagram?.(Buffer.from(bytes), side, datagrams) ?? [bytes]
        datagrams++
        for (const changed of arriving) queue.push({ to: side === 'client' ? 'server' : 'client', bytes: Buffer.from(changed) })
      },
      established: (result: Established): void => void (outcome[side] = result),
      failed: (failure: HandshakeFailure): void => void (outcome[side] = failure),
      progressed: (): void => {}
    }
  })
  const intercept = (side: Side, handshake: ClientHandshake | ServerHandshake): void => {
    const { records } = handshake
    const protect = records.protectSending.bind(records)
    records.protectSending = (keys, cid) => {
      protect(keys, cid)
      const sealer = records.sealer!
      const seal = sealer.seal.bind(sealer)
      sealer.seal = (type, content) => seal(type, attack.sealed?.(Buffer.from(content), side, sealed++) ?? content)
    }
  }
  const clientSessions: ClientSessions = {
    offer: () => ({
      ...(kind.resumes && { session: kept() }),
      ...(kind.ticket && { ticket: kind.resumes ? Buffer.from('ticket') : Buffer.alloc(0) })
    }),
    store: () => undefined,
    forget: () => undefined
  }
  const serverSessions: ServerSessions = {
    find: () => (kind.resumes ? kept() : undefined),
    newId: () => Buffer.alloc(32, 3),
    givesTicket: hello => kind.ticket && hello.extensions.has(35),
    ticket: () => Buffer.concat([Buffer.alloc(4), Buffer.from([0, 6]), Buffer.from('ticket')]),
    store: () => undefined
  }
  const client = new ClientHandshake({ ...settingOf('client', CLIENT_TRANSITIONS.events.length), sessions: clientSessions, target: TARGET })
  intercept('client', client)
  const gate = new HelloGate(0)
  const toServer = (bytes: Uint8Array): void => {
    for (let record = readRecord(bytes, 0); record !== undefined; record = readRecord(bytes, record.end)) {
      // A channel lets no second hello through; the machine refuses it too.
      if (!gate.isHello(record) || server !== undefined) server?.receive(record)
      else {
        const verdict = gate.judge(record, PEER, time)
        if (verdict === undefined) continue
        if ('answer' in verdict) queue.push({ to: 'client', bytes: verdict.answer })
        else {
          try {
            server = new ServerHandshake({
              ...settingOf('server', SERVER_TRANSITIONS.events.length),
              sessions: serverSessions,
              peer: PEER,
              hello: verdict.accepted,
              recordSequence: record.sequence
            })
          } catch (error) {
            if (!(error instanceof HandshakeFailure)) throw error
            continue
          }
          intercept('server', server)
          server.begin()
        }
      }
    }
  }
  client.begin()
  while (time <= MOST_TIME) {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (next.to === 'server') toServer(next.bytes)
      else for (let record = readRecord(next.bytes, 0); record !== undefined; record = readRecord(next.bytes, record.end)) client.receive(record)
    }
    const running = [client, server].filter(side => side !== undefined && !side.hasEnded) as (ClientHandshake | ServerHandshake)[]
    if (running.length === 0) break
    time = Math.min(...running.map(({ due }) => due))
    for (const side of running) if (side.due <= time) side.expire()
  }
  return { ...outcome, datagrams }
}
