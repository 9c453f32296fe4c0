import { App, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { type VirtualNetworkOptions, virtualClock, virtualNetwork } from '@iopa/testing'
import type { DatagramNetwork } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { blockValue } from '../src/codec/block.ts'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode, isMalformed } from '../src/codec/datagram-codec.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { rawRequest } from './raw-peer.ts'
import { TOY_OPTION, type ToyOptions, toy } from './toy-protection.ts'

const SERVER = '10.0.0.1'
const USERS = { 1: 'ann', 2: 'bob' }

interface HomeOptions {
  readonly toy?: ToyOptions
  readonly network?: Omit<VirtualNetworkOptions, 'clock'>
  readonly coap?: CoapOptions
  readonly scheme?: 'coap' | 'coap+tcp'
}

/** A server with protection, and clients of it, on a virtual network. */
const home = async (options: HomeOptions = {}) => {
  const { scheme = 'coap' } = options
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...options.network })
  const protect = toy({ users: USERS, ...options.toy })
  const apps: App[] = []
  const seen: string[] = []
  let state = 'state 0'
  let gets = 0
  const app = new App({ logger: false, clock }).use(router()).use(
    coap({
      host: SERVER,
      allowUnauthenticated: true,
      amplification: false,
      udp: scheme === 'coap',
      tcp: scheme === 'coap+tcp',
      clock,
      network: network.machine(SERVER),
      protect,
      ...options.coap
    })
  )
  const bodies = new Map<string, Uint8Array>()
  app.get('/whoami', ({ user }) => `${user?.id ?? 'nobody'} by ${user?.['by'] ?? 'nothing'}`)
  app.get('/mine', ({ user }) => user?.id ?? 'nobody')
  app.put('/body/:id', async context => {
    seen.push(`${context.user?.id} ${context.method} ${context.path}`)
    bodies.set(context.params.id, await context.bytes())
  })
  app.get('/body/:id', ({ params }) => bodies.get(params.id) ?? new Uint8Array())
  app.get('/state', () => {
    gets++
    return reply(200, state, { 'cache-control': 'max-age=1000' })
  })
  app.post('/count', () => {
    seen.push('counted')
    return 'counted'
  })
  await app.listen()
  apps.push(app)
  return {
    clock,
    network,
    app,
    protect,
    seen,
    bodies,
    gets: () => gets,
    setState(value: string) {
      state = value
      app.notify('/state')
    },
    async connect(client: number | undefined, from = '10.0.0.2', own: ToyOptions = {}) {
      const protection = toy({ ...(client === undefined ? {} : { client }), ...own })
      const clients = new App({ logger: false, clock }).use(coap({ clock, network: network.machine(from), protect: protection }))
      apps.push(clients)
      return clock.runUntil(clients.connect(`${scheme}://${SERVER}`))
    },
    close: () => clock.runUntil(Promise.all(apps.map(each => each.close({ timeout: 1000 }))))
  }
}

const LOSS = { loss: 0.1, duplicates: 0.1, reordering: 0.1, seed: 7 }

describe.each(['coap', 'coap+tcp'] as const)('protected requests over %s', scheme => {
  test('have the user of the association, and nothing of them is on the wire', async () => {
    const here = await home({ scheme })
    const ann = await here.connect(1)
    expect(await (await here.clock.runUntil(ann.get('/whoami'))).text()).toBe('ann by oscore')
    const plain = await here.connect(undefined)
    expect(await (await here.clock.runUntil(plain.get('/whoami'))).text()).toBe('nobody by nothing')
    await here.close()
    expect(here.protect.open).toBe(0)
  })

  test('carry 100 KB both ways in inner blocks', async () => {
    const here = await home({ scheme, ...(scheme === 'coap' ? { network: LOSS } : {}) })
    const ann = await here.connect(1)
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7) & 255))
    expect((await here.clock.runUntil(ann.put('/body/a', body))).ok).toBe(true)
    expect(Buffer.compare(here.bodies.get('a')!, body)).toBe(0)
    expect(here.seen).toEqual(['ann PUT /body/a'])
    const answer = await here.clock.runUntil(ann.get('/body/a'))
    expect(Buffer.compare(Buffer.from(await answer.bytes()), body)).toBe(0)
    await here.close()
    expect(here.protect.open).toBe(0)
  })

  test.each([false, true])('observe, the newest state last (protecting later: %s)', async late => {
    const later = late ? () => Promise.resolve() : undefined
    const here = await home({ scheme, toy: later === undefined ? {} : { later }, ...(scheme === 'coap' ? { network: LOSS } : {}) })
    const ann = await here.connect(1, '10.0.0.2', later === undefined ? {} : { later })
    const got: string[] = []
    const observing = (async () => {
      for await (const answer of ann.observe('/state')) {
        got.push(await answer.text())
        if (got.at(-1) === 'state 20') return
      }
    })()
    await here.clock.runUntil(() => got.length === 1)
    for (let at = 1; at <= 20; at++) {
      here.setState(`state ${at}`)
      await here.clock.advance(at % 5 === 0 ? 4000 : 30)
    }
    await here.clock.runUntil(observing)
    expect(got[0]).toBe('state 0')
    expect(got.map(state => Number(state.slice(6)))).toEqual([...new Set(got.map(state => Number(state.slice(6))))].sort((a, b) => a - b))
    // As few are protected as are sent.
    expect(here.protect.made.filter(kind => kind === 'notification').length).toBeLessThanOrEqual(20)
    await here.close()
    expect(here.protect.open).toBe(0)
  })

  test('keep their order while the first is being opened', async () => {
    const gates: (() => void)[] = []
    const later = (what: string) => (what === 'protect' ? Promise.resolve() : new Promise<void>(resolve => gates.push(resolve)))
    const here = await home({ scheme, toy: { later } })
    const ann = await here.connect(1)
    const puts = Promise.all(['a', 'b', 'c'].map(id => ann.put(`/body/${id}`, id)))
    await here.clock.advance(10)
    expect(here.seen).toEqual([])
    await here.clock.runUntil(() => {
      gates.shift()?.()
      return here.seen.length === 3
    })
    expect(here.seen).toEqual(['a', 'b', 'c'].map(id => `ann PUT /body/${id}`))
    for (const open of gates.splice(0)) open()
    await here.clock.runUntil(puts)
    await here.close()
  })

  test('end with an error where they cannot be opened in time', async () => {
    const here = await home({ scheme, toy: { later: () => new Promise(() => undefined) }, coap: { limits: { requestTimeout: 1000 } } })
    const ann = await here.connect(1)
    await expect(here.clock.runUntil(ann.get('/whoami'))).rejects.toMatchObject({ status: 502, code: 'unprotected-response' })
    await here.close()
  })

  test('fail where no response can be protected', async () => {
    let exhausted = false
    const here = await home({ scheme, toy: { exhausted: () => exhausted } })
    const ann = await here.connect(1)
    exhausted = true
    await expect(here.clock.runUntil(ann.get('/whoami'))).rejects.toMatchObject({ code: 'unprotected-response' })
    await here.close()
    expect(here.protect.open).toBe(0)
  })

  test('end with an error where the client cannot protect them', async () => {
    const here = await home({ scheme })
    const ann = await here.connect(1, '10.0.0.2', { exhausted: () => true })
    await expect(here.clock.runUntil(ann.get('/whoami'))).rejects.toMatchObject({ code: 'exhausted' })
    await here.close()
  })

  test('are refused with what the protection says', async () => {
    const here = await home({ scheme })
    const eve = await here.connect(9)
    await expect(here.clock.runUntil(eve.get('/whoami'))).rejects.toMatchObject({ status: 502 })
    await here.close()
  })

  test('end with their user', async () => {
    const here = await home({ scheme })
    const ann = await here.connect(1)
    const got: number[] = []
    const observing = (async () => {
      for await (const answer of ann.observe('/state')) got.push(answer.status)
    })().catch((error: { status: number }) => void got.push(error.status))
    await here.clock.runUntil(() => got.length === 1)
    here.app.revoke('ann')
    await here.clock.runUntil(observing)
    expect(got).toEqual([200, 401])
    await expect(here.clock.runUntil(ann.get('/whoami'))).rejects.toMatchObject({ status: 502 })
    await here.close()
  })
})

describe('an app that requires protection', () => {
  const require = (path: string): boolean => path === '/whoami' || path === '/state'

  test('refuses plain requests for those paths, observations and uploads too, and hides them in its list', async () => {
    const here = await home({ toy: { require } })
    const plain = await here.connect(undefined)
    expect((await here.clock.runUntil(plain.get('/whoami'))).status).toBe(401)
    expect((await here.clock.runUntil(plain.put('/whoami', Buffer.alloc(5000)))).status).toBe(401)
    expect((await here.clock.runUntil(plain.get('/mine'))).status).toBe(200)
    const observed: number[] = []
    await here.clock.runUntil(
      (async () => {
        for await (const { status } of plain.observe('/state')) observed.push(status)
      })().catch((error: { status: number }) => void observed.push(error.status))
    )
    expect(observed).toEqual([401])
    const links = await (await here.clock.runUntil(plain.get('/.well-known/core'))).text()
    expect(links).toContain('</mine>')
    expect(links).not.toContain('whoami')
    const ann = await here.connect(1)
    expect((await here.clock.runUntil(ann.get('/whoami'))).status).toBe(200)
    expect(await (await here.clock.runUntil(ann.get('/.well-known/core'))).text()).toContain('</whoami>')
    await here.close()
  })

  test('counts as authenticated off loopback where it requires it for all', async () => {
    const allowUnauthenticated = false
    await expect(home({ coap: { allowUnauthenticated } })).rejects.toMatchObject({ code: 'unprotected-listener' })
    const here = await home({ toy: { require: true }, coap: { allowUnauthenticated } })
    await here.close()
  })
})

describe('two users at one address', () => {
  test('have uploads, answers and observations of their own', async () => {
    const here = await home()
    const [ann, bob] = await Promise.all([here.connect(1, '10.0.0.7'), here.connect(2, '10.0.0.7')])
    const [mine, his] = await here.clock.runUntil(Promise.all([ann!.get('/mine'), bob!.get('/mine')]))
    expect([await mine!.text(), await his!.text()]).toEqual(['ann', 'bob'])
    const got: string[] = []
    for (const client of [ann!, bob!])
      void (async () => {
        for await (const answer of client.observe('/mine')) got.push(await answer.text())
      })().catch(() => undefined)
    await here.clock.runUntil(() => got.length === 2)
    here.app.notify('/mine')
    await here.clock.runUntil(() => got.length === 2)
    expect(got.sort()).toEqual(['ann', 'bob'])
    here.app.revoke('ann')
    await here.clock.advance(1000)
    expect(await (await here.clock.runUntil(bob!.get('/mine'))).text()).toBe('bob')
    await here.close()
  })
})

describe('what is received', () => {
  test('a replayed or changed request runs nothing', async () => {
    const here = await home()
    const ann = await here.connect(1)
    await here.clock.runUntil(ann.post('/count', ''))
    expect(here.seen).toEqual(['counted'])
    const sent = here.network.trace.find(({ to }) => to.address === SERVER)!
    const answers: string[] = []
    here.network.script = ({ bytes, from, to }) => {
      const message = decode(bytes)
      if (from.address === SERVER && to.address === '10.9.9.9' && !isMalformed(message))
        answers.push(`${message.code} ${Buffer.from(message.payload)}`)
      return undefined
    }
    const server = { address: SERVER, port: 5683 }
    here.network.inject(Uint8Array.from(sent.bytes), { address: '10.9.9.9', port: 1 }, server)
    for (let at = 12; at < sent.bytes.length; at++) {
      const changed = Uint8Array.from(sent.bytes)
      changed[at]! ^= 1
      here.network.inject(changed, { address: '10.9.9.9', port: 100 + at }, server)
    }
    await here.clock.advance(1000)
    expect(here.seen).toEqual(['counted'])
    expect(answers[0]).toBe(`${CODE.UNAUTHORIZED} Replay detected`)
    expect(answers.length).toBeGreaterThan(20)
    await here.close()
  })

  test('a response that was changed is an error and no data, and a forged notification changes nothing', async () => {
    const here = await home()
    const ann = await here.connect(1)
    let change = true
    here.network.script = ({ bytes, from }) => {
      if (change && from.address === SERVER && bytes.length > 20) bytes[bytes.length - 1]! ^= 1
      return undefined
    }
    await expect(here.clock.runUntil(ann.get('/whoami'))).rejects.toMatchObject({ status: 502, code: 'changed-response' })
    change = false
    const got: string[] = []
    void (async () => {
      for await (const answer of ann.observe('/state')) got.push(await answer.text())
    })().catch(() => undefined)
    await here.clock.runUntil(() => got.length === 1)
    change = true
    here.setState('forged')
    await here.clock.advance(1000)
    change = false
    here.setState('true')
    await here.clock.runUntil(() => got.length === 2)
    expect(got).toEqual(['state 0', 'true'])
    await here.close()
  })

  test('a protected request to a group is ignored', async () => {
    const here = await home({ coap: { multicast: true, host: '0.0.0.0' } })
    let answers = 0
    here.network.script = ({ from }) => {
      if (from.address === SERVER) answers++
      return undefined
    }
    const bytes = rawRequest(CODE.POST, { type: 1, options: [[TOY_OPTION, Buffer.from('0100000001', 'hex')]], payload: 'x' })
    here.network.inject(bytes, { address: '10.0.0.5', port: 9 }, { address: '224.0.1.187', port: 5683 })
    await here.clock.advance(20_000)
    expect(answers).toBe(0)
    await here.close()
  })

  test('a duplicate of the outer message gets the same bytes', async () => {
    const here = await home()
    const ann = await here.connect(1)
    const answers: string[] = []
    here.network.script = ({ bytes, from }) => {
      if (from.address === SERVER) {
        answers.push(Buffer.from(bytes).toString('hex'))
        if (answers.length < 3) return 'drop'
      }
      return undefined
    }
    await here.clock.runUntil(ann.post('/count', ''))
    expect(new Set(answers).size).toBe(1)
    expect(answers).toHaveLength(3)
    expect(here.seen).toEqual(['counted'])
    await here.close()
  })

  test('an address that is not verified gets no more than its share, and an Echo within', async () => {
    const here = await home({ coap: { amplification: 3 } })
    here.bodies.set('a', new Uint8Array(30_000))
    const ann = await here.connect(1)
    let [sent, received] = [0, 0]
    let worst = 0
    here.network.script = ({ bytes, from }) => {
      if (from.address === SERVER) sent += bytes.length
      else received += bytes.length
      if (received < 200) worst = Math.max(worst, sent / Math.max(1, received))
      return undefined
    }
    expect((await (await here.clock.runUntil(ann.get('/body/a'))).bytes()).length).toBe(30_000)
    expect(worst).toBeLessThanOrEqual(3)
    await here.close()
  })
})

test('one value is started once, and closed by the last who uses it', async () => {
  const both = toy({ users: USERS, client: 1 })
  const app = new App({ logger: false }).use(coap({ port: 0, tcp: true, protect: both })).use(({ user }) => user?.id ?? 'nobody')
  const [listener] = await app.listen()
  const clients = new App({ logger: false }).use(coap({ protect: both }))
  const [one, two] = await Promise.all([clients.connect(listener!.url), clients.connect(listener!.urls![1]!)])
  expect(await (await one!.get('/')).text()).toBe('ann')
  expect(await (await two!.get('/')).text()).toBe('ann')
  expect(both.life).toEqual(['start'])
  await two!.close()
  await app.close({ timeout: 0 })
  expect(both.life).toEqual(['start'])
  await one!.close()
  expect(both.life).toEqual(['start', 'close'])
  const again = await clients.connect(listener!.url)
  await again.close()
  await clients.close()
  expect(both.life).toEqual(['start', 'close', 'start', 'close'])
})

describe('outer blocks, as a proxy cuts them', () => {
  const server = { address: SERVER, port: 5683 }
  const proxy = { address: '10.0.0.9', port: 4000 }

  /** A server, a protected request as its client sent it, and a proxy that sends what a test gives it. */
  const cut = async (method: 'get' | 'put', size: number, options: HomeOptions = {}) => {
    const here = await home(options)
    here.bodies.set('a', new Uint8Array(size).fill(65))
    const ann = await here.connect(1)
    let taken: Uint8Array | undefined
    const answers: ReceivedMessage[] = []
    here.network.script = ({ bytes, from, to }) => {
      const message = decode(bytes.slice())
      if (isMalformed(message)) return undefined
      if (to.address === SERVER && from.address === '10.0.0.2') {
        taken ??= bytes.slice()
        return 'drop'
      }
      if (to.address === proxy.address) answers.push(message)
      return undefined
    }
    const asked = (method === 'get' ? ann.get('/body/a') : ann.put('/body/a', Buffer.alloc(size, 66))).catch((error: unknown) => error)
    await here.clock.runUntil(() => taken !== undefined)
    const request = decode(taken!) as ReceivedMessage
    const send = async (payload: Uint8Array, options: readonly (readonly [number, Uint8Array | number])[]): Promise<ReceivedMessage> => {
      const count = answers.length
      const all = [...[...request.options].filter(([number]) => number !== OPTION.BLOCK1), ...options]
      here.network.inject(rawRequest(request.code, { options: all, payload }), proxy, server)
      await here.clock.runUntil(() => answers.length > count)
      return answers.at(-1)!
    }
    return { ...here, request, send, asked }
  }

  test('are put together before the request is opened', async () => {
    const { request, send, seen, bodies, protect, close } = await cut('put', 600)
    const { payload } = request
    expect(payload.length).toBeGreaterThan(600)
    let last: ReceivedMessage | undefined
    for (let at = 0; at * 64 < payload.length; at++) {
      const more = (at + 1) * 64 < payload.length
      last = await send(payload.subarray(at * 64, (at + 1) * 64), [[OPTION.BLOCK1, blockValue(at, more, 2)]])
      if (more) expect([last.code, seen.length]).toEqual([CODE.CONTINUE, 0])
    }
    expect(seen).toEqual(['ann PUT /body/a'])
    expect(bodies.get('a')!.length).toBe(600)
    expect(last!.code).toBe(CODE.CHANGED)
    expect([last!.options.has(TOY_OPTION), last!.options.uint(OPTION.BLOCK1)! & 8]).toEqual([true, 0])
    await close()
    expect(protect.open).toBe(0)
  })

  test('of a response are served from the protected bytes', async () => {
    const { request, send, protect, close } = await cut('get', 600)
    const parts: Uint8Array[] = []
    for (let at = 0, more = true; more; at++) {
      const part = await send(at === 0 ? request.payload : new Uint8Array(0), [[OPTION.BLOCK2, blockValue(at, false, 2)]])
      expect([part.code, part.options.has(TOY_OPTION)]).toEqual([CODE.CHANGED, true])
      parts.push(part.payload.slice())
      more = (part.options.uint(OPTION.BLOCK2)! & 8) !== 0
      expect(part.options.uint(OPTION.BLOCK2)! >> 4).toBe(at)
    }
    expect(Buffer.concat(parts).length).toBeGreaterThan(600)
    expect(protect.made).toEqual(['response'])
    expect((await send(new Uint8Array(0), [[OPTION.BLOCK2, blockValue(500, false, 2)]])).code).toBe(CODE.BAD_REQUEST)
    expect((await send(request.payload, [])).code).toBe(CODE.UNAUTHORIZED)
    await close()
  })

  test('that are forged, out of order or too large open nothing', async () => {
    const { request, send, seen, close } = await cut('put', 600)
    const part = request.payload.subarray(0, 64)
    expect((await send(part, [[OPTION.BLOCK1, blockValue(3, true, 2)]])).code).toBe(CODE.REQUEST_ENTITY_INCOMPLETE)
    expect((await send(part.subarray(1), [[OPTION.BLOCK1, blockValue(0, true, 2)]])).code).toBe(CODE.BAD_REQUEST)
    expect((await send(part, [[OPTION.BLOCK1, blockValue(0, true, 7)]])).code).toBe(CODE.BAD_REQUEST)
    expect((await send(part, [[OPTION.BLOCK1, Uint8Array.of(1, 2, 3, 4)]])).code).toBe(CODE.BAD_OPTION)
    const large: readonly [number, number][] = [
      [OPTION.BLOCK1, blockValue(0, true, 2)],
      [OPTION.SIZE1, 1_000_000]
    ]
    expect((await send(part, large)).code).toBe(CODE.REQUEST_ENTITY_TOO_LARGE)
    expect((await send(part, [[OPTION.BLOCK2, blockValue(1, false, 2)]])).code).toBe(CODE.REQUEST_ENTITY_INCOMPLETE)
    expect(seen).toEqual([])
    await close()
  })

  test('are fetched by the client before the response is opened', async () => {
    const here = await home()
    here.bodies.set('a', new Uint8Array(600).fill(65))
    // What a proxy does that has small messages: it asks for small blocks.
    const clients = new App({ logger: false, clock: here.clock })
    const network = here.network.machine('10.0.0.3')
    clients.use(coap({ clock: here.clock, network: cutting(network), protect: toy({ client: 1 }) }))
    const ann = await here.clock.runUntil(clients.connect(`coap://${SERVER}`))
    const answer = await here.clock.runUntil(ann.get('/body/a'))
    expect((await answer.bytes()).length).toBe(600)
    await here.clock.runUntil(clients.close({ timeout: 0 }))
    await here.close()
  })
})

/** A network on which every first request asks for blocks of 64 bytes, without the client's knowledge. */
const cutting = (network: DatagramNetwork): DatagramNetwork => ({
  bind: async where => {
    const channel = await network.bind(where)
    const send = channel.send.bind(channel)
    channel.send = (bytes, port, address) => {
      const message = decode(bytes)
      if (isMalformed(message) || message.code === 0 || message.options.has(OPTION.BLOCK2)) send(bytes, port, address)
      else {
        const options = message.options.copy().set(OPTION.BLOCK2, blockValue(0, false, 2))
        const { type, code, id, token, payload } = message
        send(encode({ type, code, id, token, options, payload }), port, address)
      }
    }
    return channel
  }
})
