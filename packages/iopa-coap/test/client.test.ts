import { App } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { type VirtualClock, virtualClock, virtualNetwork } from '@iopa/testing'
import { type Client, connect, type DatagramChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options, type OptionValue } from '../src/codec/options.ts'
import { encodeFrame, FrameReader, isMessage } from '../src/codec/stream-codec.ts'
import { Signalling } from '../src/streams/signalling.ts'

type Reply = {
  code: number
  options?: readonly (readonly [number, OptionValue])[]
  payload?: string | Uint8Array
  type?: number
  token?: Uint8Array
  id?: number
}

/** A client, and a server that answers each request as the test says. */
async function scripted(answer: (request: ReceivedMessage, count: number) => Reply | Reply[] | undefined, options: CoapOptions = {}) {
  const clock: VirtualClock = virtualClock()
  const network = virtualNetwork({ clock })
  const server: DatagramChannel = await network.machine('10.0.0.1').bind({ host: '10.0.0.1', port: 5683 })
  const requests: ReceivedMessage[] = []
  const replies: ReceivedMessage[] = []
  let from = { address: '', port: 0 }
  const send = ({ code, type, token, id, options: list = [], payload = '' }: Reply, request?: ReceivedMessage): void => {
    const all = new Options()
    for (const [number, value] of list) all.add(number, value)
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    server.send(
      encode({ type: type ?? TYPE.ACK, code, id: id ?? request?.id ?? 0, token: token ?? request!.token, options: all, payload: bytes }),
      from.port,
      from.address
    )
  }
  server.open({
    message: (bytes, address, port) => {
      from = { address, port }
      const request = decode(bytes) as ReceivedMessage
      if (request.code === CODE.EMPTY) {
        replies.push(request)
        return
      }
      requests.push(request)
      const reply = answer(request, requests.length)
      for (const one of reply === undefined ? [] : [reply].flat()) send(one, request)
    },
    error: () => {}
  })
  const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2'), ...options }))
  const client: Client = await clock.runUntil(app.connect('coap://10.0.0.1'))
  return { clock, network, client, requests, replies, send, close: () => clock.runUntil(Promise.all([app.close({ timeout: 0 }), client.close()])) }
}

const failure = (promise: Promise<unknown>): Promise<{ status: number; code: string }> =>
  promise.then(
    () => {
      throw new Error('it did not fail')
    },
    error => error
  )

const block = (num: number, more: boolean, szx: number): number => (num << 4) | (more ? 8 : 0) | szx

describe('a client that fetches blocks', () => {
  test('begins again when the ETag changes on the way', async () => {
    const { clock, client, requests, close } = await scripted((request, count) => {
      const num = (request.options.uint(OPTION.BLOCK2) ?? 0) >> 4
      const etag = count < 2 ? 'a' : 'b'
      return {
        code: CODE.CONTENT,
        options: [
          [OPTION.ETAG, etag],
          [OPTION.BLOCK2, block(num, num === 0, 0)]
        ],
        payload: `${etag}${num}`.padEnd(num === 0 ? 16 : 4)
      }
    })
    const answer = await clock.runUntil(client.get('/x'))
    expect(await answer.text()).toBe('b0              b1  ')
    expect(requests).toHaveLength(4)
    await close()
  })

  test('gives up when it changes again and again', async () => {
    const { clock, client, close } = await scripted((request, count) => {
      const num = (request.options.uint(OPTION.BLOCK2) ?? 0) >> 4
      return {
        code: CODE.CONTENT,
        options: [
          [OPTION.ETAG, count],
          [OPTION.BLOCK2, block(num, true, 0)]
        ],
        payload: 'x'.repeat(16)
      }
    })
    expect(await clock.runUntil(failure(client.get('/x')))).toMatchObject({ status: 502, code: 'unstable-answer' })
    await close()
  })

  test('fails on a block that does not fit, on an error between, and on more than it may take', async () => {
    const cases: [string, (num: number) => Reply][] = [
      ['bad-block', num => ({ code: CODE.CONTENT, options: [[OPTION.BLOCK2, block(num === 0 ? 0 : 5, true, 0)]], payload: 'x'.repeat(16) })],
      ['bad-block', num => ({ code: CODE.CONTENT, options: num === 0 ? [[OPTION.BLOCK2, block(0, true, 0)]] : [], payload: 'x'.repeat(16) })],
      ['bad-block', () => ({ code: CODE.CONTENT, options: [[OPTION.BLOCK2, block(0, true, 0)]], payload: 'x'.repeat(7) })],
      [
        'incomplete-answer',
        num => (num === 0 ? { code: CODE.CONTENT, options: [[OPTION.BLOCK2, block(0, true, 0)]], payload: 'x'.repeat(16) } : { code: CODE.NOT_FOUND })
      ],
      ['received-too-large', num => ({ code: CODE.CONTENT, options: [[OPTION.BLOCK2, block(num, true, 6)]], payload: 'x'.repeat(1024) })]
    ]
    for (const [code, reply] of cases) {
      const { clock, client, close } = await scripted(request => reply((request.options.uint(OPTION.BLOCK2) ?? 0) >> 4))
      expect(await clock.runUntil(failure(client.get('/x'))), code).toMatchObject({ status: 502, code })
      await close()
    }
  })

  test('asks for blocks of its own size first where it takes only small ones', async () => {
    const { clock, client, requests, close } = await scripted(() => ({ code: CODE.CONTENT, payload: 'x' }), { blockSize: 64 })
    await clock.runUntil(client.get('/x'))
    expect(requests[0]!.options.uint(OPTION.BLOCK2)).toBe(2)
    await close()
  })
})

describe('a client that sends blocks', () => {
  test('takes the smaller size that the server wants, with Size1 and one Request-Tag', async () => {
    let length = 0
    const { clock, client, requests, close } = await scripted(request => {
      const value = request.options.uint(OPTION.BLOCK1)!
      length += request.payload.length
      const more = (value & 8) !== 0
      return { code: more ? CODE.CONTINUE : CODE.CHANGED, options: [[OPTION.BLOCK1, (value & ~7) | Math.min(value & 7, 4)]] }
    })
    const answer = await clock.runUntil(client.put('/x', new Uint8Array(3000)))
    expect([answer.status, length]).toEqual([204, 3000])
    const sizes = requests.map(({ options }) => options.uint(OPTION.BLOCK1)! & 7)
    expect(sizes).toEqual([6, ...Array(8).fill(4)])
    expect(requests[1]!.options.uint(OPTION.BLOCK1)! >> 4).toBe(4)
    expect(requests[0]!.options.uint(OPTION.SIZE1)).toBe(3000)
    expect(new Set(requests.map(({ options }) => options.uint(OPTION.REQUEST_TAG))).size).toBe(1)
    expect(new Set(requests.map(({ token }) => Buffer.from(token).toString('hex'))).size).toBe(requests.length)
    await close()
  })

  test('tries a smaller block where the first is too large, and takes a refusal of the body as the answer', async () => {
    const first = await scripted(request => {
      const value = request.options.uint(OPTION.BLOCK1)!
      if ((value & 7) > 2) return { code: CODE.REQUEST_ENTITY_TOO_LARGE, options: [[OPTION.BLOCK1, 2]] }
      return { code: value & 8 ? CODE.CONTINUE : CODE.CHANGED, options: [[OPTION.BLOCK1, value]] }
    })
    expect((await first.clock.runUntil(first.client.put('/x', new Uint8Array(1500)))).status).toBe(204)
    await first.close()
    const second = await scripted(() => ({ code: CODE.REQUEST_ENTITY_TOO_LARGE, options: [[OPTION.SIZE1, 100]], payload: 'too large' }))
    expect((await second.clock.runUntil(second.client.put('/x', new Uint8Array(1500)))).status).toBe(413)
    expect(second.requests).toHaveLength(1)
    await second.close()
  })
})

describe('a client', () => {
  test('echoes what it is asked to, once', async () => {
    const { clock, client, requests, close } = await scripted(request =>
      request.options.has(OPTION.ECHO)
        ? { code: CODE.CONTENT, payload: 'yes' }
        : { code: CODE.UNAUTHORIZED, options: [[OPTION.ECHO, Uint8Array.of(1, 2, 3)]] }
    )
    expect(await (await clock.runUntil(client.get('/x'))).text()).toBe('yes')
    expect([...requests[1]!.options.get(OPTION.ECHO)!]).toEqual([1, 2, 3])
    await close()
    const stubborn = await scripted(() => ({ code: CODE.UNAUTHORIZED, options: [[OPTION.ECHO, Uint8Array.of(1)]] }))
    expect((await stubborn.clock.runUntil(stubborn.client.get('/x'))).status).toBe(401)
    expect(stubborn.requests).toHaveLength(2)
    await stubborn.close()
  })

  test('fails on a reset, and on an answer that it must not understand', async () => {
    const reset = await scripted(request => ({ code: CODE.EMPTY, type: TYPE.RST, token: new Uint8Array(0), id: request.id }))
    expect(await reset.clock.runUntil(failure(reset.client.get('/x')))).toMatchObject({ status: 502, code: 'peer-reset' })
    await reset.close()
    const strange = await scripted(() => ({ code: CODE.CONTENT, options: [[2049, 'x']] }))
    expect(await strange.clock.runUntil(failure(strange.client.get('/x')))).toMatchObject({ status: 502, code: 'critical-option' })
    await strange.close()
  })

  test('ignores an answer with another token, and resets a late one', async () => {
    const { clock, client, replies, send, close } = await scripted((_, count) => [
      { code: CODE.CONTENT, token: Uint8Array.of(9, 9), payload: 'forged' },
      { code: CODE.CONTENT, payload: `right ${count}` }
    ])
    expect(await (await clock.runUntil(client.get('/x'))).text()).toBe('right 1')
    send({ code: CODE.CONTENT, type: TYPE.CON, id: 777, token: Uint8Array.of(1) })
    await clock.advance(10)
    expect(replies).toMatchObject([{ type: TYPE.RST, id: 777 }])
    await close()
  })

  test('rejects requests to itself, answers a ping, and sends NON where the option asks for it', async () => {
    const { clock, client, requests, replies, send, close } = await scripted(request => ({
      code: CODE.CONTENT,
      type: TYPE.NON,
      id: 5,
      payload: 'x',
      token: request.token
    }))
    await clock.runUntil(client.send({ 'iopa.Path': '/x', 'coap.Confirmable': false }))
    expect(requests[0]!.type).toBe(TYPE.NON)
    send({ code: CODE.GET, type: TYPE.CON, id: 12, token: Uint8Array.of(1) })
    send({ code: CODE.EMPTY, type: TYPE.CON, id: 13, token: new Uint8Array(0) })
    await clock.advance(10)
    expect(replies.map(({ type, id }) => [type, id])).toEqual([
      [TYPE.RST, 12],
      [TYPE.RST, 13]
    ])
    expect([...encodeEmpty(TYPE.RST, 12)]).toEqual([0x70, 0, 0, 12])
    await close()
  })

  test('waits for an answer 30 s after its request was received, and as long as `timeout` says where it does', async () => {
    const { clock, client, close } = await scripted(() => ({ code: CODE.EMPTY, token: new Uint8Array(0) }))
    const failed = failure(client.get('/x'))
    await clock.advance(29_000)
    expect(await Promise.race([failed, Promise.resolve('waiting')])).toBe('waiting')
    await clock.advance(1100)
    expect(await failed).toMatchObject({ status: 504, code: 'timeout' })
    await close()
  })

  test('says what is wrong with a name that nobody knows', async () => {
    const app = new App({ logger: false }).use(coap())
    expect(await failure(app.connect('coap://no-such-host.invalid'))).toMatchObject({ status: 502, code: 'connect-failed' })
    expect(await failure(app.connect('coap://127.0.0.1', { signal: AbortSignal.abort(new Error('no')) }))).toMatchObject({ message: 'no' })
    await app.close()
  })

  test('rejects what is asked of its channel after it was closed, and what waits then', async () => {
    const { clock, network, close } = await scripted(() => undefined)
    const channel = await connect(coap({ clock, network: network.machine('10.0.0.3') }), new URL('coap://10.0.0.1'))
    const waiting = failure(channel.send({ 'iopa.Path': '/x' }))
    await clock.advance(10)
    await clock.runUntil(channel.close())
    expect(await waiting).toMatchObject({ status: 503, code: 'closed' })
    expect(await failure(channel.send({ 'iopa.Path': '/x' }))).toMatchObject({ status: 503, code: 'closed' })
    await close()
  })
})

describe('an observation of a client', () => {
  test('ends with the status of a refusal, at the begin or later', async () => {
    const early = await scripted(() => ({ code: CODE.NOT_FOUND, payload: 'There is no such thing.' }))
    const next = (client: Client) => client.observe('/x')[Symbol.asyncIterator]().next()
    expect(await early.clock.runUntil(failure(next(early.client)))).toMatchObject({
      status: 404,
      code: 'refused',
      cause: { detail: 'There is no such thing.' }
    })
    await early.close()
    const late = await scripted(() => ({ code: CODE.CONTENT, options: [[OPTION.OBSERVE, 1]], payload: 'a' }))
    const answers = late.client.observe('/x')[Symbol.asyncIterator]()
    expect(await (await late.clock.runUntil(answers.next())).value!.text()).toBe('a')
    late.send({ code: CODE.NOT_FOUND, type: TYPE.CON, id: 9, token: late.requests[0]!.token })
    expect(await late.clock.runUntil(failure(answers.next()))).toMatchObject({ status: 404 })
    await late.close()
  })

  test('gives one answer where the server does not observe', async () => {
    const { clock, client, close } = await scripted(() => ({ code: CODE.CONTENT, payload: 'a' }))
    const texts: string[] = []
    const read = async () => {
      for await (const answer of client.observe('/x')) texts.push(await answer.text())
    }
    await clock.runUntil(read())
    expect(texts).toEqual(['a'])
    await close()
  })

  test('registers again after a while when its server goes, with the same token', async () => {
    const { clock, client, requests, send, close } = await scripted((_, count) => ({
      code: CODE.CONTENT,
      options: [[OPTION.OBSERVE, count]],
      payload: `state ${count}`
    }))
    const answers = client.observe('/x')[Symbol.asyncIterator]()
    await clock.runUntil(answers.next())
    send({ code: CODE.SERVICE_UNAVAILABLE, type: TYPE.NON, id: 9, token: requests[0]!.token, options: [[OPTION.MAX_AGE, 3]] })
    const next = answers.next()
    await clock.advance(7000)
    expect(requests).toHaveLength(1)
    await clock.advance(12_000)
    expect(await (await clock.runUntil(next)).value!.text()).toBe('state 2')
    expect(Buffer.compare(requests[0]!.token, requests[1]!.token)).toBe(0)
    await close()
  })

  test('is cancelled with Observe 1 and its token when its reader leaves', async () => {
    const { clock, client, requests, close } = await scripted((_, count) => ({
      code: CODE.CONTENT,
      options: count === 1 ? [[OPTION.OBSERVE, 1]] : [],
      payload: 'a'
    }))
    const read = async () => {
      for await (const _ of client.observe('/x')) break
    }
    await clock.runUntil(read())
    await clock.advance(10)
    expect(requests[1]!.options.uint(OPTION.OBSERVE)).toBe(1)
    expect(Buffer.compare(requests[0]!.token, requests[1]!.token)).toBe(0)
    await close()
  })

  test('does not tell the same state again that a renewed registration brings', async () => {
    const { clock, client, requests, close } = await scripted((_, count) => ({
      code: CODE.CONTENT,
      options: [
        [OPTION.OBSERVE, count],
        [OPTION.MAX_AGE, 5]
      ],
      payload: count < 3 ? 'same' : 'other'
    }))
    const answers = client.observe('/x')[Symbol.asyncIterator]()
    await clock.runUntil(answers.next())
    const next = clock.runUntil(answers.next())
    expect(await (await next).value!.text()).toBe('other')
    expect(requests).toHaveLength(3)
    await close()
  })

  test('takes every notification of a connection, whatever number it has', async () => {
    const clock = virtualClock()
    const network = virtualNetwork({ clock })
    let send: (payload: string) => void = () => {}
    await network.machine('10.0.0.1').listen({ host: '10.0.0.1', port: 5683 }, channel => {
      const reader = new FrameReader(1 << 20)
      const signalling = new Signalling({ maxMessageSize: 1 << 20, blockWise: true })
      channel.write(signalling.hello())
      channel.open({
        data: chunk => {
          for (const frame of reader.push(chunk)) {
            if (!isMessage(frame) || frame.code !== CODE.GET) continue
            send = payload =>
              channel.write(
                encodeFrame({
                  code: CODE.CONTENT,
                  token: frame.token,
                  options: new Options().add(OPTION.OBSERVE),
                  payload: Buffer.from(payload)
                })
              )
            send('a')
          }
        },
        end: () => {},
        drain: () => {},
        close: () => {}
      })
    })
    const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2') }))
    const client = await clock.runUntil(app.connect('coap+tcp://10.0.0.1'))
    const answers = client.observe('/x')[Symbol.asyncIterator]()
    for (const text of ['a', 'b', 'c']) {
      if (text !== 'a') send(text)
      expect(await (await clock.runUntil(answers.next())).value!.text()).toBe(text)
    }
    await clock.runUntil(Promise.all([app.close({ timeout: 0 }), client.close()]))
  })
})
