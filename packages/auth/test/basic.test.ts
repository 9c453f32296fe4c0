import { App, type User } from '@iopa/appbuilder'
import { anyOf, apiKey, basic, bearer, sameSecret } from '@iopa/auth'
import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'
import { ask, basicOf, withHeader } from './support.ts'

const users: Readonly<Record<string, User>> = { ann: { id: 'ann', roles: ['admin'] } }
const verify = (name: string, password: string): User | undefined => (sameSecret(password, `of ${name}`) ? users[name] : undefined)
const authorized = (name: string, password: string) => withHeader('authorization', basicOf(name, password))
const who = (context: { readonly user?: User | undefined }): unknown => context.user ?? 'nobody'

test('sets the user, with the scheme and the realm', async () => {
  const app = new App().use(basic({ verify, realm: 'house' })).use(who)
  const { text } = await ask(app, authorized('ann', 'of ann'))
  expect(JSON.parse(text)).toEqual({ id: 'ann', roles: ['admin'], by: 'basic', realm: 'house' })
  expect(await ask(app, withHeader('authorization', basicOf('ann', 'of ann').replace('Basic', 'bASIC')))).toMatchObject({ status: 200 })
})

test('challenges a request without credentials, with wrong ones and with malformed ones', async () => {
  const app = new App().use(basic({ verify, realm: 'a "house"' })).use(who)
  const challenge = 'Basic realm="a \\"house\\"", charset="UTF-8"'
  expect(await ask(app, {})).toMatchObject({ status: 401, code: 'unauthenticated', challenge })
  expect(await ask(app, authorized('ann', 'guessed'))).toMatchObject({ status: 401, code: 'bad-credentials', challenge })
  expect(await ask(app, authorized('bob', 'of bob'))).toMatchObject({ status: 401, code: 'bad-credentials' })
  const malformed = [
    'Basic',
    'Basic !',
    'Basic YW5u',
    `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString('base64')}`,
    basicOf('ann', 'of\nann'),
    `Basic ${'A'.repeat(9000)}`
  ]
  for (const value of malformed)
    expect(await ask(app, withHeader('authorization', value)), value).toMatchObject({ status: 401, code: 'bad-credentials' })
})

test('reads UTF-8, and a password with colons', async () => {
  const seen: string[][] = []
  const app = new App().use(basic({ verify: (...given) => void seen.push(given.slice(0, 2) as string[]) })).use(who)
  await ask(app, authorized('Zoë', 'p:ä:ss'))
  await ask(app, authorized('', ''))
  expect(seen).toEqual([
    ['Zoë', 'p:ä:ss'],
    ['', '']
  ])
})

test('refuses credentials that a request has twice', async () => {
  const app = new App().use(basic({ verify, optional: true })).use(who)
  const twice = withHeader('authorization', [basicOf('ann', 'of ann'), basicOf('ann', 'guessed')])
  expect(await ask(app, twice)).toMatchObject({ status: 400, code: 'ambiguous-credentials' })
  const joined = withHeader('authorization', `${basicOf('ann', 'of ann')}, ${basicOf('bob', 'x')}`)
  expect(await ask(app, joined)).toMatchObject({ status: 401 })
})

test('lets requests without credentials pass where it is optional, and never those with wrong ones', async () => {
  const app = new App().use(basic({ verify, optional: true })).use(who)
  expect((await ask(app, {})).text).toBe('nobody')
  expect(await ask(app, authorized('ann', 'guessed'))).toMatchObject({ status: 401 })
})

test('passes a request that has a user', async () => {
  const app = new App().use(basic({ verify: () => undefined })).use(who)
  expect(JSON.parse((await ask(app, { 'server.User': { id: 'known' }, ...authorized('ann', 'x') })).text)).toEqual({ id: 'known' })
})

test('refuses a user without an id as a fault of the app', async () => {
  const app = new App({ logger: false }).use(basic({ verify: () => ({ id: '' }) })).use(who)
  expect(await ask(app, authorized('ann', 'x'))).toMatchObject({ status: 500 })
})

test('verifies a bounded number at once, and sheds what does not fit into the queue', async () => {
  const waiting: (() => void)[] = []
  let most = 0
  const slow = (name: string) =>
    new Promise<User>(resolve => {
      waiting.push(() => resolve({ id: name }))
      most = Math.max(most, waiting.length)
    })
  const app = new App({ logger: false }).use(basic({ verify: slow, concurrency: 2, queue: 3 })).use(who)
  const from = (address: string, name: string) => ask(app, { ...authorized(name, 'x'), 'server.RemoteAddress': address })
  const all = [...'abc'].map(name => from('192.0.2.1', name))
  all.push(from('192.0.2.2', 'd'))
  await new Promise(resolve => setImmediate(resolve))
  expect(most).toBe(2)
  // Half of the queue is full: an address may hold one more only where it has none there.
  expect(await from('192.0.2.1', 'e')).toMatchObject({ status: 503, code: 'authentication-busy' })
  all.push(from('192.0.2.3', 'f'))
  await new Promise(resolve => setImmediate(resolve))
  expect(await from('192.0.2.4', 'g')).toMatchObject({ status: 503, code: 'authentication-busy' })
  let done = false
  const answers = Promise.all(all).finally(() => {
    done = true
  })
  while (!done) {
    for (const resolve of waiting.splice(0)) resolve()
    await new Promise(resolve => setImmediate(resolve))
  }
  expect((await answers).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
})

test('remembers what was right for a time, and never what was wrong', async () => {
  const clock = virtualClock({ start: 1000 })
  let asked = 0
  let valid = true
  const app = new App({ clock })
    .use(
      basic({
        verify: (name, password) => {
          asked++
          return valid ? verify(name, password) : undefined
        },
        remember: 60_000
      })
    )
    .use(who)
  const right = authorized('ann', 'of ann')
  for (let count = 0; count < 3; count++) expect(await ask(app, right)).toMatchObject({ status: 200 })
  expect(asked).toBe(1)
  for (let count = 0; count < 3; count++) expect(await ask(app, authorized('ann', 'guessed'))).toMatchObject({ status: 401 })
  expect(asked).toBe(4)
  valid = false
  expect(await ask(app, right)).toMatchObject({ status: 200 })
  await clock.advance(60_000)
  expect(await ask(app, right)).toMatchObject({ status: 401 })
})

test('verifies an unknown name as a known one', async () => {
  const asked: string[] = []
  const app = new App().use(basic({ verify: name => void asked.push(name) })).use(who)
  await ask(app, authorized('ann', 'x'))
  await ask(app, authorized('nobody', 'x'))
  expect(asked).toEqual(['ann', 'nobody'])
})

test('an API key stands in a header or in the query, and once', async () => {
  const key = (value: string): User | undefined => (sameSecret(value, 'k'.repeat(32)) ? { id: 'sensor' } : undefined)
  const right = 'k'.repeat(32)
  const header = new App().use(apiKey({ verify: key })).use(who)
  expect(JSON.parse((await ask(header, withHeader('X-API-Key', right))).text)).toEqual({ id: 'sensor', by: 'apiKey' })
  expect(await ask(header, withHeader('x-api-key', 'wrong'))).toMatchObject({ status: 401, code: 'bad-credentials', challenge: undefined })
  expect(await ask(header, withHeader('x-api-key', [right, right]))).toMatchObject({ status: 400, code: 'ambiguous-credentials' })
  expect(await ask(header, withHeader('x-api-key', ''))).toMatchObject({ status: 401 })
  expect(await ask(header, { 'iopa.QueryString': `api_key=${right}` })).toMatchObject({ status: 401, code: 'unauthenticated' })
  const named = new App().use(apiKey({ verify: key, header: 'X-Token', name: 'token' })).use(who)
  expect(JSON.parse((await ask(named, withHeader('x-token', right))).text)).toEqual({ id: 'sensor', by: 'token' })
  const query = new App().use(apiKey({ verify: key, query: 'api_key', optional: true })).use(who)
  expect(await ask(query, { 'iopa.QueryString': `a=1&api_key=${right}` })).toMatchObject({ status: 200 })
  expect(await ask(query, { 'iopa.QueryString': `api_key=${right}&api_key=x` })).toMatchObject({ status: 400 })
  expect((await ask(query, { 'iopa.QueryString': 'a=1' })).text).toBe('nobody')
})

test('anyOf takes the first scheme that has credentials, and offers all', async () => {
  const tokens: Readonly<Record<string, User>> = { 'token-of-bob': { id: 'bob' } }
  const either = [basic({ verify }), bearer({ verify: token => tokens[token] }), apiKey({ verify: key => tokens[key] })]
  const app = new App().use(anyOf(either)).use(who)
  expect(JSON.parse((await ask(app, authorized('ann', 'of ann'))).text)).toMatchObject({ id: 'ann', by: 'basic' })
  expect(JSON.parse((await ask(app, withHeader('authorization', 'Bearer token-of-bob'))).text)).toEqual({ id: 'bob', by: 'bearer' })
  expect(JSON.parse((await ask(app, withHeader('x-api-key', 'token-of-bob'))).text)).toEqual({ id: 'bob', by: 'apiKey' })
  expect((await ask(app, {})).challenge).toBe('Basic realm="app", charset="UTF-8", Bearer realm="app"')
  // Wrong credentials are not made good by others.
  const mixed = { 'iopa.Headers': { authorization: 'Bearer wrong', 'x-api-key': 'token-of-bob' } }
  expect(await ask(app, mixed)).toMatchObject({
    status: 401,
    challenge: 'Basic realm="app", charset="UTF-8", Bearer realm="app", error="invalid_token"'
  })
  const optional = new App().use(anyOf(either, { optional: true })).use(who)
  expect((await ask(optional, {})).text).toBe('nobody')
})

test('refuses options and alternatives that mean nothing', () => {
  const refused = (factory: () => unknown): void => expect(factory).toThrow(expect.objectContaining({ code: 'bad-option' }))
  refused(() => basic({} as never))
  refused(() => basic({ verify, concurrency: 0 }))
  refused(() => basic({ verify, queue: -1 }))
  refused(() => basic({ verify, remember: Number.NaN }))
  refused(() => basic({ verify, realm: 'a\nb' }))
  refused(() => basic({ verify, name: 'psk' }))
  refused(() => apiKey({ verify: () => null, header: 'a', query: 'b' }))
  refused(() => anyOf([]))
  refused(() => anyOf([() => undefined]))
  refused(() => anyOf([basic({ verify }), basic({ verify })]))
  refused(() => anyOf([basic({ verify, optional: true })]))
  expect(() => new App().use(basic as never)).toThrow(expect.objectContaining({ code: 'bad-middleware' }))
})
