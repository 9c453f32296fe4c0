import { AsyncLocalStorage } from 'node:async_hooks'
import { App, type Bag, type Context, defineMiddleware, type MiddlewareFunction, reply } from '@iopa/appbuilder'
import type { SealedAnswer } from '@iopa/context'
import type { OwnedContext } from '@iopa/context/host'
import type { HeaderMap, Host } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { turns, watch } from './observation-support.ts'

interface Peer {
  readonly bag?: Bag
  readonly host?: string
  readonly port?: number
  readonly user?: { readonly id: string; readonly [claim: string]: unknown }
  /** Keys of the connection that it comes by. */
  readonly connection?: Readonly<Record<string, unknown>>
  readonly address?: string
}

let sessions = 0

/** An observer of /x that comes from elsewhere. */
const arrive = (host: Host, peer: Peer): OwnedContext => {
  const session = `s${++sessions}`
  const endpoint = {
    scheme: 'test',
    protocol: 'TEST/1.0',
    remoteAddress: peer.address ?? '10.0.0.1',
    remotePort: 1000 + sessions,
    localAddress: '127.0.0.1',
    localPort: 1,
    tls: false,
    sessionId: session,
    rawTransport: null,
    bodyLimit: 1000
  }
  const connection = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
  Object.assign(connection, peer.connection)
  const headers = Object.entries((peer.bag?.['iopa.Headers'] ?? {}) as Record<string, string>).flat()
  const query = peer.bag?.['iopa.QueryString'] ?? ''
  const source = { headers: () => headers, authority: () => (peer.host === undefined ? '' : `${peer.host}:${peer.port ?? 80}`) }
  const context = host.create({ method: 'GET', path: '/x', query, rawPath: '/x', endpoint, source }, connection)
  context['iopa.Observe'] = true
  if (peer.user !== undefined) context['server.User'] = peer.user
  return context
}

/** Notifies these observers of /x twice, and gives back the runs of the second change, and what each was told. */
const runsOf = async (read: (context: Context) => unknown, peers: readonly Peer[], layers: readonly MiddlewareFunction[] = []) => {
  let runs = 0
  const app = new App({ logger: false })
  for (const layer of layers) app.use(layer)
  app.use(async context => {
    runs++
    return reply(200, String(await read(context)))
  })
  const host = app.host()
  const told: string[] = []
  for (const [at, peer] of peers.entries()) {
    const { active } = await host.observe(arrive(host, peer), answer => {
      told[at] = String(answer.payload)
    })
    expect(active).toBe(true)
  }
  // The first notification finds out, the second knows.
  for (let change = 0; change < 2; change++) {
    runs = 0
    told.fill('')
    app.notify('/x')
    await turns(8)
  }
  await app.close({ timeout: 0 })
  return { runs, told }
}

const headers = (fields: Record<string, string>): Peer => ({ bag: { 'iopa.Headers': fields } })

/** Inputs that are compared: how two observers differ in them, how a handler reads them, and how it sees each. */
const COMPARED: readonly (readonly [string, Peer, Peer, (context: Context) => unknown, readonly [string, string]])[] = [
  ['the host', { host: 'a.test' }, { host: 'b.test' }, context => context.host, ['a.test', 'b.test']],
  ['the URL', { host: 'a.test' }, { host: 'b.test' }, context => context.url, ['test://a.test:80/x', 'test://b.test:80/x']],
  ['the field host', headers({ host: 'a.test' }), headers({ host: 'b.test' }), context => context.headers.get('Host'), ['a.test', 'b.test']],
  ['the port', { host: 'a', port: 1 }, { host: 'a', port: 2 }, context => context.port, ['1', '2']],
  ['the query', { bag: { 'iopa.QueryString': 'a=1' } }, { bag: { 'iopa.QueryString': 'a=2' } }, context => context.query.get('a'), ['1', '2']],
  ['the media types', headers({ accept: 'a/a' }), headers({ accept: 'b/b' }), context => context.headers.get('accept'), ['a/a', 'b/b']],
  ['the user', { user: { id: 'ann' } }, { user: { id: 'bob' } }, context => context.user?.id, ['ann', 'bob']],
  ['the claims of the user', { user: { id: 'a', role: 1 } }, { user: { id: 'a', role: 2 } }, context => context.user?.['role'], ['1', '2']]
]

describe('observers', () => {
  test.each(COMPARED)('that differ in %s share a run as long as no handler reads it', async (_, one, two) => {
    expect((await runsOf(() => 'same', [one, two, one, two])).runs).toBe(1)
  })

  test.each(COMPARED)('that differ in %s are told what is theirs where it is read', async (_, one, two, read, [first, second]) => {
    const { runs, told } = await runsOf(read, [one, two, one, two])
    expect([runs, told]).toEqual([2, [first, second, first, second]])
  })

  test.each(COMPARED)(
    'that differ in %s are told what is theirs where it is read late, or by middleware that sets a key',
    async (_, one, two, read, seen) => {
      const late = await runsOf(
        async context => {
          await null
          return read(context)
        },
        [one, two]
      )
      expect(late.told).toEqual(seen)
      const derive: MiddlewareFunction = (context, next) => {
        ;(context as unknown as Record<string, unknown>)['acme.Tenant'] = read(context)
        return next()
      }
      expect((await runsOf(context => (context as unknown as Record<string, unknown>)['acme.Tenant'], [one, two], [derive])).told).toEqual(seen)
    }
  )

  const user = { id: 'ann', roles: ['a', 'b'], nested: { x: 1, y: null } }
  test.each<[string, Peer, Peer]>([
    ['users with equal claims in another order', { user }, { user: { nested: { y: null, x: 1 }, roles: ['a', 'b'], id: 'ann' } }],
    ['the same media types in another form', headers({ accept: 'a/a;q=0.5, b/b, c/c;q=0' }), headers({ accept: 'B/b , a/a; q=0.5' })],
    ['every media type and none named', headers({ accept: '*/*' }), {}],
    ['an event stream wanted and not', headers({ accept: 'text/event-stream' }), {}],
    ['an event stream beside a type', headers({ accept: 'text/event-stream, a/a' }), headers({ accept: 'a/a' })],
    ['another time and condition', headers({ 'if-none-match': '"1"', 'last-event-id': '1' }), headers({ range: 'bytes=0-1' })]
  ])('with %s share a run', async (_, one, two) => {
    const read = (context: Context): unknown => [
      context.user?.id,
      context.headers.get('accept'),
      context.headers.get('if-none-match'),
      context.headers.has('range')
    ]
    expect((await runsOf(read, [one, two])).runs).toBe(1)
  })

  class Principal {
    readonly id = 'ann'
    readonly [claim: string]: unknown
  }
  test('with users that are more than data share a run when these are the same object', async () => {
    const read = (context: Context): unknown => context.user?.id
    const one = new Principal()
    expect((await runsOf(read, [{ user: one }, { user: one }])).runs).toBe(1)
    expect((await runsOf(read, [{ user: one }, { user: new Principal() }])).runs).toBe(2)
    expect((await runsOf(read, [{ user: { id: 'a', f: () => 1 } }, { user: { id: 'a', f: () => 1 } }])).runs).toBe(2)
  })

  const tenant = (name: string): Peer => ({ connection: { 'acme.Tenant': name } })
  const certificate = (context: Context): unknown => context['ssl.ClientCertificate']
  test.each<[string, (context: Context) => unknown, Peer, Peer]>([
    ['another header', context => context.headers.get('x-tenant'), headers({ 'x-tenant': 'a' }), headers({ 'x-tenant': 'b' })],
    ['whether there is another header', context => context.headers.has('x-a'), headers({ 'x-a': '1' }), headers({ 'x-a': '1' })],
    ['all headers', context => [...context.headers].length, {}, {}],
    ['the number of headers', context => (context.headers as HeaderMap).size, {}, {}],
    ['the address', context => context.remoteAddress, { address: '10.0.0.1' }, { address: '10.0.0.2' }],
    ['the remote port', context => context.remotePort, {}, {}],
    ['whether there is TLS', context => context['server.TLS'], {}, {}],
    ['the certificate', certificate, {}, {}],
    ['the session', context => context['server.SessionId'], {}, {}],
    ['the endpoint', context => (context as OwnedContext).endpoint.sessionId, {}, {}],
    ['the socket', context => context['server.RawTransport'], {}, {}],
    ['the connection', context => context.connection?.id, {}, {}],
    ['the observing context', context => context['server.ParentContext']?.['iopa.Id'], {}, {}],
    ['a key of the connection', context => (context as unknown as Record<string, unknown>)['acme.Tenant'], tenant('a'), tenant('b')],
    ['all keys', context => Object.keys({ ...context }).length, {}, {}],
    ['the address in a child', context => context.child('y').remoteAddress, {}, {}],
    [
      'a key of the connection in a child of a child',
      context => (context.child('y').child('z') as unknown as Record<string, unknown>)['acme.Tenant'],
      tenant('a'),
      tenant('b')
    ],
    ['what the core cannot see, and say so', context => context.private(), {}, {}]
  ])('have runs of their own where these read %s', async (_, read, one, two) => {
    const { runs, told } = await runsOf(read, [one, two, one])
    expect(runs).toBe(3)
    const [first, second] = await Promise.all([runsOf(read, [one]), runsOf(read, [two])])
    if (one !== two && one.connection !== undefined) expect(told).toEqual([first.told[0], second.told[0], first.told[0]])
  })

  test('are told nothing of the run of one of them that turns out private', async () => {
    const { told } = await runsOf(
      context => context.headers.get('x-name'),
      ['a', 'b', 'c'].map(name => headers({ 'x-name': name }))
    )
    expect(told).toEqual(['a', 'b', 'c'])
  })

  test('share a run although middleware before it that is neutral reads what is theirs', async () => {
    const log = defineMiddleware({ neutral: true }, async (context, next) => {
      const line = `${context.remoteAddress} ${context.headers.get('x-id')}`
      await null
      const value = await next()
      return context['server.SessionId'] === line ? undefined : value
    })
    const peers = ['a', 'b', 'c'].map(name => headers({ 'x-id': name }))
    expect((await runsOf(() => 'same', peers, [log])).runs).toBe(1)
    // What stands behind it is tracked, as what stands before it.
    expect((await runsOf(context => context.headers.get('x-id'), peers, [log])).told).toEqual(['a', 'b', 'c'])
    const before: MiddlewareFunction = async (context, next) => {
      const value = await next()
      return `${String(value === undefined ? '' : context.response.body)} ${context.headers.get('x-id')}`
    }
    expect((await runsOf(() => 'same', peers, [before, log])).runs).toBe(3)
  })

  test('of which one is refused by neutral middleware are not refused with it', async () => {
    let refused = ''
    const auth = defineMiddleware({ neutral: true }, (context, next) => (context.headers.get('x-id') === refused ? reply(401) : next()))
    const app = new App({ logger: false }).use(auth).use(() => 'state')
    const host = app.host()
    const told: SealedAnswer[][] = [[], [], []]
    for (const [at, name] of ['a', 'b', 'c'].entries())
      await host.observe(arrive(host, headers({ 'x-id': name })), answer => void told[at]?.push(answer))
    refused = 'a'
    app.notify('/x')
    await turns(8)
    expect(told.map(answers => answers.map(({ status }) => status))).toEqual([
      [200, 401],
      [200, 200],
      [200, 200]
    ])
  })

  test('with what middleware has from elsewhere have their own runs where it says so', async () => {
    const storage = new AsyncLocalStorage<string>()
    const secret: MiddlewareFunction = (context, next) => {
      context.private()
      return storage.run(String(context.id), next)
    }
    const { runs, told } = await runsOf(() => storage.getStore(), [{}, {}, {}], [secret])
    expect([runs, new Set(told).size]).toEqual([3, 3])
  })

  test('whose user is another meanwhile are not told what the run read of the one before', async () => {
    let open = (): void => undefined
    let gate: Promise<void> | null = null
    const app = new App({ logger: false }).use(async context => {
      const id = context.user?.id
      await gate
      return id
    })
    const host = app.host()
    const contexts = [1, 2].map(() => arrive(host, { user: { id: 'ann' } }))
    const told: unknown[][] = [[], []]
    for (const [at, context] of contexts.entries()) await host.observe(context as OwnedContext, answer => void told[at]?.push(answer.payload))
    gate = new Promise(resolve => (open = resolve))
    app.notify('/x')
    await turns(2)
    ;(contexts[1] as Context)['server.User'] = { id: 'bob' }
    open()
    await turns(6)
    expect(told).toEqual([
      ['ann', 'ann'],
      ['ann', 'bob']
    ])
  })
})

describe('fan-out', () => {
  test('to 10,000 equal observers is one run', async () => {
    let runs = 0
    const app = new App({ logger: false }).use(context => `${context.host} ${context.query} ${context.user?.id} ${++runs}`)
    const host = app.host()
    let told = 0
    for (let count = 0; count < 10_000; count++) await host.observe(arrive(host, { host: 'a', user: { id: 'ann' } }), () => void told++)
    for (let change = 0; change < 3; change++) {
      runs = told = 0
      app.notify('/x')
      await turns(4)
      expect([runs, told]).toEqual([1, 10_000])
    }
    await app.close({ timeout: 0 })
  })

  test('to many with runs of their own has 64 under way at once, and leaves the event loop free', async () => {
    let running = 0
    let most = 0
    let begun = 0
    const perTurn: number[] = []
    const app = new App({ logger: false }).use(async context => {
      if (!context['server.IsNotification']) return 'x'
      begun++
      most = Math.max(most, ++running)
      await null
      running--
      return context.remotePort
    })
    const host = app.host()
    const told = new Set<unknown>()
    for (let count = 0; count < 1000; count++) await host.observe(arrive(host, {}), answer => void told.add(answer.payload))
    app.notify('/x')
    while (told.size < 1001) {
      const before = begun
      await turns(1)
      perTurn.push(begun - before)
      expect(perTurn.length).toBeLessThan(500)
    }
    expect([most <= 64, Math.max(...perTurn) <= 130]).toEqual([true, true])
    await app.close({ timeout: 0 })
  })

  test('of an event stream and an observer inside the process is one run', async () => {
    let runs = 0
    const app = new App({ logger: false }).use(context => `${++runs} ${context.headers.get('accept') ?? 'any'}`)
    const host = app.host()
    const seen: unknown[] = []
    await host.observe(arrive(host, headers({ accept: 'text/event-stream' })), answer => void seen.push(answer.payload))
    const inside = watch(app, host, { 'iopa.Path': '/x' })
    await inside.active
    app.notify('/x')
    await turns(4)
    expect([runs, seen.at(-1), inside.payloads.at(-1)]).toEqual([3, '3 any', '3 any'])
  })
})

describe('represent', () => {
  test('gives callers the same answer as far as they are equal in what is read', async () => {
    const app = new App({ logger: false }).use(context => `${context.host} ${context.user?.id}`)
    const host = app.host()
    const ask = (peer: Peer): Promise<SealedAnswer> => host.represent('/x', arrive(host, peer))
    const peers = [{ host: 'a' }, { host: 'b' }, { host: 'a', user: { id: 'ann' } }, { host: 'a' }, { host: 'b' }]
    const answers = await Promise.all(peers.map(ask))
    expect(answers.map(({ payload }) => payload)).toEqual(['a undefined', 'b undefined', 'a ann', 'a undefined', 'b undefined'])
    expect(answers[1]).toBe(answers[4])
  })
})

describe('media types wanted', () => {
  test('an observer of server-sent events and one in process share the run of a change', async () => {
    let gets = 0
    const app = new App({ logger: false }).use(context => {
      context.headers.get('accept')
      gets++
      return 'x'
    })
    const host = app.host()
    const observing = ['text/event-stream, */*;q=0.1', '', '*/*'].map(accept =>
      app.create({ 'iopa.Path': '/x', 'iopa.Observe': true, 'iopa.Headers': accept === '' ? {} : { accept } })
    )
    for (const context of observing) await host.observe(context, () => undefined)
    app.notify('/x')
    for (let turn = 0; turn < 4; turn++) await new Promise(resolve => setImmediate(resolve))
    gets = 0
    app.notify('/x')
    for (let turn = 0; turn < 4; turn++) await new Promise(resolve => setImmediate(resolve))
    expect(gets).toBe(1)
    await app.close()
  })
})
