import { createHmac, generateKeyPairSync } from 'node:crypto'
import { App, type User } from '@iopa/appbuilder'
import { anyOf, basic, bearer, type JwtOptions } from '@iopa/auth'
import { virtualClock } from '@iopa/testing'
import { exportJWK, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { ask, basicOf, withHeader } from './support.ts'

const NOW = 1_700_000_000
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
const secret = 's'.repeat(32)

const claims: JWTPayload = { iss: 'https://issuer.example', aud: 'lights', sub: 'ann', exp: NOW + 60, iat: NOW }
const sign = (
  changes: JWTPayload = {},
  header: { alg?: string; kid?: string; typ?: string } = {},
  key: Parameters<SignJWT['sign']>[0] = privateKey
): Promise<string> => new SignJWT(JSON.parse(JSON.stringify({ ...claims, ...changes }))).setProtectedHeader({ alg: 'RS256', ...header }).sign(key)

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const who = (context: { readonly user?: User | undefined }): unknown => context.user ?? 'nobody'
const appOf = (options: Partial<JwtOptions> = { key: pem }, clock = virtualClock({ start: NOW * 1000 })) =>
  new App({ clock, logger: false }).use(bearer({ jwt: { issuer: 'https://issuer.example', audience: 'lights', ...options } })).use(who)
const withToken = (token: string) => withHeader('authorization', `Bearer ${token}`)

const REFUSED = { status: 401, code: 'bad-credentials', challenge: 'Bearer realm="app", error="invalid_token"' }

describe('a JWT', () => {
  test('makes a user that lasts as long as the token, with the claims that do not change with each token', async () => {
    const { text } = await ask(appOf(), withToken(await sign({ roles: ['admin'], jti: 'x' })))
    expect(JSON.parse(text)).toEqual({ id: 'ann', roles: ['admin'], by: 'bearer', valid: { until: (NOW + 60) * 1000 } })
    expect(await ask(appOf(), {})).toMatchObject({ status: 401, code: 'unauthenticated', challenge: 'Bearer realm="app"' })
  })

  test('is accepted with every kind of key', async () => {
    const token = await sign()
    for (const key of [publicKey, pem, await exportJWK(publicKey)]) expect(await ask(appOf({ key }), withToken(token))).toMatchObject({ status: 200 })
    expect(await ask(appOf({ jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'a' }] } }), withToken(token))).toMatchObject({ status: 200 })
    const hmac = await sign({}, { alg: 'HS256' }, new TextEncoder().encode(secret))
    expect(await ask(appOf({ secret }), withToken(hmac))).toMatchObject({ status: 200 })
  })

  test.each<[string, Readonly<Record<string, unknown>>]>([
    ['without exp', { exp: undefined }],
    ['whose exp is over', { exp: NOW }],
    ['whose exp ends within the second', { exp: NOW - 0.5 }],
    ['whose exp is no number', { exp: 'never' }],
    ['whose nbf has not come', { nbf: NOW + 1 }],
    ['of another issuer', { iss: 'https://other.example' }],
    ['without an issuer', { iss: undefined }],
    ['for another audience', { aud: 'doors' }],
    ['without an audience', { aud: undefined }],
    ['without a subject', { sub: undefined }],
    ['whose subject is empty', { sub: '' }]
  ])('%s is refused', async (_, changes) => {
    expect(await ask(appOf(), withToken(await sign(changes)))).toMatchObject(REFUSED)
  })

  test('signed with the public key as a secret, or not signed, is refused', async () => {
    const header = encode({ alg: 'HS256' })
    const body = encode(claims)
    const forged = `${header}.${body}.${createHmac('sha256', pem).update(`${header}.${body}`).digest('base64url')}`
    const jwks = {
      keys: [
        { ...(await exportJWK(publicKey)), kid: 'a' },
        { kty: 'oct', k: Buffer.from(pem).toString('base64url') }
      ]
    }
    const tokens = [forged, `${encode({ alg: 'none' })}.${body}.`, `${encode({ alg: 'none' })}.${body}.AA`, `${encode({ alg: 'NONE' })}.${body}.AA`]
    for (const app of [appOf(), appOf({ jwks })]) for (const token of tokens) expect(await ask(app, withToken(token)), token).toMatchObject(REFUSED)
  })

  test('with a key of its own, a key elsewhere, or a critical extension is refused', async () => {
    const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const jwk = await exportJWK(own.publicKey)
    for (const header of [{ jwk }, { jku: 'http://127.0.0.1:9/' }, { kid: '../../../dev/null' }, { kid: "' or 1=1" }]) {
      const token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', ...header }).sign(own.privateKey)
      expect(await ask(appOf({ jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'a' }] } }), withToken(token))).toMatchObject(REFUSED)
      expect(await ask(appOf(), withToken(token))).toMatchObject(REFUSED)
    }
    const [, body, signature] = (await sign()).split('.')
    expect(await ask(appOf(), withToken(`${encode({ alg: 'RS256', crit: ['b64'], b64: false })}.${body}.${signature}`))).toMatchObject(REFUSED)
  })

  test('that is changed, malformed, too long, or signed by another algorithm is refused', async () => {
    const [header, , signature] = (await sign()).split('.')
    const es = await sign({}, { alg: 'ES256' }, other.privateKey)
    const tokens = [`${header}.${encode({ ...claims, sub: 'bob' })}.${signature}`, 'a', 'a.b', 'a.b.c', 'a.b.c.d.e', '..', es, 'x'.repeat(9000)]
    for (const token of tokens) expect(await ask(appOf(), withToken(token)), token).toMatchObject(REFUSED)
    expect(await ask(appOf({ key: pem, algorithms: ['PS256'] }), withToken(await sign()))).toMatchObject(REFUSED)
  })

  test('may be a little late where clocks differ', async () => {
    const clock = virtualClock({ start: (NOW + 62) * 1000 })
    expect(await ask(appOf({ key: pem }, clock), withToken(await sign()))).toMatchObject(REFUSED)
    const { text } = await ask(appOf({ key: pem, clockTolerance: 5 }, clock), withToken(await sign()))
    expect(JSON.parse(text).valid).toEqual({ until: (NOW + 65) * 1000 })
  })

  test('that was accepted is refused once it has expired', async () => {
    const clock = virtualClock({ start: NOW * 1000 })
    const app = appOf({ key: pem }, clock)
    const token = await sign()
    for (let count = 0; count < 3; count++) expect(await ask(app, withToken(token))).toMatchObject({ status: 200 })
    await clock.advance(59_999)
    expect(await ask(app, withToken(token))).toMatchObject({ status: 200 })
    await clock.advance(1)
    expect(await ask(app, withToken(token))).toMatchObject(REFUSED)
  })

  test('asks the app for the user each time, who may be none', async () => {
    let known = true
    const user = ({ sub = '' }: JWTPayload): User | undefined => (known ? { id: `user ${sub}`, valid: { until: 5 } } : undefined)
    const app = appOf({ key: pem, user })
    const token = await sign()
    expect(JSON.parse((await ask(app, withToken(token))).text)).toEqual({ id: 'user ann', by: 'bearer', valid: { until: 5 } })
    known = false
    expect(await ask(app, withToken(token))).toMatchObject(REFUSED)
  })
})

test('an opaque token is verified by the app', async () => {
  const app = new App().use(bearer({ verify: token => (token === 'abc' ? { id: 'ann' } : null), realm: 'house', name: 'opaque' })).use(who)
  expect(JSON.parse((await ask(app, withToken('abc'))).text)).toEqual({ id: 'ann', by: 'opaque', realm: 'house' })
  expect(await ask(app, withToken('abd'))).toMatchObject({ ...REFUSED, challenge: 'Bearer realm="house", error="invalid_token"' })
  expect(await ask(app, withHeader('authorization', 'Bearer'))).toMatchObject(REFUSED_OF('house'))
  expect(await ask(app, withHeader('authorization', ['Bearer abc', 'Bearer abc']))).toMatchObject({ status: 400 })
  expect(await ask(app, withHeader('authorization', 'Bearerabc'))).toMatchObject({ status: 401, code: 'unauthenticated' })
})

const REFUSED_OF = (realm: string) => ({ ...REFUSED, challenge: `Bearer realm="${realm}", error="invalid_token"` })

test('a password of CONNECT is a token where the option says so, and there alone', async () => {
  const verify = (token: string): User | null => (token === 'abc' ? { id: 'ann' } : null)
  const app = new App().use(bearer({ verify, connectPassword: true })).use(who)
  const credentials = withHeader('authorization', basicOf('anything', 'abc'))
  expect(await ask(app, credentials)).toMatchObject({ status: 401 })
  const connect = { 'iopa.Method': 'CONNECT' }
  expect(await ask(app, { ...connect, ...credentials })).toMatchObject({ status: 200 })
  expect(await ask(app, { ...connect, ...withHeader('authorization', basicOf('a', 'abd')) })).toMatchObject({ status: 401 })
  const either = [bearer({ verify, connectPassword: true }), basic({ verify: (_, password) => (password === 'abd' ? { id: 'bob' } : null) })]
  const both = new App().use(anyOf(either, { optional: true })).use(who)
  expect(JSON.parse((await ask(both, { ...connect, ...withHeader('authorization', basicOf('a', 'abd')) })).text)).toMatchObject({ id: 'bob' })
  // A wrong password is no request without credentials.
  const optional = new App().use(bearer({ verify, connectPassword: true, optional: true })).use(who)
  expect(await ask(optional, { ...connect, ...withHeader('authorization', basicOf('a', 'x')) })).toMatchObject({ status: 401 })
  expect((await ask(optional, connect)).text).toBe('nobody')
})

test('options that would let algorithms be confused are refused', async () => {
  const jwt = (options: object) => () => bearer({ jwt: { issuer: 'i', audience: 'a', key: pem, ...options } as JwtOptions })
  const wrong: object[] = [
    { algorithms: ['HS256'] },
    { algorithms: ['none'] },
    { algorithms: ['RS256', 'none'] },
    { algorithms: [] },
    { key: undefined, secret: 'short' },
    { key: undefined, secret, algorithms: ['RS256'] },
    { secret },
    { key: undefined },
    { key: { kty: 'oct', k: 'AAAA' } },
    { issuer: undefined },
    { audience: '' },
    { audience: [] },
    { clockTolerance: -1 },
    { user: 1 },
    { isuer: 'i' },
    { key: undefined, jwks: 'not a url' },
    { key: undefined, jwks: 'http://issuer.example/keys' }
  ]
  for (const options of wrong) expect(jwt(options), JSON.stringify(options)).toThrow(expect.objectContaining({ code: 'bad-option' }))
  expect(() => bearer({})).toThrow(expect.objectContaining({ code: 'bad-option' }))
})
