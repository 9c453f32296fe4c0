// Users on every protocol: one authentication middleware, and what one of them may see is never told to another.
import { App, defineMiddleware, IopaError, reply, type User } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Changing, type Credentials, type Observing, Town, type Watching } from './cross-protocol-support.ts'
import { until } from './hostile-support.ts'

const ANN: Credentials = { user: 'ann', password: 'of ann' }
const BOB: Credentials = { user: 'bob', password: 'of bob' }
const LIAR: Credentials = { user: 'ann', password: 'guessed' }
/** Protocols that carry the identity of a client; CoAP over UDP has no such thing here. */
const KNOWING: readonly Observing[] = ['http', 'coap+tcp', 'mqtt', 'tcp']

const users = new Map<string, User>([
  ['ann', { id: 'ann' }],
  ['bob', { id: 'bob' }]
])

/** Basic credentials from a header or an MQTT CONNECT, or the identity of a pre-shared key. */
const authentication = defineMiddleware({ name: 'basic', provides: ['server.User'] }, (context, next) => {
  const known = context['server.User']
  if (known !== undefined) {
    // One object for each user, so that those who are the same share.
    context['server.User'] = users.get(known.id)
    return next()
  }
  const [scheme, credentials = ''] = (context.headers.get('authorization') ?? '').split(' ')
  const [user = '', password] = atob(credentials).split(':')
  if (scheme !== 'Basic' || password !== `of ${user}`) throw new IopaError(401, 'who-is-it', 'Say who you are.')
  context['server.User'] = users.get(user)
  return next()
})

let town: Town
let secret: string
let trusted: Set<string>
let reads: string[]

beforeEach(async () => {
  secret = 'secret 0'
  trusted = new Set(['ann'])
  reads = []
  const app = new App({ logger: false })
    .use(authentication)
    .use((context, next) => {
      const id = context.user?.id ?? ''
      if (context.path.startsWith('/private/') && !trusted.has(id)) throw new IopaError(403, 'not-yours', 'This is not yours.')
      return next()
    })
    .use(router())
  app.get('/private/ann', () => ({ secret }))
  app.put('/private/ann', async context => {
    secret = ((await context.json()) as { secret: string }).secret
    return reply(204)
  })
  app.get('/me', context => {
    reads.push(context.user?.id ?? '')
    return reply(200, { me: context.user?.id, secret }, { 'cache-control': 'private' })
  })
  app.get('/shared', context => {
    reads.push(context.user?.id ?? '')
    return { secret }
  })
  town = await Town.open(app as unknown as App)
})

afterEach(() => town.close())

const watchAll = (path: string, credentials: Credentials): Promise<Watching[]> =>
  Promise.all(KNOWING.map(protocol => town.watch(protocol, path, credentials)))

const heard = (value: unknown): ((watching: Watching) => boolean) => {
  const text = JSON.stringify(value)
  return ({ told }) => JSON.stringify(told.at(-1)) === text
}

const allHear = (all: readonly Watching[], value: unknown): Promise<void> =>
  until(
    'everybody hears it',
    () => all.every(heard(value)),
    () => all.map(({ protocol, told }) => [protocol, told])
  )

test('one middleware authenticates a header, an MQTT CONNECT and a pre-shared key', async () => {
  for (const credentials of [ANN, BOB]) await allHear(await watchAll('/me', credentials), { me: credentials.user, secret })
  for (const protocol of [...KNOWING, 'udp'] as const) expect(await town.get(protocol, '/me', BOB), protocol).toEqual({ me: 'bob', secret })
})

test('a user without permission for a path gets no change of it, on any protocol', async () => {
  const rightful = [...(await watchAll('/private/ann', ANN)), await town.subscribe('/private/#', ANN)]
  const others = [
    ...(await watchAll('/private/ann', BOB)),
    await town.watch('http', '/private/ann'),
    await town.watch('http', '/private/ann', LIAR),
    await town.watch('tcp', '/private/ann'),
    await town.watch('tcp', '/private/ann', LIAR),
    await town.watch('coap', '/private/ann'),
    await town.watch('coap', '/private/ann', ANN),
    await town.watch('coap+tcp', '/private/ann')
  ]
  const wild = [await town.subscribe('/private/+', BOB), await town.subscribe('/#', BOB)]
  await expect(town.watch('mqtt', '/private/ann', LIAR)).rejects.toThrow()
  expect(others.map(({ protocol, told }) => [protocol, ...told])).toEqual([
    ['http', 'error 403'],
    ['coap+tcp', 'error 403'],
    ['mqtt', 'error 135'],
    ['tcp', 'error 403'],
    ['http', 'error 401'],
    ['http', 'error 401'],
    ['tcp', 'error 401'],
    ['tcp', 'error 401'],
    ['coap', 'error 401'],
    ['coap', 'error 401'],
    // Its connection is refused, before there is a request.
    ['coap+tcp', 'error 502']
  ])
  const changing: readonly Changing[] = [...KNOWING, 'udp']
  for (const [at, protocol] of changing.entries()) {
    const value = { secret: `secret ${at + 1}` }
    expect(await town.put(protocol, '/private/ann', { secret: 'of bob' }, BOB), protocol).toBeGreaterThan(protocol === 'mqtt' ? 127 : 399)
    expect(await town.put(protocol, '/private/ann', value, ANN), protocol).toBeLessThan(300)
    await allHear(rightful, value)
  }
  for (const { protocol, told } of others) expect(told.length, protocol).toBe(1)
  // What a wildcard brings at first is of other paths; no change of this one follows.
  for (const { told } of wild) expect(JSON.stringify(told)).not.toMatch(/secret [1-9]/)
})

test('a private answer is made for each user separately, and sent to no other', async () => {
  const [anns, bobs] = [await watchAll('/me', ANN), await watchAll('/me', BOB)]
  for (let round = 1; round <= 5; round++) {
    secret = `secret ${round}`
    town.app.notify('/me')
    await allHear(anns, { me: 'ann', secret })
    await allHear(bobs, { me: 'bob', secret })
  }
  for (const [all, name] of [
    [anns, 'ann'],
    [bobs, 'bob']
  ] as const)
    for (const { told, protocol } of all) expect(new Set(told.map(value => (value as { me: string }).me)), protocol).toEqual(new Set([name]))
})

test('observers of one user share a run of GET, different users do not', async () => {
  const all = [...(await watchAll('/shared', ANN)), ...(await watchAll('/shared', ANN)), ...(await watchAll('/shared', BOB))]
  reads = []
  secret = 'secret 1'
  town.app.notify('/shared')
  await allHear(all, { secret })
  // For each user by Accept: events, those of our clients, and MQTT; the connections of a key and of a header are one user.
  expect(reads.filter(user => user === 'bob').length).toBeGreaterThan(0)
  expect(reads.filter(user => user === 'ann').length).toBeGreaterThan(0)
  expect(reads.filter(user => user === 'ann').length).toBeLessThanOrEqual(4)
})

test('a message on a topic without a route is delivered only to users who may read its path', async () => {
  const anns = await town.subscribe('/private/#', ANN)
  const bobs = await town.subscribe('/#', BOB)
  for (const text of ['one', 'two']) {
    expect(await town.put('mqtt', '/private/chat', { text }, ANN)).toBeLessThan(128)
    await until(
      'ann hears it',
      () => heard({ text })(anns),
      () => anns.told
    )
  }
  expect(await town.put('mqtt', '/chat', { text: 'for all' }, ANN)).toBeLessThan(128)
  await until(
    'bob hears what is for all',
    () => heard({ text: 'for all' })(bobs),
    () => bobs.told
  )
  expect(JSON.stringify(bobs.told)).not.toMatch(/one|two/)
})

test('a user whose permission is removed gets the refusal and no later state', async () => {
  const all = await watchAll('/private/ann', ANN)
  const wild = await town.subscribe('/private/+', ANN)
  await town.put('http', '/private/ann', { secret: 'secret 1' }, ANN)
  await allHear([...all, wild], { secret: 'secret 1' })
  trusted.clear()
  for (let round = 2; round < 5; round++) {
    secret = `secret ${round}`
    town.app.notify('/private/ann')
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  for (const watching of all) {
    if (watching.protocol === 'mqtt') continue
    await until(
      `${watching.protocol} hears that it is refused`,
      () => watching.told.at(-1) === 'error 403',
      () => watching.told
    )
    await until(`${watching.protocol} ends`, watching.ended)
  }
  for (const { protocol, told } of [...all, wild]) expect(JSON.stringify(told), protocol).not.toMatch(/secret [2-9]/)
})
