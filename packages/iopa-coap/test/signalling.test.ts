import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { Options } from '../src/codec/options.ts'
import { encodeFrame, FrameReader } from '../src/codec/stream-codec.ts'
import { abort, bertPayload, type ConnectionEvent, isBertPayload, ping, pong, release, Signalling, takesBert } from '../src/streams/signalling.ts'

const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const frame = (code: number, options = new Options(), token = '', payload = ''): Uint8Array =>
  encodeFrame({ code, token: unhex(token), options, payload: Buffer.from(payload) })

const connection = (bytes: Uint8Array[], signalling = new Signalling({ maxMessageSize: 4096, blockWise: true })) => {
  const reader = new FrameReader(4096)
  const events = bytes.flatMap(chunk => reader.push(chunk)).map(received => signalling.receive(received))
  return { events, signalling, last: events.at(-1)! }
}
const CSM = frame(CODE.CSM)
const abortOf = (event: ConnectionEvent): ConnectionEvent => {
  expect(event.kind).toBe('error')
  return connection([CSM, (event as { bytes: Uint8Array }).bytes]).last
}

describe('signalling over a byte stream (RFC 8323 section 5)', () => {
  test('opens with a CSM that tells both capabilities', () => {
    const { signalling, last } = connection([new Signalling({ maxMessageSize: 8388864, blockWise: true }).hello()])
    expect(last).toEqual({ kind: 'capabilities', first: true })
    expect(signalling.peer).toEqual({ maxMessageSize: 8388864, blockWise: true })
    expect(connection([new Signalling({ maxMessageSize: 2000, blockWise: false }).hello()]).signalling.peer).toEqual({
      maxMessageSize: 2000,
      blockWise: false
    })
  })

  test('assumes the base values until the CSM says more, and adds up later ones', () => {
    const { signalling } = connection([])
    expect(signalling.opened).toBe(false)
    expect(signalling.peer).toEqual({ maxMessageSize: 1152, blockWise: false })
    expect(connection([CSM], signalling).last).toEqual({ kind: 'capabilities', first: true })
    expect(signalling.peer).toEqual({ maxMessageSize: 1152, blockWise: false })
    expect(connection([frame(CODE.CSM, new Options().add(4))], signalling).last).toEqual({ kind: 'capabilities', first: false })
    connection([frame(CODE.CSM, new Options().add(2, 9000))], signalling)
    connection([CSM], signalling)
    expect(signalling.peer).toEqual({ maxMessageSize: 9000, blockWise: true })
  })

  test.each([CODE.GET, CODE.CONTENT, CODE.PING, CODE.RELEASE])('aborts when the first message is a %d and no CSM', code => {
    expect(abortOf(connection([frame(code)]).last)).toEqual({ kind: 'aborted', reason: 'The first message has to be a CSM', badOption: undefined })
  })

  test('ignores empty messages, even before the CSM', () => {
    const { events } = connection([frame(CODE.EMPTY), CSM, frame(CODE.EMPTY)])
    expect(events.map(event => event.kind)).toEqual(['ignored', 'capabilities', 'ignored'])
  })

  test('hands on requests and responses, and ignores reserved classes and unknown signals', () => {
    const { events } = connection([CSM, frame(CODE.GET), frame(CODE.CONTENT), frame(0x21), frame(0xc1), frame(0xff)])
    expect(events.map(event => event.kind)).toEqual(['capabilities', 'message', 'message', 'ignored', 'ignored', 'ignored'])
  })

  test('names the critical option of a CSM that it does not understand', () => {
    expect(abortOf(connection([frame(CODE.CSM, new Options().add(2, 2000).add(9, 'x'))]).last)).toMatchObject({ kind: 'aborted', badOption: 9 })
  })

  test('aborts on a critical option in any other signal, and skips elective ones', () => {
    expect(abortOf(connection([CSM, frame(CODE.PING, new Options().add(11))]).last)).toMatchObject({
      reason: 'Option 11 of a 7.02 is not understood'
    })
    expect(connection([CSM, frame(CODE.PING, new Options().add(12), '07')]).last).toEqual({ kind: 'ping', token: unhex('07'), custody: false })
  })

  test('takes a Max-Message-Size of a wrong length for none', () => {
    expect(connection([frame(CODE.CSM, new Options().add(2, unhex('0102030405')))]).signalling.peer.maxMessageSize).toBe(1152)
  })

  test('reads Ping and Pong with their token and custody', () => {
    expect(connection([CSM, ping(unhex('0102'))]).last).toEqual({ kind: 'ping', token: unhex('0102'), custody: false })
    expect(connection([CSM, ping(unhex('0102'), true)]).last).toEqual({ kind: 'ping', token: unhex('0102'), custody: true })
    expect(connection([CSM, pong(unhex('0102'), true)]).last).toEqual({ kind: 'pong', token: unhex('0102'), custody: true })
  })

  test('reads Release and Abort', () => {
    expect(connection([CSM, release()]).last).toEqual({ kind: 'release', alternatives: [], holdOff: undefined })
    expect(connection([CSM, release(30)]).last).toEqual({ kind: 'release', alternatives: [], holdOff: 30 })
    const moved = frame(CODE.RELEASE, new Options().add(2, 'a.example:5683').add(2, '').add(2, unhex('ff')))
    expect(connection([CSM, moved]).last).toEqual({ kind: 'release', alternatives: ['a.example:5683'], holdOff: undefined })
    expect(connection([CSM, abort('over', 3)]).last).toEqual({ kind: 'aborted', reason: 'over', badOption: 3 })
    expect(connection([CSM, frame(CODE.ABORT, new Options(), '', '\xff')]).last).toMatchObject({ kind: 'aborted' })
  })

  test('tells of an oversized request so that it can be answered, and aborts at an oversized signal', () => {
    const large = encodeFrame({ code: CODE.PUT, token: unhex('aa'), options: new Options(), payload: new Uint8Array(5000) })
    expect(connection([CSM, large]).last).toEqual({ kind: 'oversized', code: CODE.PUT, token: unhex('aa'), size: large.length })
    large[3] = CODE.PING
    expect(abortOf(connection([CSM, large]).last)).toMatchObject({ kind: 'aborted' })
  })

  test('aborts at bytes that are no frame', () => {
    expect(abortOf(connection([CSM, unhex('0f01')]).last)).toMatchObject({ reason: 'The stream holds a reserved token length' })
  })

  test('sends BERT only to a peer that takes blocks and more than the base size (section 6)', () => {
    expect(takesBert({ maxMessageSize: 1152, blockWise: true })).toBe(false)
    expect(takesBert({ maxMessageSize: 4096, blockWise: false })).toBe(false)
    expect(takesBert({ maxMessageSize: 1153, blockWise: true })).toBe(true)
    expect(bertPayload({ maxMessageSize: 8192, blockWise: true }, 40)).toBe(7 * 1024)
    expect(bertPayload({ maxMessageSize: 1153, blockWise: true }, 200)).toBe(0)
    expect(bertPayload({ maxMessageSize: 1152, blockWise: true }, 40)).toBe(0)
    expect([isBertPayload(2048, true), isBertPayload(0, true), isBertPayload(1000, true), isBertPayload(1000, false)]).toEqual([
      true,
      false,
      false,
      true
    ])
  })
})
