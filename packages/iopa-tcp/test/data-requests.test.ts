import type { Context } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import type { Framing } from '../src/index.ts'
import { dial, eventually, serve } from './support.ts'

const later = (ms: number, value: unknown): Promise<unknown> => new Promise(resolve => setTimeout(() => resolve(value), ms))
const upper = async (context: Context): Promise<string> => (await context.text()).toUpperCase()

describe('plain messages', () => {
  test('become DATA requests in lines, answered by lines', async () => {
    const { port } = await serve(async context => `${context.method} ${context.path} ${await context.text()}`, { framing: 'lines' })
    const peer = await dial(port)
    peer.write('one\r\ntwo\n')
    await peer.answers(2).catch(() => undefined)
    expect(peer.lines).toEqual(['DATA / one', 'DATA / two'])
  })

  test('are answered in order', async () => {
    const { port } = await serve(async context => later((await context.text()) === 'slow' ? 20 : 0, context.text()), { framing: 'lines' })
    const peer = await dial(port)
    peer.write('slow\nfast\nfast\n')
    await peer.until(() => peer.lineCount === 3)
    expect(peer.lines).toEqual(['slow', 'fast', 'fast'])
  })

  test('get no reply without an answer body', async () => {
    const { port } = await serve(async context => ((await context.text()) === 'quiet' ? undefined : 'loud'), { framing: 'lines' })
    const peer = await dial(port)
    peer.write('quiet\nelse\n')
    await peer.until(() => peer.lineCount === 1)
    expect(peer.lines).toEqual(['loud'])
  })

  test('get the problem when their handler fails', async () => {
    const { port } = await serve(
      () => {
        throw new Error('the secret')
      },
      { framing: 'lines' }
    )
    const peer = await dial(port)
    peer.write('a\n')
    await peer.until(() => peer.lineCount === 1)
    expect(JSON.parse(peer.lines[0]!)).toMatchObject({ status: 500 })
    expect(peer.text).not.toContain('secret')
  })

  test('may have a length prefix', async () => {
    const { port } = await serve(upper, { framing: { type: 'lengthPrefixed', bytes: 2 } })
    const peer = await dial(port)
    const sent = Buffer.from([0, 3, 0x61, 0x62, 0x63, 0, 0, 0, 1, 0x64])
    for (const byte of sent) {
      peer.write(Uint8Array.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
    await peer.until(() => peer.received.length === sent.length)
    expect(peer.received).toEqual(Buffer.from([0, 3, 0x41, 0x42, 0x43, 0, 0, 0, 1, 0x44]))
  })

  test('get 413 when the announced length is over the limit, and the session ends', async () => {
    const { port, app } = await serve(upper, { framing: 'lengthPrefixed', limits: { body: 100 } })
    const peer = await dial(port)
    peer.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff))
    await peer.until(() => peer.ended)
    expect(JSON.parse(peer.received.subarray(4).toString())).toMatchObject({ status: 413 })
    await eventually(() => app.live === 0)
  })

  test('end the session when the answer fits no frame', async () => {
    const { port, app, errors } = await serve(() => 'x'.repeat(256), { framing: { type: 'lengthPrefixed', bytes: 1 } })
    const peer = await dial(port)
    peer.write(Uint8Array.of(1, 1))
    await peer.until(() => peer.closed || peer.ended)
    expect(peer.received.length).toBe(0)
    await eventually(() => app.live === 0)
    expect(errors).toHaveLength(1)
  })

  test('get 400 when the stream ends within a message', async () => {
    const { port } = await serve(upper, { framing: 'lengthPrefixed' })
    const peer = await dial(port)
    peer.socket.end(Uint8Array.of(0, 0, 0, 9, 1))
    await peer.until(() => peer.ended)
    expect(JSON.parse(peer.received.subarray(4).toString())).toMatchObject({ status: 400, code: 'frame-cut-off' })
  })

  test('may have a fixed size', async () => {
    const { port } = await serve(upper, { framing: { type: 'fixed', bytes: 4 } })
    const peer = await dial(port)
    peer.write('abcdefghij')
    await peer.until(() => peer.received.length === 8)
    peer.write('kl')
    await peer.until(() => peer.received.length === 12)
    expect(peer.text).toBe('ABCDEFGHIJKL')
  })

  test('may use a custom framing', async () => {
    const semicolons: Framing = {
      name: 'semicolons',
      maxPayload: 1000,
      suffix: Buffer.from(';'),
      prefix: () => null,
      reader: () => {
        let text = ''
        return {
          pending: 0,
          push: chunk => {
            text += Buffer.from(chunk).toString()
          },
          next: () => {
            const end = text.indexOf(';')
            if (end < 0) return null
            const frame = Buffer.from(text.slice(0, end))
            text = text.slice(end + 1)
            return frame
          },
          end: () => null
        }
      }
    }
    const { port } = await serve(upper, { framing: semicolons })
    const peer = await dial(port)
    peer.write('a;b;')
    await peer.until(() => peer.received.length === 4)
    expect(peer.text).toBe('A;B;')
  })

  test('may be large, and are not lost when the peer is slow', async () => {
    const { port } = await serve(context => context.body, { framing: 'lengthPrefixed', limits: { queueBytes: 1000 } })
    const peer = await dial(port)
    peer.socket.pause()
    const payload = Buffer.alloc(300_000, 'x')
    const frame = Buffer.concat([Buffer.from([0, 4, 0x93, 0xe0]), payload])
    for (let i = 0; i < 50; i++) peer.write(frame)
    await later(100, 0)
    peer.socket.resume()
    await peer.until(() => peer.reads.reduce((sum, read) => sum + read.length, 0) === 50 * frame.length)
    expect(peer.received.equals(Buffer.concat(Array(50).fill(frame)))).toBe(true)
  })
})

describe('raw', () => {
  test('makes each chunk a message and writes bodies unchanged', async () => {
    const { port } = await serve(upper, { framing: 'raw' })
    const peer = await dial(port)
    peer.write('hello')
    await peer.until(() => peer.received.length === 5)
    peer.write('!')
    await peer.until(() => peer.received.length === 6)
    expect(peer.text).toBe('HELLO!')
  })

  test('streams an answer at the pace of the peer, and the next answer waits for its end', async () => {
    let made = 0
    const { port, app } = await serve(
      async context => {
        if ((await context.text()) !== 'stream') return 'next'
        return (async function* () {
          for (; made < 3000; made++) yield Buffer.alloc(10_000, 'x')
        })()
      },
      { framing: 'raw' }
    )
    const peer = await dial(port)
    peer.socket.pause()
    peer.write('stream')
    await eventually(() => made > 0)
    peer.write('other')
    let before = -1
    while (before !== made) {
      before = made
      await later(30, 0)
    }
    expect(made).toBeLessThan(2500)
    peer.socket.resume()
    await peer.until(() => peer.reads.reduce((sum, read) => sum + read.length, 0) === 30_000_004)
    expect(peer.text.endsWith('xnext')).toBe(true)
    expect(app.live).toBe(1)
  })

  test('ends the session when a stream fails, so that a part is not taken for the whole', async () => {
    const { port, app, errors } = await serve(
      () =>
        (async function* () {
          yield Buffer.from('some')
          await later(5, 0)
          throw new Error('the secret')
        })(),
      { framing: 'raw' }
    )
    const peer = await dial(port)
    peer.write('a')
    await peer.until(() => peer.ended || peer.closed)
    expect(peer.text).toBe('some')
    await eventually(() => app.live === 0)
    expect(errors).toHaveLength(1)
  })

  test('ends the session when a stream makes no progress', async () => {
    let given = 0
    const silent = () => ({
      count: 0,
      next(): Promise<IteratorResult<Uint8Array>> {
        return this.count++ === 0 ? Promise.resolve({ done: false, value: Buffer.from('some') }) : new Promise(() => undefined)
      },
      return(): Promise<IteratorResult<Uint8Array>> {
        given++
        return Promise.resolve({ done: true, value: undefined })
      },
      [Symbol.asyncIterator]() {
        return this
      }
    })
    const { port, app, errors } = await serve(silent, { framing: 'raw', limits: { idleTimeout: 200 } })
    const peer = await dial(port)
    peer.write('a')
    await peer.until(() => peer.ended || peer.closed)
    expect(peer.text).toBe('some')
    await eventually(() => app.live === 0)
    expect([given, errors.length]).toEqual([1, 1])
  })

  test('cancels a stream when its peer disconnects', async () => {
    let stopped = false
    const { port, app } = await serve(
      ({ signal }) =>
        (async function* () {
          try {
            while (!signal.aborted) {
              yield Buffer.from('x')
              await later(1, 0)
            }
          } finally {
            stopped = true
          }
        })(),
      { framing: 'raw' }
    )
    const peer = await dial(port)
    peer.write('a')
    await peer.until(() => peer.reads.length > 2)
    peer.socket.resetAndDestroy()
    await eventually(() => stopped && app.live === 0)
  })
})
