import { App, IopaError, type Limits, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import type { RandomAccessBody } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { type RawRequest, rawRequest } from './raw-peer.ts'

/** A server at 10.0.0.1 and a raw peer at 10.0.0.2; `ask` gives the answer and how many times the request's bytes it has. */
async function house(limits: Partial<Limits> = {}, options: CoapOptions = {}) {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const errors: unknown[][] = []
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => {}, info: () => {}, debug: () => {} }
  const app = new App({ logger, clock })
    .use(router())
    .use(coap({ host: '10.0.0.1', allowUnauthenticated: true, amplification: false, limits, network: network.machine('10.0.0.1'), ...options }))
  const peer = await network.machine('10.0.0.2').bind({ host: '10.0.0.2', port: 0 })
  const inbox: ReceivedMessage[] = []
  peer.open({ message: bytes => void inbox.push(decode(bytes) as ReceivedMessage), error: () => {} })
  const ask = async (code: number, request: RawRequest = {}) => {
    const bytes = rawRequest(code, request)
    const before = inbox.length
    peer.send(bytes, 5683, '10.0.0.1')
    await clock.runUntil(() => inbox.slice(before).some(({ code }) => code !== 0))
    const answer = inbox.slice(before).find(({ code }) => code !== 0)!
    return { code: formatCode(answer.code), answer, text: Buffer.from(answer.payload).toString(), ratio: answer.bytes.length / bytes.length }
  }
  return {
    app,
    clock,
    ask,
    errors,
    inbox,
    peer,
    machine: network.machine('10.0.0.2'),
    listen: () => app.listen(),
    close: () => clock.runUntil(app.close({ timeout: 0 }))
  }
}

const block = (num: number, more: boolean, szx: number): number => (num << 4) | (more ? 8 : 0) | szx

describe('a body', () => {
  test('that is a stream is collected, in blocks where it is long', async () => {
    const { app, ask, listen, close } = await house()
    app.get('/stream', async function* () {
      for (let i = 0; i < 100; i++) yield Buffer.from(`piece ${i}`.padEnd(20))
    })
    await listen()
    const first = await ask(CODE.GET, { path: '/stream' })
    expect([first.code, first.answer.payload.length, first.answer.options.uint(OPTION.SIZE2)]).toEqual(['2.05', 1024, 2000])
    expect((await ask(CODE.GET, { path: '/stream', options: [[OPTION.BLOCK2, block(1, false, 6)]] })).answer.payload).toHaveLength(976)
    expect(app.live).toBe(0)
    await close()
  })

  test('that breaks off, or is larger than it may be, is 5.00 and said to the log alone', async () => {
    const { app, ask, errors, listen, close } = await house({ body: 1000 })
    app.get('/broken', async function* () {
      yield Buffer.from('half')
      throw new Error('secret')
    })
    app.get('/endless', async function* () {
      for (;;) yield new Uint8Array(100)
    })
    await listen()
    expect(await ask(CODE.GET, { path: '/broken' })).toMatchObject({ code: '5.00', text: expect.not.stringContaining('secret') as string })
    expect(await ask(CODE.GET, { path: '/endless' })).toMatchObject({ code: '5.00', text: expect.stringContaining('more than 1000 bytes') as string })
    expect(errors).toHaveLength(2)
    expect(app.live).toBe(0)
    await close()
  })

  test('of which parts can be read is read a block at a time, and made again when that fails', async () => {
    const { app, ask, listen, close } = await house()
    let runs = 0
    let failing = false
    const reads: [number, number][] = []
    app.get('/file', (): RandomAccessBody => {
      runs++
      return {
        size: 5000,
        read: async (start, end) => {
          reads.push([start, end])
          if (failing) throw new IopaError(409, 'file-changed', 'The file has changed.')
          return new Uint8Array(end - start).fill(runs)
        },
        async *[Symbol.asyncIterator]() {}
      }
    })
    await listen()
    const first = await ask(CODE.GET, { path: '/file', options: [[OPTION.BLOCK2, block(0, false, 4)]] })
    expect([first.answer.payload.length, first.answer.options.uint(OPTION.SIZE2), runs]).toEqual([256, 5000, 1])
    const last = await ask(CODE.GET, { path: '/file', options: [[OPTION.BLOCK2, block(19, false, 4)]] })
    expect([last.answer.payload.length, runs]).toEqual([136, 1])
    expect(reads).toEqual([
      [0, 256],
      [4864, 5000]
    ])
    // The last block was read, so nothing is held open any more.
    expect(app.live).toBe(0)
    await ask(CODE.GET, { path: '/file', options: [[OPTION.BLOCK2, block(0, false, 4)]] })
    expect([runs, app.live]).toEqual([2, 1])
    failing = true
    expect((await ask(CODE.GET, { path: '/file', options: [[OPTION.BLOCK2, block(1, false, 4)]] })).code).toBe('5.00')
    expect(runs).toBe(3)
    failing = false
    const again = await ask(CODE.GET, { path: '/file', options: [[OPTION.BLOCK2, block(1, false, 4)]] })
    expect(again.code).toBe('2.05')
    await close()
    expect(app.live).toBe(0)
  })

  test('that nobody fetches further is let go after its lifetime', async () => {
    const { app, ask, clock, listen, close } = await house()
    app.get(
      '/file',
      (): RandomAccessBody => ({ size: 5000, read: async (start, end) => new Uint8Array(end - start), async *[Symbol.asyncIterator]() {} })
    )
    await listen()
    await ask(CODE.GET, { path: '/file' })
    await clock.advance(9000)
    expect(app.live).toBe(1)
    await clock.advance(2000)
    expect(app.live).toBe(0)
    await close()
  })

  test('that is held open is given up by those who vanish: 64 at most, 10 seconds after the last block, and begun again by who comes back', async () => {
    const { app, clock, ask, listen, close, machine } = await house()
    let [open, most, runs] = [0, 0, 0]
    app.get('/file', (context): RandomAccessBody => {
      most = Math.max(most, ++open)
      runs++
      context.defer(() => void open--)
      return { size: 3000, read: async (start, end) => new Uint8Array(end - start).fill(runs), async *[Symbol.asyncIterator]() {} }
    })
    app.get('/text', () => 'x'.repeat(3000))
    await listen()
    // What is in memory is not counted among them, and stays.
    await ask(CODE.GET, { path: '/text' })
    const first = await ask(CODE.GET, { path: '/file' })
    await clock.advance(9000)
    const second = await ask(CODE.GET, { path: '/file', options: [[OPTION.BLOCK2, block(1, false, 6)]] })
    expect([open, runs]).toEqual([1, 1])
    expect(second.answer.options.get(OPTION.ETAG)).toEqual(first.answer.options.get(OPTION.ETAG))
    for (let i = 0; i < 1000; i++) {
      const vanishing = await machine.bind({ host: '10.0.0.2', port: 0 })
      let answered = false
      vanishing.open({ message: () => void (answered = true), error: () => {} })
      vanishing.send(rawRequest(CODE.GET, { path: '/file' }), 5683, '10.0.0.1')
      await clock.runUntil(() => answered)
      await vanishing.close()
    }
    expect([runs, open, app.live]).toEqual([1001, 64, 64])
    // The one that would be the 65th is open while the oldest is closed.
    expect(most).toBeLessThanOrEqual(65)
    // A client that comes back later gets a new run of the handler; the ETag shows that the body changed.
    const again = await ask(CODE.GET, { path: '/file', options: [[OPTION.BLOCK2, block(1, false, 6)]] })
    expect([again.code, again.answer.options.uint(OPTION.BLOCK2), runs]).toEqual(['2.05', block(1, true, 6), 1002])
    expect(again.answer.options.get(OPTION.ETAG)).not.toEqual(first.answer.options.get(OPTION.ETAG))
    await clock.advance(9900)
    expect(open).toBeGreaterThan(0)
    await clock.advance(1200)
    expect([open, app.live]).toEqual([0, 0])
    expect((await ask(CODE.GET, { path: '/text', options: [[OPTION.BLOCK2, block(2, false, 6)]] })).answer.payload).toHaveLength(952)
    await close()
  })

  test('of a request is bounded, in one message and in blocks, and in how many are under way', async () => {
    const { app, ask, listen, close } = await house({ body: 100 })
    app.put('/x/:id', async context => void (await context.bytes()))
    await listen()
    const large = await ask(CODE.PUT, { path: '/x/1', payload: new Uint8Array(101) })
    expect([large.code, large.answer.options.uint(OPTION.SIZE1)]).toEqual(['4.13', 100])
    expect((await ask(CODE.PUT, { path: '/x/1', payload: new Uint8Array(100) })).code).toBe('2.04')
    const blocks = []
    for (let id = 0; id < 20; id++)
      blocks.push((await ask(CODE.PUT, { path: `/x/${id}`, options: [[OPTION.BLOCK1, block(0, true, 2)]], payload: new Uint8Array(64) })).code)
    expect(blocks).toEqual([...Array(16).fill('2.31'), ...Array(4).fill('5.03')])
    expect((await ask(CODE.PUT, { path: '/x/0', options: [[OPTION.BLOCK1, block(1, true, 2)]], payload: new Uint8Array(64) })).code).toBe('4.13')
    await close()
  })

  test('whose answer is not kept any more is 4.08 where its request may not be run again', async () => {
    const { app, ask, listen, close } = await house()
    app.post('/x', () => 'x'.repeat(3000))
    await listen()
    expect((await ask(CODE.POST, { path: '/x', options: [[OPTION.BLOCK2, block(1, false, 6)]] })).code).toBe('4.08')
    await close()
  })
})

describe('a stranger', () => {
  const stranger = async () => {
    const all = await house({}, { amplification: 3 })
    all.app.get('/tiny', () => 'x'.repeat(16))
    all.app.get('/a', () => 'x'.repeat(2000))
    all.app.post('/post', () => reply(200, 'y'.repeat(2000)))
    all.app.get('/wrong', () => {
      throw new IopaError(400, 'wrong', `${'ä'.repeat(300)} and so on`)
    })
    await all.listen()
    return all
  }

  test('gets sixteen bytes whatever it has sent, and is asked to echo where a block would be too much', async () => {
    const { ask, close } = await stranger()
    expect((await ask(CODE.GET, { token: '', path: '/tiny' })).code).toBe('2.05')
    const challenged = await ask(CODE.GET, { token: '', path: '/a' })
    expect([challenged.code, challenged.answer.options.has(OPTION.ECHO)]).toEqual(['4.01', true])
    expect(challenged.ratio).toBeLessThanOrEqual(3)
    const trusted = await ask(CODE.GET, { token: '', path: '/a', options: [[OPTION.ECHO, challenged.answer.options.get(OPTION.ECHO)!]] })
    expect([trusted.code, trusted.answer.payload.length]).toEqual(['2.05', 1024])
    await close()
  })

  test('gets the text of an error as far as it fits, cut at a character', async () => {
    const { ask, close } = await stranger()
    const { code, text, ratio } = await ask(CODE.GET, { path: '/wrong', query: ['x'.repeat(20)] })
    expect(code).toBe('4.00')
    expect(text).toMatch(/^ä+$/)
    expect(ratio).toBeLessThanOrEqual(3)
    const refused = await ask(CODE.GET, { token: '', options: [[2049, '']] })
    expect([refused.code, refused.ratio <= 3]).toEqual(['4.02', true])
    await close()
  })

  test('gets what it has changed answered in the smallest blocks, for it must not change it twice', async () => {
    const { ask, close } = await stranger()
    const { code, answer } = await ask(CODE.POST, { token: '', path: '/post' })
    expect([code, answer.payload.length, answer.options.uint(OPTION.BLOCK2)]).toEqual(['2.04', 16, block(0, true, 0)])
    await close()
  })

  test('cannot use the echo of another, nor one that is made up or too old', async () => {
    const { ask, clock, peer, inbox, close } = await stranger()
    const echo = (await ask(CODE.GET, { token: '', path: '/a' })).answer.options.get(OPTION.ECHO)!
    const forged = Uint8Array.from(echo, (byte, at) => (at === 11 ? byte ^ 1 : byte))
    expect((await ask(CODE.GET, { token: '', path: '/a', options: [[OPTION.ECHO, forged]] })).answer.payload.length).toBeLessThan(100)
    await clock.advance(130_000)
    expect((await ask(CODE.GET, { token: '', path: '/a', options: [[OPTION.ECHO, echo]] })).answer.payload.length).toBeLessThan(100)
    expect(inbox.every(({ type }) => type === TYPE.ACK)).toBe(true)
    void peer
    await close()
  })
})
