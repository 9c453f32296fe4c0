import { getEventListeners } from 'node:events'
import { virtualClock } from '@iopa/testing'
import { type ByteChannel, type ByteReceiver, DEFAULT_LIMITS, type LinkAnswer, receivedAnswer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { AnswerQueue } from '../src/answer-queue.ts'
import { ClientSession } from '../src/client-session.ts'
import { framingOf } from '../src/framing-option.ts'

describe('a queue of answers', () => {
  const bytes = (count: number): LinkAnswer => receivedAnswer(200, { payload: new Uint8Array(count) })
  const sizes = async (queue: AnswerQueue): Promise<number[]> => {
    queue.end()
    const seen: number[] = []
    for await (const answer of queue) seen.push(answer.payloadBytes.length)
    return seen
  }

  test('keeps the newest that fit in its bytes, and one that does not', async () => {
    const queue = new AnswerQueue({ queueMessages: 100, queueBytes: 10 })
    for (const size of [4, 3, 5, 2]) queue.push(bytes(size))
    expect(await sizes(queue)).toEqual([3, 5, 2])
    const large = new AnswerQueue({ queueMessages: 100, queueBytes: 10 })
    for (const size of [4, 50]) large.push(bytes(size))
    expect(await sizes(large)).toEqual([50])
  })

  test('has room again for what was read', async () => {
    const queue = new AnswerQueue({ queueMessages: 100, queueBytes: 10 })
    for (const size of [5, 5]) queue.push(bytes(size))
    await queue.next()
    await queue.next()
    for (const size of [6, 4]) queue.push(bytes(size))
    expect(await sizes(queue)).toEqual([6, 4])
  })
})

test('a line of one byte more than the limit is too long, unless that byte is a carriage return', () => {
  const reader = framingOf('lines').reader(4)
  reader.push(Buffer.from('1234\r\n'))
  expect(reader.next()?.length).toBe(4)
  reader.push(Buffer.from('12345\n'))
  expect(() => reader.next()).toThrow(expect.objectContaining({ status: 413 }))
})

describe('a session of a client', () => {
  const REQUEST = { method: 'GET', path: '/', query: '', headers: [], contentType: '', body: null, observe: undefined }

  const make = (framing: 'bag' | 'lines') => {
    const clock = virtualClock()
    const written: string[] = []
    let writable = true
    let receiver: ByteReceiver | undefined
    const channel = {
      buffered: 0,
      open: (opened: ByteReceiver) => void (receiver = opened),
      write: (data: Uint8Array) => {
        written.push(Buffer.from(data).toString())
        return writable
      },
      end: () => undefined,
      destroy: () => undefined
    } as unknown as ByteChannel
    const settings = { framing: framingOf(framing), bag: framing === 'bag', frameLimit: 1000, limits: DEFAULT_LIMITS, clock, timeout: 100 }
    const session = new ClientSession(channel, settings)
    const ended: string[] = []
    const ask = (name: string, signal?: AbortSignal): void => {
      session.request({ ...REQUEST, path: `/${name}`, body: Buffer.from(name) }, signal).then(
        () => ended.push(`${name} answered`),
        () => ended.push(`${name} given up at ${clock.now() - start}`)
      )
    }
    const start = clock.now()
    const block = (blocked: boolean): void => {
      writable = !blocked
      if (!blocked) receiver?.drain()
    }
    return { clock, session, written, ended, ask, block, receive: (text: string) => receiver?.data(Buffer.from(text)) }
  }

  test.each(['bag', 'lines'] as const)('of %s gives up each request after its own time', async framing => {
    const { clock, ended, ask } = make(framing)
    ask('a')
    await clock.advance(40)
    ask('b')
    await clock.advance(200)
    expect(ended).toEqual(['a given up at 100', 'b given up at 140'])
  })

  test('does not wait for ever behind a plain message that was given up before', async () => {
    const { clock, ended, ask } = make('lines')
    const abort = new AbortController()
    ask('a', abort.signal)
    abort.abort(new Error('enough'))
    await clock.advance(40)
    ask('b')
    await clock.advance(200)
    expect(ended).toEqual(['a given up at 0', 'b given up at 140'])
  })

  test('never sends what was given up while the peer did not read', async () => {
    const { clock, written, ask, block } = make('bag')
    block(true)
    ask('a')
    await clock.settle()
    const abort = new AbortController()
    ask('b', abort.signal)
    ask('c')
    await clock.settle()
    abort.abort(new Error('enough'))
    block(false)
    await clock.settle()
    expect(written.join('')).toContain('"/c"')
    expect(written.join('')).not.toContain('"/b"')
  })

  test('leaves no listener on the signal of an answered request', async () => {
    const { clock, ended, ask, receive } = make('lines')
    const { signal } = new AbortController()
    ask('a', signal)
    expect(getEventListeners(signal, 'abort').length).toBe(1)
    receive('x\n')
    await clock.settle()
    expect(ended).toEqual(['a answered'])
    expect(getEventListeners(signal, 'abort').length).toBe(0)
  })
})
