// Handshakes with one thing wrong, in every state of both tables. IOPA_MUTATIONS=1000000 makes the long run.
import { seededRandom } from '@iopa/testing'
import { expect, test } from 'vitest'
import { HandshakeFailure } from '../src/alerts.ts'
import type { Established } from '../src/handshake/handshake.ts'
import { MESSAGE, MESSAGE_HEADER, messageHeader } from '../src/handshake/message.ts'
import { CLIENT_TRANSITIONS, eventNumber, REFUSED, SERVER_TRANSITIONS, type TransitionTable } from '../src/handshake/transitions.ts'
import { plainRecord, RECORD_HEADER, readRecord } from '../src/records/record.ts'
import { type Attack, type Coverage, coverage, coverageReport, type Duel, duel, KINDS, type Side } from './duel.ts'

const RUNS = Number(process.env['IOPA_MUTATIONS'] ?? 300)
const TYPES = Object.values(MESSAGE)
const MOST_DATAGRAMS = 60

const isEstablished = (outcome: Duel['client']): outcome is Established => outcome !== undefined && !(outcome instanceof HandshakeFailure)

/** What must hold whatever was changed. Plain conditions: there are many. */
const check = ({ client, server, datagrams }: Duel): void => {
  if (client === undefined) throw new Error('The client has not ended.')
  if (datagrams >= MOST_DATAGRAMS) throw new Error(`${datagrams} datagrams were sent.`)
  for (const outcome of [client, server])
    if (outcome instanceof HandshakeFailure && outcome.cause !== undefined) throw new Error('A step has thrown.', { cause: outcome.cause })
  if (!isEstablished(client) || !isEstablished(server)) return
  const [sent, received] = [client.records.sealer!.keys.secrets, server.records.opener!.keys.secrets]
  if (server.identity.user?.id !== 'sensor' || Buffer.compare(sent, received) !== 0) throw new Error('The two sides do not agree.')
}

/** A handshake message that is whole, in a record of its own. */
const forged = (type: number, sequence: number): Buffer =>
  plainRecord(22, 0xfefd, 2 ** 40, Buffer.concat([messageHeader(type, 0, sequence), Buffer.alloc(0)]))

/** The number of the next message that a side has to send, and the datagrams that it is to arrive before. */
const sequences = (
  kind: (typeof KINDS)[number]
): { readonly from: Side; readonly sequence: number; readonly index: number; readonly cut: number }[] => {
  const places: { from: Side; sequence: number; index: number; cut: number }[] = []
  duel(kind, coverage(), {
    datagram: (bytes, from, index) => {
      for (let record = readRecord(bytes, 0); record !== undefined; record = readRecord(bytes, record.end)) {
        const next = record.type === 22 && record.epoch === 0 ? bytes.readUInt16BE(record.content + 4) : undefined
        const last = places.findLast(place => place.from === from)
        places.push({ from, sequence: next ?? (last?.sequence ?? 0) + 1, index, cut: record.start })
      }
      return [bytes]
    }
  })
  return places
}

const tried = (table: TransitionTable, seen: Uint32Array): string[] => {
  const missing: string[] = []
  for (const [state, name] of table.states.entries())
    for (const event of table.events) {
      const at = state * table.events.length + eventNumber(event)
      // A message of any type may come in each state that waits for one. ChangeCipherSpec waits until it fits.
      const isOpen = name.startsWith('EXPECT_') && Object.hasOwn(MESSAGE, event)
      if ((isOpen || table.next[at] !== REFUSED) && seen[at] === 0) missing.push(`${name} ${event}`)
    }
  return missing
}

test.each(KINDS)('a handshake succeeds: %j', kind => {
  const { client, server } = duel(kind, coverage())
  expect([isEstablished(client), isEstablished(server)]).toEqual([true, true])
  check({ client, server, datagrams: 0 })
})

test('every message in every state is tried, and only those of the table go on', () => {
  const seen: Coverage = coverage()
  for (const kind of KINDS) duel(kind, seen)
  // The longest ways, and the shortest.
  const kinds = KINDS.filter(({ cid, certificate, hint, resumes, ticket }) => !cid && certificate === hint && (ticket || !resumes))
  for (const kind of kinds) {
    for (const { from, sequence, index, cut } of sequences(kind))
      for (const type of TYPES)
        check(
          duel(kind, seen, {
            datagram: (bytes, side, at) =>
              side === from && at === index ? [bytes.subarray(0, cut), forged(type, sequence), bytes.subarray(cut)] : [bytes]
          })
        )
    for (const type of TYPES)
      for (const place of [0, 1])
        check(
          duel(kind, seen, { sealed: (content, _, index) => (index === place ? Buffer.concat([Buffer.from([type]), content.subarray(1)]) : content) })
        )
  }
  expect({ server: tried(SERVER_TRANSITIONS, seen.server), client: tried(CLIENT_TRANSITIONS, seen.client) }).toEqual({ server: [], client: [] })
})

test(`${RUNS} mutations end in a failure or in the right session`, () => {
  const random = seededRandom(Number(process.env['IOPA_SEED'] ?? 15))
  const pick = (most: number): number => Math.floor(random() * most)
  const seen = coverage()
  let complete = 0
  const spoil = (bytes: Buffer): Buffer => {
    const at = pick(bytes.length)
    switch (pick(5)) {
      case 0:
        bytes[at]! ^= 1 << pick(8)
        return bytes
      case 1:
        bytes[at] = [0, 1, 0x7f, 0xff][pick(4)]!
        return bytes
      case 2:
        return bytes.subarray(0, at)
      case 3:
        return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + pick(40), pick(256)), bytes.subarray(at)])
      default:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(20))])
    }
  }
  /** A record of epoch 0 with its lengths corrected after a change of its message. */
  const corrected = (bytes: Buffer): Buffer => {
    const record = readRecord(bytes, 0)
    if (record === undefined || record.type !== 22 || record.epoch !== 0) return spoil(bytes)
    const body = spoil(Buffer.from(bytes.subarray(record.content + MESSAGE_HEADER, record.end)))
    const header = Buffer.from(bytes.subarray(record.content, record.content + MESSAGE_HEADER))
    header.writeUIntBE(body.length, 1, 3)
    header.writeUIntBE(body.length, 9, 3)
    const content = Buffer.concat([header, body])
    const start = Buffer.from(bytes.subarray(0, RECORD_HEADER))
    start.writeUInt16BE(content.length, 11)
    return Buffer.concat([start, content, bytes.subarray(record.end)])
  }
  const before: Buffer[] = []
  for (let run = 0; run < RUNS; run++) {
    const kind = KINDS[pick(KINDS.length)]!
    const [target, way] = [pick(6), pick(7)]
    const attack: Attack =
      way === 0
        ? { sealed: (content, _, index) => (index === target % 2 ? spoil(content) : content) }
        : {
            datagram: (bytes, _, index) => {
              if (before.length < 64) before.push(bytes)
              else before[pick(64)] = bytes
              if (index !== target) return [bytes]
              if (way === 1) return [spoil(Buffer.from(bytes))]
              if (way === 2) return [corrected(Buffer.from(bytes))]
              if (way === 3) return [corrected(Buffer.from(bytes)), bytes]
              if (way === 4) return []
              if (way === 5) return [before[pick(before.length)]!, bytes]
              return [bytes, bytes]
            }
          }
    const outcome = duel(kind, seen, attack)
    check(outcome)
    if (isEstablished(outcome.client) && isEstablished(outcome.server)) complete++
  }
  if (process.env['IOPA_MUTATIONS'] !== undefined) console.log(coverageReport(seen))
  // Neither all nor none: what can be repaired by sending again is.
  expect(complete / RUNS).toBeGreaterThan(0.3)
  expect(complete / RUNS).toBeLessThan(0.95)
}, 3_600_000)
