import { type ByteChannel, type ByteReceiver, DEFAULT_LIMITS } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { Options } from '../src/codec/options.ts'
import { FrameReader, isMessage } from '../src/codec/stream-codec.ts'
import { StreamSession } from '../src/streams/session.ts'
import { Signalling } from '../src/streams/signalling.ts'
import { rawFrame } from './raw-stream-peer.ts'
import { TurnedClock } from './scripted-channel.ts'

const NOTHING = new Uint8Array(0)
const hello = new Signalling({ maxMessageSize: 4096, blockWise: true }).hello()

/** A session whose channel takes what a test lets it take. */
const setUp = () => {
  const channel = { reads: true, takes: true, ended: false }
  const written: Uint8Array[] = []
  const events: string[] = []
  let receiver: ByteReceiver | undefined
  const bytes: ByteChannel = {
    remoteAddress: '10.0.0.2',
    remotePort: 1,
    localAddress: '10.0.0.1',
    localPort: 2,
    tls: false,
    raw: null,
    buffered: 0,
    open: given => void (receiver = given),
    write: chunk => (written.push(chunk as Uint8Array), channel.takes),
    pause: () => void (channel.reads = false),
    resume: () => void (channel.reads = true),
    end: () => void (channel.ended = true),
    destroy: () => receiver!.close()
  }
  const server = { ready: true }
  const session = new StreamSession(
    bytes,
    { clock: new TurnedClock(), limits: { ...DEFAULT_LIMITS, queueBytes: 100 }, maxMessageSize: 4096 },
    {
      opened: () => void events.push('opened'),
      message: ({ token }) => void events.push(`message ${Buffer.from(token)}`),
      oversized: () => void events.push('oversized'),
      closing: finished => void events.push(finished ? 'ended' : 'closing'),
      ready: () => server.ready,
      whenAnswered: work => work(),
      ponged: () => void events.push('ponged'),
      closed: () => void events.push('closed')
    }
  )
  const reader = new FrameReader(1 << 20)
  const sent = (): string[] =>
    written
      .splice(0)
      .flatMap(chunk => reader.push(chunk).flatMap(frame => (isMessage(frame) && frame.code < 224 ? [Buffer.from(frame.token).toString()] : [])))
  return { session, channel, server, events, sent, receiver: () => receiver! }
}

const request = (token: string): Uint8Array => rawFrame(CODE.GET, { token, path: '/x' })
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

describe('a session', () => {
  test('takes no further messages, and reads no further, until there is room for what comes of them', () => {
    const { session, channel, server, events, receiver } = setUp()
    receiver().data(hello)
    server.ready = false
    receiver().data(request('a'))
    receiver().data(request('b'))
    expect([events, channel.reads]).toEqual([['opened'], false])
    server.ready = true
    session.resume()
    expect([events, channel.reads]).toEqual([['opened', 'message a', 'message b'], true])
  })

  test('has ended only when what was received before has been taken', () => {
    const { session, server, events, receiver } = setUp()
    receiver().data(hello)
    server.ready = false
    receiver().data(request('a'))
    receiver().end()
    expect(events).toEqual(['opened'])
    server.ready = true
    session.resume()
    expect(events).toEqual(['opened', 'message a', 'ended'])
  })

  test('keeps the order of what it sends while the peer does not read, be it small or large', async () => {
    const { session, channel, sent, receiver } = setUp()
    receiver().data(hello)
    const send = (token: string, length: number): void => session.send(CODE.CONTENT, Buffer.from(token), new Options(), new Uint8Array(length))
    channel.takes = false
    send('a', 10)
    await turn()
    // The outbox has no room for the second one; it would have for the third.
    send('b', 200)
    send('c', 1)
    await turn()
    expect([sent(), session.writable]).toEqual([['a'], false])
    channel.takes = true
    receiver().drain()
    await turn()
    expect([sent(), session.writable]).toEqual([['b', 'c'], true])
    session.send(CODE.CONTENT, Buffer.from('d'), new Options(), NOTHING)
    await turn()
    expect(sent()).toEqual(['d'])
  })
})
