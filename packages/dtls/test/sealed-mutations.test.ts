// Sessions of real keys in which one side is hostile: what it seals is changed, of each kind of content. IOPA_MUTATIONS=1000000 makes the long run.
import { seededRandom } from '@iopa/testing'
import type { SecuredPeer } from '@iopa/transport'
import { afterAll, expect, test } from 'vitest'
import { MESSAGE, messageHeader } from '../src/handshake/message.ts'
import { Sealer } from '../src/records/protection.ts'
import { CONTENT } from '../src/records/record.ts'
import { hostilePair, MOST_DATAGRAMS, sessionKinds } from './hostile-sessions.ts'

const RUNS = Number(process.env['IOPA_MUTATIONS'] ?? 60)
const CONTENTS = [...Object.values(CONTENT), 0, 24, 255]
const MESSAGES = [...Object.values(MESSAGE), 99]

type Sealed = (type: number, content: Uint8Array) => readonly (readonly [number, Uint8Array])[]
const seal = Sealer.prototype.seal
/** What is sealed instead of each record; the last one is the one that the caller sends. */
let change: Sealed = (type, content) => [[type, content]]
/** Application data as it was sealed. */
let sealedData: Set<string> = new Set()
let extra: Buffer[] = []

const noteData = (type: number, bytes: Uint8Array): void => {
  if (type === CONTENT.APPLICATION_DATA) sealedData.add(Buffer.from(bytes).toString('latin1'))
  if (type !== 0) return
  // With a connection id the type is inside, and zeros after it are padding (RFC 9146 section 4).
  const end = bytes.findLastIndex(byte => byte !== 0)
  if (bytes[end] === CONTENT.APPLICATION_DATA) sealedData.add(Buffer.from(bytes.subarray(0, end)).toString('latin1'))
}

Sealer.prototype.seal = function (this: Sealer, type, content) {
  const records = change(type, content).map(([changed, bytes]) => {
    noteData(changed, bytes)
    return seal.call(this, changed, bytes)
  })
  const last = records.pop() as Buffer
  extra.push(...records)
  return last
}
afterAll(() => {
  Sealer.prototype.seal = seal
})

const KINDS = sessionKinds()

test(`${RUNS} changed contents inside of valid protection leave a right session or none`, async () => {
  const random = seededRandom(Number(process.env['IOPA_SEED'] ?? 9146))
  const pick = (most: number): number => Math.floor(random() * most)
  const spoil = (content: Uint8Array): Buffer => {
    const bytes = Buffer.from(content)
    const at = pick(bytes.length + 1)
    const way = pick(4)
    if (way === 0 && at < bytes.length) bytes[at]! ^= 1 << pick(8)
    else if (way === 1) return bytes.subarray(0, at)
    else if (way === 2) return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(pick(60), pick(256)), bytes.subarray(at)])
    else if (at < bytes.length) bytes[at] = [0, 1, 0x7f, 0xff][pick(4)]!
    return bytes
  }
  /** A content of each type, with lengths that fit. */
  const made = (): readonly [number, Buffer] => {
    const type = CONTENTS[pick(CONTENTS.length)]!
    if (type === CONTENT.ALERT) return [type, Buffer.from([1 + pick(2), [0, 10, 40, 90, 100, 255][pick(6)]!])]
    if (type === CONTENT.CHANGE_CIPHER_SPEC) return [type, Buffer.from([1])]
    if (type !== CONTENT.HANDSHAKE) return [type, Buffer.alloc(pick(40), pick(256))]
    const body = Buffer.alloc(pick(50), pick(256))
    return [type, Buffer.concat([messageHeader(MESSAGES[pick(MESSAGES.length)]!, body.length, pick(8)), body])]
  }
  /** A handshake message with another body, and the lengths of that. */
  const corrected = (content: Uint8Array): Buffer => {
    const body = spoil(content.subarray(12))
    const header = Buffer.from(content.subarray(0, 12))
    header.writeUIntBE(body.length, 1, 3)
    header.writeUIntBE(body.length, 9, 3)
    return Buffer.concat([header, body])
  }
  let complete = 0
  for (let run = 0; run < RUNS; run++) {
    const [target, way] = [pick(8), pick(6)]
    let index = 0
    sealedData = new Set()
    extra = []
    change = (type, content) => {
      if (index++ !== target) return [[type, content]]
      if (way === 0) return [[type, spoil(content)]]
      if (way === 1) return [[CONTENTS[pick(CONTENTS.length)]!, content]]
      if (way === 2) return [[type, content.length >= 12 ? corrected(content) : spoil(content)]]
      if (way === 3) return [made()]
      if (way === 4) return [made(), [type, content]]
      return [[type, content], made(), made()]
    }
    const kind = KINDS[pick(KINDS.length)]!
    // Curves cost a hundred times as much as the rest.
    const resumes = pick(kind.proof === 'psk' ? 2 : 16) > 0
    const { clock, server, client, failures, sent } = hostilePair(kind, resumes, () => extra.splice(0))
    const about = `Run ${run}, ${kind.suite} with ${kind.proof}, record ${target}, way ${way}`
    let outcome: SecuredPeer | { readonly code: string } | undefined
    client.channel.connect({ host: 'localhost', address: '127.0.0.1', port: 5684 }, new AbortController().signal).then(
      peer => void (outcome = peer),
      (error: { code: string }) => void (outcome = error)
    )
    const pass = async (milliseconds: number): Promise<void> => {
      clock.advance(milliseconds)
      await null
    }
    await pass(20)
    if (outcome === undefined) await pass(40_000)
    const peer = outcome !== undefined && 'send' in outcome ? outcome : undefined
    for (const text of ['one', 'two', 'three']) {
      peer?.send(Buffer.from(text))
      server.opened[0]?.send(Buffer.from(`answer ${text}`))
      await pass(5)
    }
    const told = [...server.received, ...client.received]
    const isAlive = peer !== undefined && server.opened.length === 1 && server.closed.length + client.closed.length === 0
    change = (type, content) => [[type, content]]
    if (isAlive) {
      peer.send(Buffer.from('last'))
      await pass(5)
      complete++
    }
    if (failures.length > 0) throw new Error(`${about}: something was thrown.`, { cause: failures[0] })
    if (outcome === undefined) throw new Error(`${about}: the client has not ended.`)
    const holds = [
      peer !== undefined || ('code' in outcome && outcome.code === 'handshake-failed'),
      server.opened.length <= 1 &&
        server.opened.every(({ user, proof }) => proof === kind.proof && (proof === 'certificate' || (user?.id === 'sensor' && user.by === proof))),
      told.every(text => sealedData.has(text)),
      new Set(told).size === told.length || way >= 3,
      !isAlive || server.received.at(-1) === 'last',
      server.closed.length <= 1 && client.closed.length <= 1,
      sent() < MOST_DATAGRAMS
    ]
    if (holds.includes(false)) throw new Error(`${about}: ${holds.indexOf(false)} does not hold.`)
    await Promise.all([client.channel.close(), server.channel.close()])
    await pass(10)
    if (clock.pending !== 0) throw new Error(`${about}: ${clock.pending} timers are left.`)
  }
  expect(complete / RUNS).toBeGreaterThan(0.4)
  expect(complete / RUNS).toBeLessThan(0.98)
}, 3_600_000)
