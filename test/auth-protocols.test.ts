// @iopa/auth on every protocol: one pipeline authenticates, one set of rules decides, and everything ends with its token.
import { App } from '@iopa/appbuilder'
import { allow, anyOf, basic, bearer, preSharedKey } from '@iopa/auth'
import { router } from '@iopa/router'
import { SignJWT } from 'jose'
import mqttJs from 'mqtt'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Credentials, Town } from './cross-protocol-support.ts'
import { until } from './hostile-support.ts'

const ANN: Credentials = { user: 'ann', password: 'of ann' }
const BOB: Credentials = { user: 'bob', password: 'of bob' }
const secret = 's'.repeat(32)
const issuer = 'https://issuer.example'
const ROLES: Readonly<Record<string, string[]>> = { ann: ['admin'], bob: [] }

let town: Town
let state: number
let keyEnds: number | undefined

beforeEach(async () => {
  state = 0
  keyEnds = undefined
  const app = new App({ logger: false })
    .use(
      anyOf([
        bearer({ jwt: { issuer, audience: 'town', secret }, connectPassword: true }),
        basic({ verify: (id, password) => (password === `of ${id}` ? { id, roles: ROLES[id] } : null) }),
        preSharedKey({ user: id => ({ id, roles: ROLES[id], ...(keyEnds === undefined ? {} : { valid: { until: keyEnds } }) }) })
      ])
    )
    .use(
      allow([
        { roles: 'admin', to: '/#' },
        { to: ['/state', '/.well-known/core'], may: 'read' },
        { to: '/chat/#', may: 'observe' },
        { to: '/chat/of-{user}', deny: true },
        { owner: 'user', to: '/users/{user}/#' }
      ])
    )
    .use(router())
  const value = () => ({ state })
  for (const path of ['/state', '/secret', '/users/{user}/box'] as const)
    app.get(path, value).put(path, async context => void (state = ((await context.json()) as { state: number }).state))
  town = await Town.open(app as unknown as App)
})

afterEach(() => town.close())

const token = (seconds: number, sub = 'bob'): Promise<string> =>
  new SignJWT({ iss: issuer, aud: 'town', sub, exp: Date.now() / 1000 + seconds }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret))

const CHANGING = ['http', 'coap+tcp', 'tcp', 'udp', 'mqtt'] as const

test('rules decide about requests of every protocol', async () => {
  for (const protocol of CHANGING) {
    const forbidden = protocol === 'mqtt' ? 135 : 403
    const done = protocol === 'mqtt' ? 0 : 204
    const put = async (path: string, by: Credentials): Promise<number> => town.put(protocol, path, { state }, by)
    expect(
      [
        await put('/state', ANN),
        await put('/state', BOB),
        await put('/secret', BOB),
        await put('/users/bob/box', BOB),
        await put('/users/ann/box', BOB)
      ],
      protocol
    ).toEqual([done, forbidden, forbidden, done, forbidden])
    expect(await town.get(protocol, '/state', BOB), protocol).toEqual({ state })
    expect(await town.get(protocol, '/secret', BOB), protocol).toBe(`error ${forbidden}`)
  }
})

test('a subscription with wildcards brings what the rules permit, and no more', async () => {
  const bobs = await town.subscribe('/#', BOB)
  const anns = await town.subscribe('/#', ANN)
  for (const [path, value] of [
    ['/secret', { state: 1 }],
    ['/chat/of-ann', { text: 'private' }],
    ['/chat/all', { text: 'all' }],
    ['/users/ann/box', { state: 2 }],
    ['/users/ann/plain', { text: 'mine' }]
  ] as const)
    expect(await town.put('mqtt', path, value, ANN), path).toBeLessThan(128)
  state = 9
  town.app.notify('/state')
  const last = (told: readonly unknown[]): boolean => told.some(value => JSON.stringify(value) === '{"state":9}')
  await until(
    'both hear the state',
    () => last(bobs.told) && last(anns.told),
    () => [bobs.told, anns.told]
  )
  expect(JSON.stringify(anns.told)).toContain('private')
  const bob = JSON.stringify(bobs.told)
  expect(bob).toContain('all')
  expect(bob).not.toMatch(/mine|"state":[12]/)
  expect(await town.put('mqtt', '/chat/all', { text: 'of bob' }, BOB)).toBe(135)
  await expect(town.watch('mqtt', '/secret', BOB)).resolves.toMatchObject({ told: ['error 135'] })
})

test('what a message says of itself does not change what its publisher may do', async () => {
  const anns = await town.subscribe('/#', ANN)
  const options = { username: 'bob', password: 'of bob', protocolVersion: 5, reconnectPeriod: 0 } as const
  const bob = await mqttJs.connectAsync(town.brokerUrl, {
    ...options,
    clientId: 'bob',
    will: { topic: 'secret', payload: Buffer.from('{"state":66}'), qos: 1, retain: true }
  })
  const publish = (topic: string, payload: string, more: object): Promise<number> =>
    new Promise(resolve => {
      bob.publish(topic, payload, { qos: 1, ...more }, (error, packet) =>
        resolve((error as { code?: number } | null)?.code ?? (packet as { reasonCode?: number } | undefined)?.reasonCode ?? 0)
      )
    })
  const named = (method: string): object => ({ properties: { userProperties: { method } } })
  // Bob may read the chat and the state.
  expect(await publish('chat/all', '{"text":"forged"}', named('GET'))).toBe(135)
  expect(await publish('state', '{"state":66}', named('PUT'))).toBe(135)
  expect(await publish('chat/all', '', { retain: true })).toBe(135)
  expect(await publish('chat//x', 'forged', {})).toBe(135)
  expect(await publish('users/bob/note', '{"text":"mine"}', { retain: true })).toBeLessThan(128)
  await until(
    'ann hears what bob may say',
    () => JSON.stringify(anns.told).includes('mine'),
    () => anns.told
  )
  // The connection is lost, and the will comes.
  bob.stream.destroy()
  await town.put('mqtt', '/last', { text: 'last' }, ANN)
  await until(
    'ann hears the last word',
    () => JSON.stringify(anns.told).includes('last'),
    () => anns.told
  )
  expect(JSON.stringify(anns.told)).not.toMatch(/forged|66/)
  await bob.endAsync(true).catch(() => undefined)
})

test('discovery over CoAP lists what the rules permit', async () => {
  const list = async (by: Credentials): Promise<string> => (await (await town.client('coap+tcp', by)).get('/.well-known/core')).text()
  expect(await list(ANN)).toContain('</secret>')
  const bobs = await list(BOB)
  expect(bobs).toContain('</state>')
  expect(bobs).not.toContain('secret')
})

test('observers and connections end with their token, with 401 on each protocol', async () => {
  keyEnds = Date.now() + 900
  const jwt = await token(0.9)
  const headers = { authorization: `Bearer ${jwt}` }
  const all = [
    await town.watch('http', '/state', undefined, headers),
    await town.watch('tcp', '/state', undefined, headers),
    await town.watch('mqtt', '/state', { user: 'any', password: jwt }),
    await town.watch('coap+tcp', '/state', BOB)
  ]
  expect(all.map(({ told }) => told[0])).toEqual(Array(4).fill({ state: 0 }))
  for (const { protocol, ended, told } of all) await until(`${protocol} ends`, ended, () => told)
  expect(all.map(({ protocol, told }) => [protocol, told.at(-1)])).toEqual([
    ['http', 'error 401'],
    ['tcp', 'error 401'],
    expect.arrayContaining(['mqtt']),
    expect.arrayContaining(['coap+tcp'])
  ])
  const client = await town.client('http')
  const answer = await client.get('/state', { headers })
  expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining('error="invalid_token"')])
})
