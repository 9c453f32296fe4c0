import type { Bag, Client, Context } from '@iopa/appbuilder'
import type { Clock } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { AnswerCache } from '../src/answer-cache.ts'
import { cachedRequest, madeOf } from '../src/cache-key.ts'
import type { ForwardedAnswer } from '../src/forwarding.ts'
import { targetOf } from '../src/targets.ts'
import { SERVER, type Site, type SiteOptions, virtualSite } from './virtual-site.ts'

const site = (options: SiteOptions = {}) => virtualSite({ ...options, proxy: { cache: {}, ...options.proxy } })
const path = (name: string) => `/hc/coap/${SERVER}${name}`

/** What a request comes to: status, text, seconds that are left (in tens; 60 is not sent), and whether the server was asked. */
const ask = async (here: Site, client: Client, name: string, bag: Bag = {}) => {
  const before = here.handled.length
  const answer = await here.clock.runUntil(client.send({ 'iopa.Path': path(name), ...bag }))
  const left = Number(/\d+/.exec(answer.headers.get('cache-control') ?? '60')?.[0])
  return [answer.status, await answer.text(), Math.ceil(left / 10) * 10, here.handled.length - before]
}

describe('an answer that is kept', () => {
  test('is given as long as it is fresh, with the Max-Age that is left', async () => {
    const here = await site()
    const client = await here.connect()
    expect(await ask(here, client, '/state')).toEqual([200, 'state 0', 1000, 1])
    await here.clock.advance(300_000)
    expect(await ask(here, client, '/state')).toEqual([200, 'state 0', 700, 0])
    await here.clock.advance(700_000)
    expect(await ask(here, client, '/state')).toEqual([200, 'state 0', 1000, 1])
    await here.close()
  })

  test('is validated by its ETag when it is not fresh, and fresh again after 2.03', async () => {
    const here = await site()
    const client = await here.connect()
    expect(await ask(here, client, '/tagged')).toEqual([200, 'tagged', 60, 1])
    await here.clock.advance(61_000)
    expect(await ask(here, client, '/tagged')).toEqual([200, 'tagged', 60, 1])
    expect(
      here.handled
        .at(-1)
        ?.options.find(([number]) => number === 4)?.[1]
        .toString()
    ).toBe('v1')
    await here.clock.advance(30_000)
    expect(await ask(here, client, '/tagged')).toEqual([200, 'tagged', 30, 0])
    await here.close()
  })

  test('answers the ETag of a client with 2.03', async () => {
    const here = await site()
    const client = await here.connect()
    await ask(here, client, '/tagged')
    expect(await ask(here, client, '/tagged', { 'iopa.Headers': { 'if-none-match': '"v1"' } })).toEqual([304, '', 60, 0])
    expect(await ask(here, client, '/tagged', { 'iopa.Headers': { 'if-none-match': '"v0"' } })).toEqual([200, 'tagged', 60, 0])
    await here.close()
  })

  test.each([
    ['the query', { 'iopa.QueryString': 'a=b' }],
    ['Accept', { 'iopa.Headers': { accept: 'text/plain' } }],
    ['an unknown option', { 'coap.Options': [[2048, Uint8Array.of(1)]] }],
    ['the method', { 'iopa.Method': 'FETCH', 'iopa.Body': 'x' }]
  ] as const)('is not given to a request that differs in %s', async (_, bag) => {
    const here = await site()
    const client = await here.connect()
    await ask(here, client, '/state')
    expect((await ask(here, client, '/state', bag as Bag))[3]).toBe(1)
    await here.close()
  })

  test('is given to a request that differs in an option that is no part of the cache key', async () => {
    const here = await site()
    const client = await here.connect()
    await ask(here, client, '/state')
    expect(await ask(here, client, '/state', { 'coap.Options': [[2076, Uint8Array.of(1)]] })).toEqual([200, 'state 0', 1000, 0])
    await here.close()
  })

  test('of a FETCH belongs to its question', async () => {
    const here = await site()
    const client = await here.connect()
    const fetch = (body: string) => ask(here, client, '/search', { 'iopa.Method': 'FETCH', 'iopa.Body': body })
    expect(await fetch('a')).toEqual([200, 'found a', 60, 1])
    expect(await fetch('b')).toEqual([200, 'found b', 60, 1])
    expect(await fetch('a')).toEqual([200, 'found a', 60, 0])
    await here.close()
  })

  test('is dropped by a change through the proxy, for every query and every user', async () => {
    const here = await site({ users: true })
    const [ann, bob] = [await here.connect(undefined, '10.0.0.3'), await here.connect(undefined, '10.0.0.4')]
    await ask(here, ann, '/state')
    await ask(here, bob, '/state', { 'iopa.QueryString': 'a=b' })
    expect((await ask(here, ann, '/state', { 'iopa.Method': 'PUT', 'iopa.Body': 'new' }))[0]).toBe(204)
    expect(await ask(here, ann, '/state')).toEqual([200, 'new', 1000, 1])
    expect(await ask(here, bob, '/state', { 'iopa.QueryString': 'a=b' })).toEqual([200, 'new', 1000, 1])
    // A change that the server has refused is none.
    expect((await ask(here, ann, '/state', { 'iopa.Method': 'DELETE' }))[0]).toBe(405)
    expect((await ask(here, ann, '/state'))[3]).toBe(0)
    await here.close()
  })

  test('is not that of a GET that a change has overtaken', async () => {
    const here = await site()
    const [one, two] = [await here.connect(undefined, '10.0.0.3'), await here.connect(undefined, '10.0.0.4')]
    const slow = one.get(path('/held'))
    await here.clock.runUntil(() => here.handled.at(-1)?.path === 'GET /held?')
    await ask(here, two, '/held', { 'iopa.Method': 'PUT', 'iopa.Body': 'x' })
    here.release()
    expect(await (await here.clock.runUntil(slow)).text()).toBe('held')
    expect((await ask(here, one, '/held'))[3]).toBe(1)
    await here.close()
  })

  test('is dropped by a notification', async () => {
    const here = await site()
    const client = await here.connect()
    await ask(here, client, '/state')
    const leave = new AbortController()
    const got: string[] = []
    const done = (async () => {
      for await (const answer of client.observe(path('/state'), { signal: leave.signal })) got.push(await answer.text())
    })().catch(() => undefined)
    await here.clock.runUntil(() => got.length === 1)
    here.setState('changed')
    await here.clock.runUntil(() => got.length === 2)
    expect(await ask(here, client, '/state')).toEqual([200, 'changed', 1000, 1])
    leave.abort()
    await here.clock.runUntil(done)
    await here.close()
  })

  test('belongs to its user', async () => {
    const here = await site({ users: true })
    const [ann, bob] = [await here.connect(undefined, '10.0.0.3'), await here.connect(undefined, '10.0.0.4')]
    await ask(here, ann, '/state')
    expect((await ask(here, bob, '/state'))[3]).toBe(1)
    expect((await ask(here, ann, '/state'))[3]).toBe(0)
    await here.close()
  })
})

describe('an answer is not kept', () => {
  test.each(['/none', '/fresh', '/busy'])('of %s', async name => {
    const here = await site()
    const client = await here.connect()
    await ask(here, client, name)
    expect((await ask(here, client, name))[3]).toBe(1)
    await here.close()
  })

  test('with cache: false', async () => {
    const here = await site({ proxy: { cache: false } })
    const client = await here.connect()
    await ask(here, client, '/state')
    expect((await ask(here, client, '/state'))[3]).toBe(1)
    await here.close()
  })
})

test('an error is kept where it says for how long', async () => {
  const here = await site()
  const client = await here.connect()
  expect((await ask(here, client, '/gone'))[0]).toBe(404)
  expect((await ask(here, client, '/gone'))[3]).toBe(0)
  await here.close()
})

test('entries are shared out: the user with the most loses one', async () => {
  const here = await site({ users: true, proxy: { cache: { entries: 4 } } })
  const [ann, bob] = [await here.connect(undefined, '10.0.0.3'), await here.connect(undefined, '10.0.0.4')]
  await ask(here, bob, '/state')
  for (let at = 0; at < 8; at++) await ask(here, ann, '/state', { 'iopa.QueryString': `at=${at}` })
  expect((await ask(here, bob, '/state'))[3]).toBe(0)
  expect((await ask(here, ann, '/state', { 'iopa.QueryString': 'at=7' }))[3]).toBe(0)
  expect((await ask(here, ann, '/state', { 'iopa.QueryString': 'at=0' }))[3]).toBe(1)
  await here.close()
})

test('bytes are bounded, and an answer that is large in them is not kept', async () => {
  const here = await site({ proxy: { cache: { size: 8_000 } } })
  const client = await here.connect()
  await ask(here, client, '/long')
  expect((await ask(here, client, '/long'))[3]).toBe(1)
  for (let at = 0; at < 15; at++) await ask(here, client, '/state', { 'iopa.QueryString': `at=${at}` })
  expect((await ask(here, client, '/state', { 'iopa.QueryString': 'at=14' }))[3]).toBe(0)
  expect((await ask(here, client, '/state', { 'iopa.QueryString': 'at=0' }))[3]).toBe(1)
  await here.close()
})

test('peers without a user share by address and IPv6 network, whatever credentials and addresses they make up', async () => {
  const requestFrom = (address: string, fields: readonly (readonly [string, string])[] = [], user?: object) => {
    const headers = {
      getAll: (name: string) => fields.filter(([other]) => other === name).map(([, value]) => value),
      get: () => undefined,
      has: () => false
    }
    const context = { headers, user, 'server.RemoteAddress': address, 'iopa.Scheme': 'http' } as unknown as Context
    const target = targetOf('coap', SERVER)
    return cachedRequest(context, target!, { 'iopa.Headers': [] as unknown as NonNullable<Bag['iopa.Headers']>, 'iopa.Path': '/' }, null)!
  }
  expect(requestFrom('2001:db8::1').owner).toBe(requestFrom('2001:db8::2').owner)
  expect(requestFrom('10.0.0.7', [['cookie', 'a=1']]).owner).toBe(requestFrom('10.0.0.7', [['authorization', 'Bearer x']]).owner)
  expect(requestFrom('10.0.0.7', [['cookie', 'a=1']]).key).not.toBe(requestFrom('10.0.0.7', [['cookie', 'a=2']]).key)
  expect(requestFrom('10.0.0.7', [], { id: 'ann', iat: 1 }).owner).toBe(requestFrom('10.0.0.8', [], { id: 'ann', iat: 2 }).owner)
  expect(requestFrom('10.0.0.7', [], { id: 'ann', realm: 'a' }).owner).not.toBe(requestFrom('10.0.0.7', [], { id: 'ann', realm: 'b' }).owner)
})

test.each([
  ['/hc/coap/x/a%2Bb/c?d', '/a+b/c'],
  ['/hc/coap/x/a%3Fb', '/a?b'],
  ['/hc/coap/x/%FF', undefined],
  ['/hc/coap/x%', undefined],
  ['/hc/coap/xy/a', undefined],
  ['coap://other/a', undefined]
])('the Location %s makes what is kept of %s old', (location, made) => {
  expect(madeOf({ status: 201, code: 65, body: null, headers: [['location', location]], options: [] }, '/hc/coap/x')).toBe(made)
})

test.each([
  ['"a"', [['"a"', 304]], 'first'],
  [
    '"b"',
    [
      ['"a"', 304],
      [undefined, 200]
    ],
    'second'
  ],
  [
    undefined,
    [
      ['"a"', 304],
      [undefined, 200]
    ],
    'second'
  ]
] as const)('a 2.03 with the tag %s comes to %j', async (tag, exchanges, text) => {
  const now = { at: 0 }
  const cache = new AnswerCache({ entries: 10, size: 1e6 }, { elapsed: () => now.at } as Clock)
  const request = { key: 'k', resource: 'r', owner: 'o', revalidates: false, passing: false, isCoap: true, hasTags: false }
  const answerOf = (status: number, etag: string | undefined, body: string): ForwardedAnswer => ({
    status,
    code: 0,
    body: body === '' ? null : Buffer.from(body),
    headers: [['cache-control', 'max-age=1'], ...(etag === undefined ? [] : [['etag', etag] as const])],
    options: []
  })
  await cache.answer(request, async () => answerOf(200, '"a"', 'first'))
  now.at = 2000
  const asked: unknown[] = []
  const answer = await cache.answer(request, async etag => {
    const status = etag === undefined ? 200 : 304
    asked.push([etag, status])
    return status === 304 ? answerOf(304, tag, '') : answerOf(200, '"c"', 'second')
  })
  expect([asked, answer.status, String(answer.body)]).toEqual([exchanges, 200, text])
})
