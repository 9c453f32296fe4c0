import { App, type Client, type ConnectOptions, type MiddlewareFunction, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { maskedDatagrams, type VirtualClock, type VirtualNetwork, virtualClock, virtualNetwork } from '@iopa/testing'
import { type DatagramChannel, IopaError, type SecuredDatagrams, type SecuredPeer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode } from '../src/codec/datagram-codec.ts'
import { type Message, type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'

const SERVER = '10.0.0.1'
const DEVICE = '10.0.0.2'
const ELSEWHERE = '10.0.0.3'
const KEYS = { 'sensor-1': 'first key', 'sensor-2': 'second key' }
const NOTHING = new Uint8Array(0)

interface Home {
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  readonly app: App
  readonly handled: string[]
  readonly facts: unknown[]
  setState(value: string): void
  close(): Promise<void>
}

const home = async (options: CoapOptions = {}, guard: MiddlewareFunction = (_, next) => next()): Promise<Home> => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const handled: string[] = []
  const facts: unknown[] = []
  let state = 'state 0'
  const app = new App({ logger: false, clock })
    .use(guard)
    .use(router())
    .use(coap({ host: SERVER, clock, network: network.machine(SERVER), dtls: maskedDatagrams({ psk: KEYS }), ...options }))
  app.get('/facts', context => {
    facts.push(context['server.User'], context['iopa.Scheme'], context['server.TLS'], context['server.SessionId'], context['server.RemoteAddress'])
    return 'ok'
  })
  app.get('/whoami', ({ user }) => {
    handled.push(user?.id ?? 'nobody')
    return user?.id ?? 'nobody'
  })
  app.get('/state', () => reply(200, state, { 'cache-control': 'max-age=1000' }))
  app.get('/large', ({ user }) => (user?.id ?? 'nobody').padEnd(3000, '.'))
  app.put('/body', async context => `${(await context.bytes()).length} bytes`)
  app.get('/slow', () => new Promise<string>(resolve => clock.setTimeout(() => resolve('slow'), 3000)))
  await app.listen()
  return {
    clock,
    network,
    app,
    handled,
    facts,
    setState: value => {
      state = value
      app.notify('/state')
    },
    close: async () => {
      const closing = app.close({ timeout: 0 })
      await clock.advance(1000)
      await closing
    }
  }
}

/** A device that sends messages as a test says, from a port of its own. */
const device = async ({ clock, network }: Home, identity: keyof typeof KEYS, port = 40_000) => {
  const received: ReceivedMessage[] = []
  const ends: string[] = []
  const before = await network.machine(DEVICE).bind({ host: DEVICE, port })
  const after = await network.machine(ELSEWHERE).bind({ host: ELSEWHERE, port })
  let current = before
  // What a NAT does that gives it another address.
  const moving: DatagramChannel = {
    ...before,
    open: receiver => {
      before.open(receiver)
      after.open(receiver)
    },
    send: (bytes, toPort, address) => current.send(bytes, toPort, address),
    close: async () => void (await Promise.all([before.close(), after.close()]))
  }
  const channel = maskedDatagrams({ psk: { [identity]: KEYS[identity] } }).over(moving, {
    clock,
    limits: {} as never,
    logger: console,
    accept: false
  })
  channel.open({
    opened: () => undefined,
    message: bytes => void received.push(decode(bytes) as ReceivedMessage),
    closed: (_, reason) => void ends.push(reason),
    error: () => undefined
  })
  const connecting = channel.connect({ host: SERVER, address: SERVER, port: 5684 }, AbortSignal.timeout(5000))
  await clock.advance(100)
  const peer: SecuredPeer = await connecting
  return {
    peer,
    received,
    ends,
    channel,
    move: (away = true) => {
      current = away ? after : before
    },
    send: async (parts: Partial<Message> & { code: number }, ...path: string[]) => {
      const options = parts.options ?? new Options()
      for (const segment of path) options.add(OPTION.URI_PATH, segment)
      peer.send(encode({ type: TYPE.CON, id: 1, token: Uint8Array.of(7), payload: NOTHING, ...parts, options }))
      await clock.advance(100)
    },
    take: () => received.splice(0)
  }
}

const textOf = (message: ReceivedMessage | undefined): string => new TextDecoder().decode(message?.payload)

const connect = async (
  { clock, network }: Home,
  options: ConnectOptions = {},
  dtls: SecuredDatagrams = maskedDatagrams({ psk: KEYS })
): Promise<{ app: App; client: Client }> => {
  const app = new App({ logger: false, clock }).use(coap({ dtls, clock, network: network.machine(DEVICE) }))
  const connecting = app.connect(`coaps://${SERVER}`, { clock, ...options })
  await clock.advance(200)
  return { app, client: await connecting }
}

describe('a server over secured datagrams', () => {
  test('serves no plain datagrams, on port 5684, and names the user that the handshake proved', async () => {
    const own = await home()
    const one = await device(own, 'sensor-1')
    await one.send({ code: CODE.GET }, 'whoami')
    expect(one.take().map(textOf)).toEqual(['sensor-1'])
    await one.send({ code: CODE.GET, id: 2 }, 'facts')
    expect(own.facts).toEqual([{ id: 'sensor-1', by: 'psk' }, 'coaps', true, one.peer.id, DEVICE])
    await own.close()
    expect(one.ends).toEqual(['closed'])
  })

  test('gives a session from the address of an ended one nothing of that', async () => {
    const own = await home()
    const first = await device(own, 'sensor-1')
    await first.send({ code: CODE.GET, id: 1 }, 'whoami')
    await first.send({ code: CODE.GET, id: 2, options: new Options().add(OPTION.OBSERVE, 0) }, 'state')
    await first.send({ code: CODE.GET, id: 3 }, 'large')
    await first.send({ code: CODE.PUT, id: 4, options: new Options().add(OPTION.BLOCK1, 0x08), payload: new Uint8Array(16) }, 'body')
    expect(first.take().map(({ code }) => code)).toEqual([CODE.CONTENT, CODE.CONTENT, CODE.CONTENT, CODE.CONTINUE])
    expect(own.app.counters().coap).toMatchObject({ observers: 1, connections: 1 })
    first.peer.close()
    await first.channel.close()
    await own.clock.advance(100)
    expect(own.app.counters().coap).toMatchObject({ observers: 0, connections: 0 })

    const second = await device(own, 'sensor-2')
    // The message id and the token of the request before, the next block of its answer, and the next block of its body.
    await second.send({ code: CODE.GET, id: 1 }, 'whoami')
    await second.send({ code: CODE.GET, id: 5, options: new Options().add(OPTION.BLOCK2, 0x16) }, 'large')
    await second.send({ code: CODE.PUT, id: 6, options: new Options().add(OPTION.BLOCK1, 0x10), payload: new Uint8Array(16) }, 'body')
    own.setState('state 1')
    await own.clock.advance(5000)
    const answers = second.take()
    expect(answers.map(({ code }) => code)).toEqual([CODE.CONTENT, CODE.CONTENT, CODE.REQUEST_ENTITY_INCOMPLETE])
    expect(answers.map(textOf)[0]).toBe('sensor-2')
    expect(own.handled).toEqual(['sensor-1', 'sensor-2'])
    await own.close()
  })

  test('sends the answer of a request nowhere whose session has ended meanwhile', async () => {
    const own = await home()
    const first = await device(own, 'sensor-1')
    await first.send({ code: CODE.GET }, 'slow')
    first.peer.close()
    await first.channel.close()
    const second = await device(own, 'sensor-2')
    await own.clock.advance(10_000)
    expect(second.received).toEqual([])
    expect(own.app.counters().coap).toMatchObject({ inFlight: 0, connections: 1 })
    await own.close()
  })

  test('answers a request from another address there, and notifies the proven one until the other has answered a ping', async () => {
    const own = await home()
    const one = await device(own, 'sensor-1')
    let looked = 0
    const sentTo = (): string[] => {
      const since = own.network.trace.slice(looked)
      looked += since.length
      return since.flatMap(({ from, to }) => (from.address === SERVER ? [to.address] : []))
    }
    await one.send({ code: CODE.GET, id: 1, token: Uint8Array.of(1), options: new Options().add(OPTION.OBSERVE, 0) }, 'state')
    one.take()
    sentTo()
    one.move()
    await one.send({ code: CODE.GET, id: 2, token: Uint8Array.of(2) }, 'facts')
    const [answer, ping] = one.take()
    expect(sentTo()).toEqual([ELSEWHERE, ELSEWHERE])
    expect(answer).toMatchObject({ type: TYPE.ACK, id: 2 })
    expect(ping).toMatchObject({ type: TYPE.CON, code: CODE.EMPTY })
    // A duplicate is answered where it came from, and not pinged again at once.
    await one.send({ code: CODE.GET, id: 2, token: Uint8Array.of(2) }, 'facts')
    expect(sentTo()).toEqual([ELSEWHERE])
    one.take()
    own.setState('state 1')
    await own.clock.advance(100)
    expect(sentTo()).toEqual([DEVICE])
    const [notification] = one.take()
    await one.send({ type: TYPE.ACK, code: CODE.EMPTY, id: notification!.id, token: NOTHING })
    // A reset of another id proves nothing, and the right one proves nothing after it: there is one guess.
    await one.send({ type: TYPE.RST, code: CODE.EMPTY, id: (ping!.id + 1) & 0xffff, token: NOTHING })
    await one.send({ type: TYPE.RST, code: CODE.EMPTY, id: ping!.id, token: NOTHING })
    own.setState('state 2')
    await own.clock.advance(100)
    expect(sentTo()).toEqual([DEVICE])
    await one.send({ type: TYPE.ACK, code: CODE.EMPTY, id: one.take()[0]!.id, token: NOTHING })
    await own.clock.advance(3000)
    await one.send({ code: CODE.GET, id: 2, token: Uint8Array.of(2) }, 'facts')
    await one.send({ type: TYPE.RST, code: CODE.EMPTY, id: one.take().at(-1)!.id, token: NOTHING })
    sentTo()
    own.setState('state 3')
    await own.clock.advance(100)
    expect(sentTo()).toEqual([ELSEWHERE])
    await one.send({ code: CODE.GET, id: 3, token: Uint8Array.of(3) }, 'facts')
    // The session is that of before, and its address is the one that is proven.
    expect(own.facts.slice(5)).toEqual([{ id: 'sensor-1', by: 'psk' }, 'coaps', true, one.peer.id, ELSEWHERE])
    await own.close()
  })

  test('notifies another address when a request from there has the Echo that was sent there', async () => {
    const own = await home()
    const one = await device(own, 'sensor-1')
    const get = (id: number, echo?: Uint8Array) =>
      one.send(
        { code: CODE.GET, id, token: Uint8Array.of(id), options: echo === undefined ? new Options() : new Options().set(OPTION.ECHO, echo) },
        'facts'
      )
    const notified = async (value: string): Promise<string | undefined> => {
      one.take()
      own.setState(value)
      await own.clock.advance(100)
      const { to } = own.network.trace.findLast(({ from }) => from.address === SERVER)!
      await one.send({ type: TYPE.ACK, code: CODE.EMPTY, id: one.take()[0]!.id, token: NOTHING })
      return to.address
    }
    await one.send({ code: CODE.GET, id: 1, token: Uint8Array.of(1), options: new Options().add(OPTION.OBSERVE, 0) }, 'state')
    expect(one.take()[0]!.options.has(OPTION.ECHO)).toBe(false)
    one.move()
    await get(2)
    const echo = one.take()[0]!.options.get(OPTION.ECHO)!
    await get(
      3,
      echo.map(byte => byte ^ 1)
    )
    expect(await notified('state 1')).toBe(DEVICE)
    // A message from the address that is proven: the answer to the request before, with its Echo, can be had there now.
    one.move(false)
    await get(2)
    expect(one.take()[0]!.options.get(OPTION.ECHO)).toEqual(echo)
    one.move()
    await get(4, echo)
    expect(await notified('state 2')).toBe(DEVICE)
    await get(5)
    await get(6, one.take()[0]!.options.get(OPTION.ECHO))
    expect(one.take()[0]!.options.has(OPTION.ECHO)).toBe(false)
    expect(await notified('state 3')).toBe(ELSEWHERE)
    await own.close()
  })

  test('refuses a session whose CONNECT is refused', async () => {
    const own = await home({}, (context, next) => {
      if (context.method === 'CONNECT' && context.user?.id === 'sensor-2') throw new IopaError(403, 'forbidden', 'Not this one.')
      return next()
    })
    const one = await device(own, 'sensor-2')
    await one.send({ code: CODE.GET }, 'whoami')
    expect(one.received).toEqual([])
    expect(one.ends).toEqual(['closed'])
    expect(own.handled).toEqual([])
    await own.close()
  })

  test('ends the sessions of a user who is revoked, after its observers have had their 4.01', async () => {
    const own = await home()
    const one = await device(own, 'sensor-1')
    const other = await device(own, 'sensor-2', 40_001)
    for (const of of [one, other]) await of.send({ code: CODE.GET, options: new Options().add(OPTION.OBSERVE, 0) }, 'state')
    one.take()
    other.take()
    own.app.revoke({ id: 'sensor-1' })
    await own.clock.advance(100)
    expect(one.received.map(({ code }) => code)).toEqual([CODE.UNAUTHORIZED])
    expect(one.ends).toEqual(['closed'])
    expect(other.received).toEqual([])
    expect(other.ends).toEqual([])
    expect(own.app.counters().coap).toMatchObject({ observers: 1, connections: 1 })
    await own.close()
  })

  test('ends a session when its user expires', async () => {
    const own = await home({}, (context, next) => {
      const { user } = context
      if (context.method === 'CONNECT' && user !== undefined) context['server.User'] = { ...user, valid: { until: own.clock.now() + 60_000 } }
      return next()
    })
    const one = await device(own, 'sensor-1')
    await one.send({ code: CODE.GET }, 'whoami')
    expect(one.take().map(textOf)).toEqual(['sensor-1'])
    await own.clock.advance(61_000)
    expect(one.ends).toEqual(['closed'])
    await own.close()
  })

  test('joins no group; beside it a group answers discovery alone', async () => {
    expect(() => coap({ dtls: maskedDatagrams({ psk: KEYS }), multicast: true })).toThrow('udp: true')
    const own = await home({ udp: true, multicast: true, allowUnauthenticated: true, transmission: { leisure: 0 } })
    const asker = await own.network.machine(DEVICE).bind({ host: DEVICE, port: 50_000 })
    const answers: string[] = []
    asker.open({ message: bytes => void answers.push(textOf(decode(bytes) as ReceivedMessage)), error: () => undefined })
    const ask = async (...path: string[]): Promise<void> => {
      const options = new Options()
      for (const segment of path) options.add(OPTION.URI_PATH, segment)
      const bytes = encode({ type: TYPE.NON, code: CODE.GET, id: 1 + answers.length, token: Uint8Array.of(path.length), options, payload: NOTHING })
      asker.send(bytes, 5683, '224.0.1.187')
      asker.send(bytes, 5684, '224.0.1.187')
      await own.clock.advance(100)
    }
    await ask('state')
    expect(answers).toEqual([])
    await ask('.well-known', 'core')
    expect(answers).toHaveLength(1)
    await own.close()
  })

  test('counts as protected off loopback, unless plain datagrams are served beside it', async () => {
    const dtls = maskedDatagrams({ psk: KEYS })
    await expect(home({ udp: true, dtls })).rejects.toMatchObject({ code: 'unprotected-listener' })
    await expect(home({ dtls: { ...dtls, exclusive: false } })).rejects.toMatchObject({ code: 'unprotected-listener' })
    await (await home({ dtls })).close()
  })
})

describe('a client over secured datagrams', () => {
  test('sends requests, uploads, downloads and observes', async () => {
    const own = await home()
    const { app, client } = await connect(own)
    const ask = async <T>(asked: Promise<T>): Promise<T> => {
      void asked.catch(() => undefined)
      await own.clock.advance(2000)
      return asked
    }
    expect(await (await ask(client.get('/whoami'))).text()).toBe('sensor-1')
    expect(await (await ask(client.get('/large'))).text()).toHaveLength(3000)
    expect(await (await ask(client.put('/body', new Uint8Array(5000)))).text()).toBe('5000 bytes')
    const states: string[] = []
    const ending = new AbortController()
    const observing = (async () => {
      for await (const answer of client.observe('/state', { signal: ending.signal })) states.push(await answer.text())
    })().catch(() => undefined)
    await own.clock.advance(500)
    own.setState('state 1')
    await own.clock.advance(500)
    expect(states).toEqual(['state 0', 'state 1'])
    ending.abort()
    await observing
    const closing = app.close({ timeout: 0 })
    await own.clock.advance(100)
    await closing
    expect(own.app.counters().coap).toMatchObject({ connections: 0, observers: 0 })
    await own.close()
  })

  test.each([60, 400])('sends and gets blocks that fit into datagrams of %i bytes', async maxPayload => {
    const dtls = maskedDatagrams({ psk: KEYS, maxPayload })
    const own = await home({ dtls })
    const { app, client } = await connect(own, {}, dtls)
    const ask = async <T>(asked: Promise<T>): Promise<T> => {
      void asked.catch(() => undefined)
      await own.clock.advance(10_000)
      return asked
    }
    expect(await (await ask(client.get('/large'))).text()).toHaveLength(3000)
    expect(await (await ask(client.put('/body', new Uint8Array(2000)))).text()).toBe('2000 bytes')
    const closing = app.close({ timeout: 0 })
    await own.clock.advance(100)
    await closing
    await own.close()
  })

  test('says which step did not finish when the time of connect() runs out', async () => {
    const own = await home()
    const app = new App({ logger: false }).use(
      coap({ dtls: maskedDatagrams({ psk: { 'sensor-1': 'a wrong key' } }), clock: own.clock, network: own.network.machine(DEVICE) })
    )
    const refused = expect(app.connect(`coaps://${SERVER}`, { clock: own.clock, timeout: 500 })).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringMatching(/within 500 ms: the DTLS handshake did not finish\. .*identity and key/)
    })
    await own.clock.advance(1000)
    await refused
    await own.close()
  })

  test('is named by the error of a plain request that the server leaves unanswered, while nothing has come from there', async () => {
    const own = await home()
    const plain = new App({ logger: false, clock: own.clock }).use(
      coap({ allowUnauthenticated: true, host: SERVER, clock: own.clock, network: own.network.machine(SERVER) })
    )
    plain.use(({ path }, next) => (path === '/late' ? new Promise(() => undefined) : next()))
    await plain.listen()
    const app = new App({ logger: false }).use(coap({ clock: own.clock, network: own.network.machine(DEVICE) }))
    const failure = async (port: number, path: string): Promise<string> => {
      const client = await app.connect(`coap://${SERVER}:${port}`, { clock: own.clock, timeout: 5000 })
      return own.clock.runUntil(client.get(path)).then(
        () => 'an answer',
        ({ message }: Error) => message
      )
    }
    const late = 'The peer has not answered within 5000 ms.'
    expect(await failure(5684, '/')).toBe(`${late} Nothing has come from there at all: a server of coaps: (DTLS) leaves coap: unanswered.`)
    expect(await failure(5683, '/late')).toBe(late)
    // It has answered once.
    const client = await app.connect(`coap://${SERVER}:5683`, { clock: own.clock, timeout: 5000 })
    await own.clock.runUntil(client.get('/none'))
    own.network.script = () => 'drop'
    expect(await own.clock.runUntil(client.get('/').catch(({ message }: Error) => message))).toBe(late)
    own.network.script = undefined
    const closing = Promise.all([app.close({ timeout: 0 }), plain.close({ timeout: 0 })])
    await own.clock.advance(100)
    await closing
    await own.close()
  })

  test('opens another session after the server has ended one', async () => {
    const own = await home()
    const { app, client } = await connect(own)
    own.app.revoke({ id: 'sensor-1' })
    await own.clock.advance(100)
    const asked = client.get('/whoami')
    await own.clock.advance(2000)
    expect(await (await asked).text()).toBe('sensor-1')
    const closing = app.close({ timeout: 0 })
    await own.clock.advance(100)
    await closing
    await own.close()
  })

  test('opens another session after a request that the server left unanswered, as one that has forgotten the session would', async () => {
    const own = await home()
    const { app, client } = await connect(own, { timeout: 10_000 })
    let deaf = true
    own.network.script = ({ bytes }) => (deaf && bytes[0] === 3 ? 'drop' : undefined)
    const asked = client.get('/whoami').catch((error: unknown) => error)
    await own.clock.advance(11_000)
    expect(await asked).toMatchObject({ code: 'timeout' })
    deaf = false
    const again = client.get('/whoami')
    await own.clock.advance(2000)
    expect(await (await again).text()).toBe('sensor-1')
    // That of before is known to the server until it is idle for too long.
    expect(own.app.counters().coap).toMatchObject({ connections: 1 })
    const closing = app.close({ timeout: 0 })
    await own.clock.advance(100)
    await closing
    await own.close()
  })

  test('says what is missing', async () => {
    const app = new App({ logger: false }).use(coap())
    await expect(app.connect('coaps://127.0.0.1')).rejects.toMatchObject({ code: 'no-dtls' })
    await app.close()
  })
})
