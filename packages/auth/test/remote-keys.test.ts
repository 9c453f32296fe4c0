import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { App } from '@iopa/appbuilder'
import { bearer } from '@iopa/auth'
import { type VirtualClock, virtualClock } from '@iopa/testing'
import { exportJWK, SignJWT } from 'jose'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ask, withHeader } from './support.ts'

const NOW = 1_700_000_000
const pairs = new Map(['a', 'b', 'c'].map(kid => [kid, generateKeyPairSync('ec', { namedCurve: 'P-256' })]))

/** An issuer that a test can switch off. */
let fetches: number
let published: string[]
let answer: ((response: ServerResponse) => void) | null
let url: string
let clock: VirtualClock
let stop: () => Promise<void>

beforeEach(async () => {
  fetches = 0
  published = ['a']
  answer = null
  clock = virtualClock({ start: NOW * 1000 })
  const server = createServer(async (_, response) => {
    fetches++
    if (answer !== null) answer(response)
    else
      response.end(
        JSON.stringify({
          keys: await Promise.all(published.map(async kid => ({ ...(await exportJWK(pairs.get(kid)?.publicKey as KeyObject)), kid })))
        })
      )
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
  stop = async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})

afterEach(() => stop())

const appOf = () => new App({ clock, logger: false }).use(bearer({ jwt: { issuer: 'i', audience: 'a', jwks: url } })).use(() => 'hello')
const token = (by: string, kid = by): Promise<string> =>
  new SignJWT({ iss: 'i', aud: 'a', sub: 'ann', exp: NOW + 1_000_000 })
    .setProtectedHeader({ alg: 'ES256', kid })
    .sign(pairs.get(by)?.privateKey as KeyObject)
const status = async (app: ReturnType<typeof appOf>, jwt: string): Promise<number> =>
  (await ask(app, withHeader('authorization', `Bearer ${jwt}`))).status

test('keys are fetched once, by the first token that needs them', async () => {
  const app = appOf()
  const jwt = await token('a')
  expect(await Promise.all(Array.from({ length: 20 }, () => status(app, jwt)))).toEqual(Array(20).fill(200))
  expect(fetches).toBe(1)
})

test('a new key of the issuer is found, and a removed one is refused after the next fetch', async () => {
  const app = appOf()
  expect(await status(app, await token('a'))).toBe(200)
  published = ['b']
  await clock.advance(31_000)
  expect(await status(app, await token('b'))).toBe(200)
  expect(await status(app, await token('a'))).toBe(401)
})

test('a removed key is refused after ten minutes, although its token is remembered', async () => {
  const app = appOf()
  const jwt = await token('a')
  expect(await status(app, jwt)).toBe(200)
  published = ['b']
  await clock.advance(600_000)
  // This one begins the fetch; it does not wait for it.
  await status(app, jwt)
  await expect.poll(() => status(app, jwt)).toBe(401)
})

test('tokens with unknown keys do not make it fetch more than once in thirty seconds', async () => {
  const app = appOf()
  expect(await status(app, await token('a'))).toBe(200)
  await clock.advance(31_000)
  const unknown = await Promise.all(Array.from({ length: 50 }, (_, at) => token('c', `unknown ${at}`)))
  expect(new Set(await Promise.all(unknown.map(jwt => status(app, jwt))))).toEqual(new Set([401]))
  for (const jwt of unknown) await status(app, jwt)
  expect(fetches).toBe(2)
})

test('an issuer that is down is asked again after thirty seconds, and tokens get 503 until then', async () => {
  const app = appOf()
  answer = response => response.writeHead(500).end()
  const jwt = await token('a')
  for (let count = 0; count < 10; count++) expect(await status(app, jwt)).toBe(503)
  expect(fetches).toBe(1)
  answer = null
  await clock.advance(30_000)
  expect(await status(app, jwt)).toBe(200)
})

test('known keys outlast an issuer that is down, for a day', async () => {
  const app = appOf()
  const jwt = await token('a')
  expect(await status(app, jwt)).toBe(200)
  answer = response => response.destroy()
  await clock.advance(86_399_000)
  expect(await status(app, jwt)).toBe(200)
  await clock.advance(31_000)
  expect(await status(app, jwt)).toBe(503)
})

test.each<[string, (response: ServerResponse) => void]>([
  ['is too large', response => response.end(JSON.stringify({ keys: [], filler: 'x'.repeat(300_000) }))],
  ['has too many keys', response => response.end(JSON.stringify({ keys: Array(101).fill({ kty: 'EC' }) }))],
  ['is no set of keys', response => response.end('{"keys":1}')],
  ['is null', response => response.end('null')],
  ['holds what is no key', response => response.end('{"keys":[1]}')],
  ['is no JSON', response => response.end('<html>')],
  ['is a redirect', response => response.writeHead(302, { location: url }).end()]
])('an answer of the issuer that %s is not taken', async (_, given) => {
  answer = given
  const app = appOf()
  expect(await status(app, await token('a'))).toBe(503)
  expect(fetches).toBe(1)
})
