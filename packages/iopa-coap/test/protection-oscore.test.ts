import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { type OscoreContextOptions, oscore } from '@iopa/oscore'
import { router } from '@iopa/router'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'

const SERVER = '10.0.0.1'

/** The two sides of a context. */
const contextOf = (id: string, number: number): { server: OscoreContextOptions; client(scheme: string): OscoreContextOptions } => {
  const common = { masterSecret: Buffer.alloc(16, number), masterSalt: Buffer.from('9e7ca92223786340', 'hex') }
  const [own, other] = [Buffer.from([0, number]), Buffer.from([1, number])]
  return {
    server: { ...common, id, senderId: own, recipientId: other },
    client: scheme => ({ ...common, id: 'server', senderId: other, recipientId: own, servers: [`${scheme}://${SERVER}`] })
  }
}
const CONTEXTS = { ann: contextOf('ann', 1), bob: contextOf('bob', 2) }

const home = async (scheme: 'coap' | 'coap+tcp', conditions: Record<string, number> = {}) => {
  const clock = virtualClock({ start: 1_700_000_000_000 })
  const network = virtualNetwork({ clock, ...conditions })
  const apps = new Set<{ close(options: { timeout: number }): Promise<void> }>()
  const bodies = new Map<string, Uint8Array>()
  let state = 'state 0'
  const serve = () => {
    const protect = oscore({ contexts: [CONTEXTS.ann.server, CONTEXTS.bob.server], require: true })
    const [udp, tcp] = [scheme === 'coap', scheme === 'coap+tcp']
    const app = new App({ logger: false, clock })
      .use(router())
      .use(coap({ host: SERVER, udp, tcp, clock, network: network.machine(SERVER), protect }))
    app.get('/whoami', ({ user }) => `${user?.id} by ${user?.['by']}`)
    app.put('/body', async context => void bodies.set('body', await context.bytes()))
    app.get('/body', () => bodies.get('body') ?? '')
    app.get('/state', () => reply(200, state, { 'cache-control': 'max-age=10' }))
    apps.add(app)
    return app
  }
  let server = serve()
  await server.listen()
  return {
    clock,
    network,
    bodies,
    setState(value: string) {
      state = value
      server.notify('/state')
    },
    async restart() {
      await clock.runUntil(server.close({ timeout: 0 }))
      apps.delete(server)
      server = serve()
      await server.listen()
    },
    async connect(user: 'ann' | 'bob', from = '10.0.0.2') {
      const protect = oscore({ contexts: [CONTEXTS[user].client(scheme)] })
      const clients = new App({ logger: false, clock }).use(coap({ clock, network: network.machine(from), protect }))
      apps.add(clients)
      return clock.runUntil(clients.connect(`${scheme}://${SERVER}`))
    },
    close: () => clock.runUntil(Promise.all([...apps].map(app => app.close({ timeout: 1000 }))))
  }
}

describe.each([
  ['coap', { loss: 0.1, duplication: 0.1, reordering: 0.1, seed: 3 }],
  ['coap+tcp', {}]
] as const)('OSCORE over %s', (scheme, conditions) => {
  test('gives each of two users at one address what is theirs', async () => {
    const here = await home(scheme, conditions)
    const [ann, bob] = [await here.connect('ann'), await here.connect('bob')]
    expect(await (await here.clock.runUntil(ann.get('/whoami'))).text()).toBe('ann by oscore')
    expect(await (await here.clock.runUntil(bob.get('/whoami'))).text()).toBe('bob by oscore')
    await here.close()
  })

  test('carries 100 KB both ways', async () => {
    const here = await home(scheme, conditions)
    const ann = await here.connect('ann')
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7) & 255))
    expect((await here.clock.runUntil(ann.put('/body', body))).ok).toBe(true)
    expect(Buffer.compare(here.bodies.get('body')!, body)).toBe(0)
    expect(Buffer.compare(Buffer.from(await (await here.clock.runUntil(ann.get('/body'))).bytes()), body)).toBe(0)
    await here.close()
  })

  test('observes, also when the server has started again', async () => {
    const here = await home(scheme, conditions)
    const ann = await here.connect('ann')
    const got: string[] = []
    const observing = (async () => {
      for await (const answer of ann.observe('/state')) {
        got.push(await answer.text())
        if (got.at(-1) === 'after') return
      }
    })()
    await here.clock.runUntil(() => got.length === 1)
    for (let at = 1; at <= 5; at++) {
      here.setState(`state ${at}`)
      await here.clock.runUntil(() => got.at(-1) === `state ${at}`)
    }
    await here.restart()
    here.setState('after')
    await here.clock.runUntil(observing)
    expect(await (await here.clock.runUntil(ann.get('/whoami'))).text()).toBe('ann by oscore')
    await here.close()
  })

  test('goes on when the client has started again', async () => {
    const here = await home(scheme, conditions)
    for (let at = 0; at < 3; at++) {
      const ann = await here.connect('ann')
      expect(await (await here.clock.runUntil(ann.get('/whoami'))).text()).toBe('ann by oscore')
      await here.clock.runUntil(ann.close())
    }
    await here.close()
  })
})

test.each([
  [49_152, {}],
  [49_153, {}],
  [2 * 49_152, { splitting: 1460 }],
  [3 * 49_152 + 1, { window: 16_384 }],
  [200_000, { window: 1000 }],
  [200_000, { coalescing: 1, splitting: 70_000 }]
] as const)('OSCORE over TCP carries %i bytes in messages of 48 KiB: %j', async (length, conditions) => {
  const here = await home('coap+tcp', conditions)
  const ann = await here.connect('ann')
  const body = Buffer.from(Array.from({ length }, (_, at) => (at * 7) & 255))
  const parts = async function* () {
    for (let at = 0; at < length; at += 30_000) yield body.subarray(at, at + 30_000)
  }
  for (const sent of [body, parts()]) {
    here.bodies.clear()
    expect((await here.clock.runUntil(ann.put('/body', sent))).ok).toBe(true)
    expect(Buffer.compare(here.bodies.get('body')!, body)).toBe(0)
  }
  expect(Buffer.compare(Buffer.from(await (await here.clock.runUntil(ann.get('/body'))).bytes()), body)).toBe(0)
  await here.close()
})

test('no token recurs within one security association, over all its links (RFC 9175 section 4.2)', async () => {
  const clock = virtualClock({ start: 1_700_000_000_000 })
  const network = virtualNetwork({ clock })
  const tokens: string[] = []
  network.script = ({ to, bytes }) => {
    // Requests of the client: confirmable, with a code below 2.00.
    if (to.address === SERVER && bytes[0]! >> 4 === 4 && bytes[1]! > 0 && bytes[1]! < 64)
      tokens.push(Buffer.from(bytes.subarray(4, 4 + (bytes[0]! & 15))).toString('hex'))
    return undefined
  }
  const server = new App({ logger: false, clock }).use(
    coap({ host: SERVER, clock, network: network.machine(SERVER), protect: oscore({ contexts: [CONTEXTS.ann.server], require: true }) })
  )
  server.use(() => 'on')
  await server.listen()
  const protect = oscore({ contexts: [CONTEXTS.ann.client('coap')] })
  const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2'), protect }))
  for (let link = 0; link < 6; link++) {
    const [one, other] = [await clock.runUntil(app.connect(`coap://${SERVER}`)), await clock.runUntil(app.connect(`coap://${SERVER}`))]
    for (let count = 0; count < 5; count++) await clock.runUntil(Promise.all([one.get('/state'), other.get('/state')]))
    await clock.runUntil(Promise.all([one.close(), other.close()]))
  }
  expect(tokens.length).toBeGreaterThanOrEqual(60)
  expect(new Set(tokens).size).toBe(tokens.length)
  await clock.runUntil(Promise.all([app.close({ timeout: 1000 }), server.close({ timeout: 1000 })]))
})

test('OSCORE over real sockets, UDP and TCP', async () => {
  const protect = oscore({ contexts: [CONTEXTS.ann.server], require: true })
  const server = new App({ logger: false }).use(coap({ port: 0, tcp: true, protect })).use(({ user }) => user?.id ?? 'nobody')
  const [listener] = await server.listen()
  for (const url of listener!.urls!) {
    const client = { ...CONTEXTS.ann.client('coap'), servers: [url.href] }
    const app = new App({ logger: false }).use(coap({ protect: oscore({ contexts: [client] }) }))
    const link = await app.connect(url)
    expect(await (await link.get('/')).text()).toBe('ann')
    await app.close()
    const plain = new App({ logger: false }).use(coap())
    expect((await (await plain.connect(url)).get('/')).status).toBe(401)
    await plain.close()
  }
  await server.close()
})
