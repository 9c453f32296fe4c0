import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { rateLimit } from '@iopa/rate-limit'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { connectAsync } from 'mqtt'
import { afterEach, expect, test, vi } from 'vitest'

let app: App | undefined
afterEach(() => app?.close())

/** An app on every protocol, and its URLs by scheme. */
const serve = async (limit: number, free?: string) => {
  const serving = new App({ logger: false })
    .use(rateLimit({ limit, window: 3_600_000, ...(free === undefined ? {} : { skip: ({ path }) => path === free }) }))
    .use(router())
    .use(http({ port: 0 }))
    .use(coap({ port: 0 }))
    .use(mqtt({ port: 0 }))
    .use(tcp({ port: 0 }))
  const runs = { n: 0 }
  serving.get('/n', () => ++runs.n)
  serving.put('/n', () => undefined)
  app = serving as unknown as App
  const urls: Record<string, string> = {}
  for (const { url } of await serving.listen()) urls[url.protocol.slice(0, -1)] = url.href
  return { serving, runs, urls }
}

test('one address has one budget over HTTP, CoAP and TCP', async () => {
  const { serving, urls } = await serve(3)
  const statuses: number[] = []
  for (const scheme of ['http', 'coap', 'tcp', 'http', 'coap', 'tcp']) {
    const client = await serving.connect(urls[scheme] as string)
    const answer = await client.get('/n')
    statuses.push(answer.status)
    // Retry-After on HTTP, Max-Age on CoAP.
    if (answer.status === 429) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(1000)
    await client.close()
  }
  expect(statuses).toEqual([200, 200, 200, 429, 429, 429])
})

test('CONNECT, SUBSCRIBE and PUBLISH of MQTT cost one each, and are refused by their own codes', async () => {
  const { urls } = await serve(3)
  const client = await connectAsync(urls['mqtt'] as string, { protocolVersion: 5, reconnectPeriod: 0 })
  expect((await client.subscribeAsync('n', { qos: 1 }))[0]?.qos).toBe(1)
  await client.publishAsync('n', '1', { qos: 1 })
  const refused = await client.publishAsync('n', '2', { qos: 1 }).catch((error: { code: number }) => error)
  expect(refused).toMatchObject({ code: 0x97 })
  const denied = await client.subscribeAsync('other').catch((error: object) => error)
  expect(denied).toMatchObject({ packet: { granted: [0x97] } })
  // To leave is never refused.
  await client.unsubscribeAsync('n')
  await client.endAsync()
  await expect(connectAsync(urls['mqtt'] as string, { protocolVersion: 5, reconnectPeriod: 0 })).rejects.toMatchObject({ code: 0x9f })
})

test('what others publish does not use up the budget of a subscriber', async () => {
  const { serving, urls } = await serve(2)
  const client = await connectAsync(urls['mqtt'] as string, { protocolVersion: 5, reconnectPeriod: 0 })
  const got = new Set<string>()
  client.on('message', topic => got.add(topic))
  await client.subscribeAsync('#')
  for (let at = 0; at < 20; at++) serving.notify('/n')
  await vi.waitFor(() => expect(got.has('n')).toBe(true))
  await client.endAsync()
})

test('an observing GET costs one, its notifications nothing', async () => {
  for (const scheme of ['http', 'coap', 'tcp']) {
    const { serving, urls, runs } = await serve(1)
    const client = await serving.connect(urls[scheme] as string)
    const ends = new AbortController()
    const seen = client.observe('/n', { signal: ends.signal })[Symbol.asyncIterator]()
    await seen.next()
    for (let at = 0; at < 5; at++) {
      serving.notify('/n')
      await seen.next()
    }
    expect(runs.n).toBe(6)
    expect((await client.get('/n')).status).toBe(429)
    ends.abort()
    await seen.next().catch(() => undefined)
    await client.close()
    await serving.close()
  }
})

test('the precondition of a change costs nothing', async () => {
  const { serving, urls } = await serve(2)
  const client = await serving.connect(urls['http'] as string)
  expect((await client.put('/n', '1', { headers: { 'if-match': '*' } })).status).toBe(204)
  expect((await client.get('/n')).status).toBe(200)
  expect((await client.get('/n')).status).toBe(429)
  await client.close()
})
