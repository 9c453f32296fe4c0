import { App, type Limits, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { type OscoreContextOptions, oscore } from '@iopa/oscore'
import { router } from '@iopa/router'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { type ActiveProtection, DEFAULT_LIMITS, type MessageOption, type PlainMessage, type ProtectedRequest } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode, encode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { rawRequest } from './raw-peer.ts'

const SERVER = '10.0.0.1'
const OSCORE = 9
const URL_OF = new URL(`coap://${SERVER}`)
const NOTHING = new Uint8Array(0)

const pair = (id: string, number: number): { server: OscoreContextOptions; client: OscoreContextOptions } => {
  const masterSecret = Buffer.alloc(16, number)
  const [own, other] = [Buffer.from([0, number]), Buffer.from([1, number])]
  return {
    server: { id, masterSecret, senderId: own, recipientId: other },
    client: { id: 'server', masterSecret, senderId: other, recipientId: own, servers: [URL_OF.href] }
  }
}
const ANN = pair('ann', 1)
const BOB = pair('bob', 2)

const home = async (require: boolean | ((path: string) => boolean) = true, limits: Partial<Limits> = {}) => {
  const clock = virtualClock({ start: 1_700_000_000_000 })
  const network = virtualNetwork({ clock })
  const seen: string[] = []
  const protect = oscore({ contexts: [ANN.server, BOB.server], require })
  const app = new App({ logger: false, clock }).use(router()).use(
    coap({
      host: SERVER,
      clock,
      network: network.machine(SERVER),
      protect,
      allowUnauthenticated: true,
      amplification: false,
      collectUpTo: 2048,
      limits
    })
  )
  app.get('/door', ({ user }) => {
    seen.push(`get ${user?.id}`)
    return reply(200, `closed, ${user?.id}`)
  })
  app.put('/door', async context => {
    seen.push(`put ${context.user?.id}`)
    let size = 0
    for await (const chunk of context.body ?? []) size += chunk.length
    seen.push(`read ${size}`)
  })
  await app.listen()

  /** A socket that sends what a test says. */
  const socket = async (address: string) => {
    const channel = await network.machine(address).bind({ host: address, port: 0 })
    const inbox: ReceivedMessage[] = []
    channel.open({
      message: bytes => {
        const message = decode(bytes) as ReceivedMessage
        if (message.type === TYPE.CON) channel.send(encodeEmpty(TYPE.ACK, message.id), 5683, SERVER)
        if (message.code !== 0) inbox.push(message)
      },
      error: () => undefined
    })
    const send = (bytes: Uint8Array): void => channel.send(bytes, 5683, SERVER)
    const ask = async (bytes: Uint8Array): Promise<ReceivedMessage> => {
      const before = inbox.length
      send(bytes)
      await clock.runUntil(() => inbox.length > before)
      return inbox[before]!
    }
    return { inbox, send, ask }
  }

  /** What protects requests as a user does. */
  const user = async (of: { client: OscoreContextOptions }) => {
    const logger = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined } as never
    const active: ActiveProtection = await oscore({ contexts: [of.client] }).start({ clock, limits: DEFAULT_LIMITS, logger })
    const seal = async (code: number, options: readonly MessageOption[] = [], payload: Uint8Array = NOTHING): Promise<ProtectedRequest> => {
      const all = [...options, [OPTION.URI_PATH, Buffer.from('door')] as const].sort(([one], [other]) => one - other)
      return active.requests(URL_OF)!.protect({ code, options: all, payload })
    }
    const first = await socket('10.0.0.99')
    for (let echo: readonly MessageOption[] = [], tries = 0; tries < 3; tries++) {
      const request = await seal(CODE.GET, echo)
      const answer = (await request.open(plainOf(await first.ask(bytesOf(request.message))))) as PlainMessage
      echo = answer.options.filter(([number]) => number === OPTION.ECHO)
      if (answer.code !== CODE.UNAUTHORIZED) break
    }
    seen.length = 0
    return { seal }
  }
  return { app, clock, seen, socket, user, protect, [Symbol.asyncDispose]: () => clock.runUntil(app.close({ timeout: 0 })) }
}

const plainOf = ({ code, options, payload }: ReceivedMessage): PlainMessage => ({ code, options: [...options], payload })

let lastId = 0
/** A protected message as a datagram with an id and a token of its own. */
const bytesOf = ({ code, options, payload }: PlainMessage, type: number = TYPE.CON): Uint8Array => {
  const all = new Options()
  for (const [number, value] of options) all.add(number, value)
  return encode({ type, code, id: ++lastId, token: Buffer.from(`t${lastId}`), options: all, payload })
}
const text = ({ payload }: ReceivedMessage): string => Buffer.from(payload).toString()
const changed = (bytes: Uint8Array, at: number): Uint8Array => Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte))

describe('a captured request', () => {
  test('is not handled again: from the same address, from another, and with other outer options', async () => {
    await using here = await home()
    const ann = await here.user(ANN)
    const peer = await here.socket('10.0.0.2')
    const { message } = await ann.seal(CODE.PUT, [], Buffer.from('open'))
    expect(formatCode((await peer.ask(bytesOf(message))).code)).toBe('2.04')
    const thief = await here.socket('10.0.0.3')
    const outer: MessageOption = [OPTION.URI_HOST, Buffer.from('other')]
    for (const again of [message, { ...message, options: [outer, ...message.options] }, { ...message, code: CODE.FETCH }])
      for (const from of [peer, thief]) expect(text(await from.ask(bytesOf(again)))).toBe('Replay detected')
    expect(here.seen).toEqual(['put ann', 'read 4'])
  })

  test('registers no second observer', async () => {
    await using here = await home()
    const ann = await here.user(ANN)
    const peer = await here.socket('10.0.0.2')
    const { message } = await ann.seal(CODE.GET, [[OPTION.OBSERVE, NOTHING]])
    expect((await peer.ask(bytesOf(message))).options.has(OPTION.OBSERVE)).toBe(true)
    const thief = await here.socket('10.0.0.3')
    expect(text(await thief.ask(bytesOf(message)))).toBe('Replay detected')
    here.app.notify('/door')
    await here.clock.advance(5000)
    expect([peer.inbox.length, thief.inbox.length]).toEqual([2, 1])
  })

  test('is refused for every byte that was changed, and for the id of another user', async () => {
    await using here = await home()
    const ann = await here.user(ANN)
    await here.user(BOB)
    const peer = await here.socket('10.0.0.2')
    const { message } = await ann.seal(CODE.PUT, [], Buffer.from('open'))
    const value = message.options.find(([number]) => number === OSCORE)![1]
    const variants: PlainMessage[] = [
      ...Array.from(message.payload, (_, at) => ({ ...message, payload: changed(message.payload, at) })),
      ...Array.from(value, (_, at) => ({ ...message, options: [[OSCORE, changed(value, at)] as const] })),
      // The key of Ann under the id of Bob.
      { ...message, options: [[OSCORE, Uint8Array.from([...value.subarray(0, -1), 2])]] },
      { ...message, options: [...message.options, ...message.options] },
      { ...message, payload: NOTHING }
    ]
    for (const variant of variants) expect((await peer.ask(bytesOf(variant))).code >> 5).toBe(4)
    expect(here.seen).toEqual([])
    expect(formatCode((await peer.ask(bytesOf(message))).code)).toBe('2.04')
  })
})

test('a response belongs to its request and its association', async () => {
  await using here = await home()
  const [ann, bob] = [await here.user(ANN), await here.user(BOB)]
  const peer = await here.socket('10.0.0.2')
  const [first, second, other] = [await ann.seal(CODE.GET), await ann.seal(CODE.GET), await bob.seal(CODE.GET)]
  const answers: PlainMessage[] = []
  for (const { message } of [first, second, other]) answers.push(plainOf(await peer.ask(bytesOf(message))))
  expect(() => first.open(answers[1]!)).toThrow('cannot be verified')
  expect(() => first.open(answers[2]!)).toThrow('cannot be verified')
  expect(Buffer.from(((await first.open(answers[0]!)) as PlainMessage).payload).toString()).toBe('closed, ann')
  expect(Buffer.from(((await other.open(answers[2]!)) as PlainMessage).payload).toString()).toBe('closed, bob')
})

test('what has to be protected is refused whatever the request looks like', async () => {
  await using here = await home(path => path.startsWith('/door'))
  const peer = await here.socket('10.0.0.2')
  const requests: Uint8Array[] = []
  for (const code of [CODE.GET, CODE.PUT, CODE.POST, CODE.DELETE, CODE.FETCH, CODE.PATCH, CODE.IPATCH])
    for (const options of [
      [],
      [[OPTION.OBSERVE, NOTHING]],
      [[OPTION.URI_HOST, 'localhost']],
      [[OPTION.BLOCK1, 8]],
      [[OPTION.BLOCK2, 0x16]],
      [[OPTION.PROXY_SCHEME, 'coap']],
      [[OPTION.PROXY_URI, `coap://${SERVER}/door`]]
    ] as const)
      requests.push(rawRequest(code, { path: '/door', options, payload: code === CODE.GET ? '' : Buffer.alloc(16) }))
  for (const path of ['/door/', '//door', '/x/../door', '/./door', '/Door', '/%64oor', '/door%2f', '/door\u0000'])
    requests.push(rawRequest(CODE.GET, { path, token: 'pa' }))
  for (const request of requests) expect((await peer.ask(request)).code >> 5).toBeGreaterThanOrEqual(4)
  const list = await peer.ask(rawRequest(CODE.GET, { path: '/.well-known/core' }))
  expect(text(list)).not.toContain('door')
  expect(here.seen).toEqual([])
})

test('parts of protected messages from many addresses stay within their bounds', async () => {
  await using here = await home()
  const ann = await here.user(ANN)
  const part = Buffer.alloc(1024, 1)
  for (let at = 0; at < 300; at++) {
    const peer = await here.socket(`10.1.${at >> 8}.${at & 255}`)
    const option: MessageOption = [OSCORE, Uint8Array.of(9, at & 255, 1, 1)]
    peer.send(bytesOf({ code: CODE.POST, options: [option, [OPTION.BLOCK1, Uint8Array.of(0x0e)]], payload: part }))
  }
  await here.clock.advance(1000)
  // A proxy that cuts the request of a user still finds room.
  const proxy = await here.socket('10.0.0.2')
  const { message } = await ann.seal(CODE.PUT, [], Buffer.alloc(1500))
  const cut = (num: number, more: number): PlainMessage => ({
    ...message,
    options: [...message.options, [OPTION.BLOCK1, Uint8Array.of((num << 4) | more | 6)]],
    payload: message.payload.subarray(num * 1024, num * 1024 + 1024)
  })
  expect(formatCode((await proxy.ask(bytesOf(cut(0, 8)))).code)).toBe('2.31')
  expect(formatCode((await proxy.ask(bytesOf(cut(1, 0)))).code)).toBe('2.04')
  expect(here.seen).toEqual(['put ann', 'read 1500'])
})

describe('an upload', () => {
  const block = (num: number, more: boolean): readonly MessageOption[] => [
    [OPTION.BLOCK1, Uint8Array.of((num >> 4) & 255, ((num & 15) << 4) | (more ? 8 : 0) | 6)],
    [OPTION.SIZE1, Uint8Array.of(0x40, 0)]
  ]

  test('goes on at another address for as long as its blocks come', async () => {
    await using here = await home()
    const ann = await here.user(ANN)
    const send = async (from: Awaited<ReturnType<typeof here.socket>>, num: number): Promise<string> => {
      const request = await ann.seal(CODE.PUT, block(num, num < 7), Buffer.alloc(num < 7 ? 1024 : 10))
      return formatCode(((await request.open(plainOf(await from.ask(bytesOf(request.message))))) as PlainMessage).code)
    }
    const before = await here.socket('10.0.0.2')
    expect(await send(before, 0)).toBe('2.31')
    const after = await here.socket('10.0.0.3')
    for (let num = 1; num < 7; num++) {
      await here.clock.advance(100_000)
      expect(await send(after, num)).toBe('2.31')
    }
    expect(await send(after, 7)).toBe('2.04')
    expect(here.seen).toEqual(['put ann', 'read 7178'])
  })

  test('takes no block of another body of its user: blocks inside are bound by their Request-Tag (RFC 9175 section 3)', async () => {
    await using here = await home()
    const ann = await here.user(ANN)
    const peer = await here.socket('10.0.0.2')
    const send = async (tag: number, num: number, more: boolean): Promise<string> => {
      const options: MessageOption[] = [
        [OPTION.BLOCK1, Uint8Array.of((num << 4) | (more ? 8 : 0) | 6)],
        [OPTION.REQUEST_TAG, Uint8Array.of(tag)]
      ]
      const request = await ann.seal(CODE.PUT, options, Buffer.alloc(more ? 1024 : 10 + tag))
      return formatCode(((await request.open(plainOf(await peer.ask(bytesOf(request.message))))) as PlainMessage).code)
    }
    expect([await send(1, 0, true), await send(2, 0, true), await send(1, 1, false)]).toEqual(['2.31', '2.31', '2.04'])
    // The last block of the second body does not end the first one again, and one of a third is refused.
    expect([await send(1, 1, false), await send(3, 1, false), await send(2, 1, false)]).toEqual(['4.08', '4.08', '2.04'])
    expect(here.seen).toEqual(['put ann', 'read 1035', 'put ann', 'read 1036'])
  })

  test('ends when its user is revoked, and no block of another user continues it', async () => {
    await using here = await home()
    const [ann, bob] = [await here.user(ANN), await here.user(BOB)]
    const peer = await here.socket('10.0.0.2')
    const send = async (of: typeof ann, num: number): Promise<ReceivedMessage> =>
      peer.ask(bytesOf((await of.seal(CODE.PUT, block(num, true), Buffer.alloc(1024))).message))
    await send(ann, 0)
    const foreign = await bob.seal(CODE.PUT, block(1, true), Buffer.alloc(1024))
    const answer = (await foreign.open(plainOf(await peer.ask(bytesOf(foreign.message))))) as PlainMessage
    expect(formatCode(answer.code)).toBe('4.08')
    here.app.revoke('ann')
    await here.clock.advance(100)
    expect(text(await send(ann, 1))).toBe('Security context not found')
    expect(here.seen).toEqual(['put ann'])
  })
})
