import { type Bag, type Client, IopaError } from '@iopa/appbuilder'
import type { UpstreamClient } from '@iopa/coap-proxy'
import { describe, expect, test } from 'vitest'
import { PROXY, SERVER, type Site, virtualSite } from './virtual-site.ts'

const PROXY_URI = 35
const PROXY_SCHEME = 39
const URI_HOST = 3
const HOP_LIMIT = 16

const optionOf = (site: Site, number: number, at = -1): number[] | undefined => {
  const value = site.handled.at(at)?.options.find(([other]) => other === number)?.[1]
  return value === undefined ? undefined : [...value]
}
const ask = (site: Site, client: Client, bag: Bag) => site.clock.runUntil(client.send(bag))
const proxied = (uri: string, more: Bag = {}): Bag => ({
  ...more,
  'iopa.Path': '/',
  'coap.Options': [[PROXY_URI, uri], ...(more['coap.Options'] ?? [])]
})

describe('CoAP to CoAP', () => {
  test('forwards a request with Proxy-Uri, its query and its answer', async () => {
    const site = await virtualSite()
    const client = await site.connect()
    const answer = await ask(site, client, proxied(`coap://${SERVER}/state?a=b%26c&d`))
    expect([answer.status, await answer.text(), answer.headers.get('cache-control')]).toEqual([200, 'state 0', 'max-age=1000'])
    expect(site.handled.at(-1)?.path).toBe('GET /state?a=b%26c&d')
    await site.close()
  })

  test('forwards a request with Proxy-Scheme and Uri-Host', async () => {
    const site = await virtualSite()
    const client = await site.connect()
    const answer = await ask(site, client, {
      'iopa.Path': '/state',
      'coap.Options': [
        [PROXY_SCHEME, 'coap'],
        [URI_HOST, SERVER]
      ]
    })
    expect(await answer.text()).toBe('state 0')
    await site.close()
  })

  test('forwards bodies in blocks, both ways', async () => {
    const site = await virtualSite()
    const client = await site.connect()
    const body = 'y'.repeat(3000)
    expect((await ask(site, client, proxied(`coap://${SERVER}/state`, { 'iopa.Method': 'PUT', 'iopa.Body': body }))).status).toBe(204)
    expect(site.handled.at(-1)?.body).toBe(body)
    expect(await (await ask(site, client, proxied(`coap://${SERVER}/long`))).text()).toBe('x'.repeat(5000))
    await site.close()
  })

  test('validates by ETag, and gives errors of the server as they are', async () => {
    const site = await virtualSite()
    const client = await site.connect()
    expect((await ask(site, client, proxied(`coap://${SERVER}/tagged`, { 'iopa.Headers': { 'if-none-match': '"v1"' } }))).status).toBe(304)
    expect((await ask(site, client, proxied(`coap://${SERVER}/none`))).status).toBe(404)
    expect((await ask(site, client, proxied(`coap://${SERVER}/tagged`, { 'iopa.Method': 'DELETE' }))).status).toBe(405)
    await site.close()
  })

  test.each([
    ['another host', 'coap://10.0.0.8/state'],
    ['another port', `coap://${SERVER}:5684/state`],
    ['another scheme', `coap+tcp://${SERVER}/state`]
  ])('refuses %s with 5.05', async (_, uri) => {
    const site = await virtualSite()
    const client = await site.connect()
    expect((await ask(site, client, proxied(uri))).status).toBe(505)
    expect(site.handled).toEqual([])
    await site.close()
  })

  test('is closed without targets', async () => {
    const site = await virtualSite({ proxy: { targets: [] } })
    const client = await site.connect()
    expect((await ask(site, client, proxied(`coap://${SERVER}/state`))).status).toBe(505)
    await site.close()
  })

  test.each([
    ['a user name', `coap://me@${SERVER}/state`],
    ['a fragment', `coap://${SERVER}/state#part`],
    ['a dot segment', `coap://${SERVER}/a/%2e%2e/state`],
    ['no host', 'coap:///state'],
    ['a relative URI', '/state']
  ])('refuses a Proxy-Uri with %s', async (_, uri) => {
    const site = await virtualSite()
    const client = await site.connect()
    expect((await ask(site, client, proxied(uri))).status).toBe(400)
    await site.close()
  })

  test('never lets a proxied request reach a route of its own', async () => {
    const site = await virtualSite({ proxy: { targets: [] } })
    const client = await site.connect()
    const own = {
      'iopa.Path': '/state',
      'coap.Options': [
        [PROXY_SCHEME, 'coap'],
        [URI_HOST, PROXY]
      ]
    } as const
    expect((await ask(site, client, own)).status).toBe(505)
    expect(await (await site.clock.runUntil(client.get('/state'))).text()).toBe('of the proxy')
    await site.close()
  })

  test('forwards unknown options that are safe to forward, and refuses others that are critical', async () => {
    const site = await virtualSite({ server: { criticalOptions: [2049] } })
    const client = await site.connect()
    await ask(
      site,
      client,
      proxied(`coap://${SERVER}/state`, {
        'coap.Options': [
          [2048, Uint8Array.of(1)],
          [2049, Uint8Array.of(2)],
          [2050, Uint8Array.of(3)]
        ]
      })
    )
    expect([2048, 2049, 2050].map(number => optionOf(site, number))).toEqual([[1], [2], undefined])
    expect((await ask(site, client, proxied(`coap://${SERVER}/state`, { 'coap.Options': [[2051]] }))).status).toBe(402)
    await site.close()
  })

  test('answers 5.04 where the server is silent, and 5.02 where nothing is known of its name', async () => {
    const lookup = () => Promise.reject(new Error('no such name'))
    const site = await virtualSite({ proxy: { targets: [`coap://${SERVER}`, 'coap://sensor.example'], timeout: 3000, lookup } })
    const client = await site.connect()
    expect((await ask(site, client, proxied(`coap://${SERVER}/slow`))).status).toBe(504)
    expect((await ask(site, client, proxied('coap://sensor.example/state'))).status).toBe(502)
    await site.close()
  })
})

describe('Hop-Limit', () => {
  test('is put in, counted down, and ends with 5.08', async () => {
    const site = await virtualSite({ proxy: { hopLimit: 9 } })
    const client = await site.connect()
    await ask(site, client, proxied(`coap://${SERVER}/state`))
    expect(optionOf(site, HOP_LIMIT)).toEqual([9])
    await ask(site, client, proxied(`coap://${SERVER}/state`, { 'coap.Options': [[HOP_LIMIT, 5]] }))
    expect(optionOf(site, HOP_LIMIT)).toEqual([4])
    const before = site.handled.length
    expect((await ask(site, client, proxied(`coap://${SERVER}/state`, { 'coap.Options': [[HOP_LIMIT, 1]] }))).status).toBe(508)
    expect(site.handled).toHaveLength(before)
    await site.close()
  })

  test('ends a circle of one proxy that asks itself', async () => {
    const site = await virtualSite({ proxy: { targets: [`coap://${PROXY}`] } })
    const client = await site.connect()
    let uri = `coap://${PROXY}`
    for (let at = 0; at < 16; at++) uri += `/hc/coap/${PROXY}`
    const answer = await ask(site, client, proxied(`${uri}/state`))
    expect(answer.status).toBe(508)
    await site.close()
  })
})

describe('addresses', () => {
  test('resolves a name once for a connection, and tells the server the name', async () => {
    const addresses = [SERVER, '10.0.0.77']
    const asked: string[] = []
    const lookup = async (host: string) => {
      asked.push(host)
      return addresses.shift()!
    }
    const site = await virtualSite({ proxy: { targets: ['coap://sensor.example'], lookup } })
    const client = await site.connect()
    for (let at = 0; at < 3; at++) expect((await ask(site, client, proxied('coap://Sensor.Example/state'))).status).toBe(200)
    expect(asked).toEqual(['sensor.example'])
    expect(Buffer.from(optionOf(site, URI_HOST)!).toString()).toBe('sensor.example')
    await site.close()
  })

  test.each(['127.0.0.1', '169.254.169.254', '224.0.1.187', '0.0.0.0', '::1', '::ffff:127.0.0.1', 'fe80::1%eth0', 'ff02::fd', PROXY])(
    'refuses a name that leads to %s',
    async address => {
      const site = await virtualSite({ proxy: { targets: ['coap://sensor.example'], lookup: async () => address } })
      const client = await site.connect()
      expect((await ask(site, client, proxied('coap://sensor.example/state'))).status).toBe(403)
      await site.close()
    }
  )

  test('closes a connection that is idle, and looks the name up again after that', async () => {
    const asked: string[] = []
    const lookup = async (host: string) => (asked.push(host), SERVER)
    const site = await virtualSite({ proxy: { targets: ['coap://sensor.example'], lookup, idleTimeout: 5000 } })
    const client = await site.connect()
    await ask(site, client, proxied('coap://sensor.example/state'))
    await site.clock.advance(6000)
    await ask(site, client, proxied('coap://sensor.example/state'))
    expect(asked).toHaveLength(2)
    await site.close()
  })

  test('bounds connections: an idle one makes room, a busy one does not', async () => {
    const lookup = async () => SERVER
    const site = await virtualSite({ proxy: { targets: ['coap://a.example', 'coap://b.example'], lookup, connections: 1, timeout: 9000 } })
    const client = await site.connect()
    expect((await ask(site, client, proxied('coap://a.example/state'))).status).toBe(200)
    expect((await ask(site, client, proxied('coap://b.example/state'))).status).toBe(200)
    const other = await site.connect(undefined, '10.0.0.3')
    const slow = ask(site, other, proxied('coap://b.example/slow'))
    await site.clock.advance(100)
    expect((await ask(site, client, proxied('coap://a.example/state'))).status).toBe(503)
    expect((await slow).status).toBe(504)
    await site.close()
  })
})

test('a server without a proxy answers 5.05', async () => {
  const site = await virtualSite()
  const client = await site.connect(`coap://${SERVER}`)
  expect((await ask(site, client, proxied(`coap://${SERVER}/state`))).status).toBe(505)
  await site.close()
})

test.each([
  ['GET', 3, 200, 4],
  ['GET', 4, 502, 4],
  ['PUT', 1, 502, 1]
])(
  '%s: of an answer that changes %i times while its blocks come, the proxy makes %i after %i requests',
  async (method, changes, status, requests) => {
    let asked = 0
    const body = async function* () {
      yield new Uint8Array(1024)
      if (asked <= changes) throw new IopaError(502, 'unstable-answer', 'The answer changed while its blocks were fetched.')
      yield new Uint8Array(10)
    }
    const send = async () => {
      asked++
      return { status: 200, type: 'text/plain', headers: { get: () => undefined }, body: body() }
    }
    const upstream = { connect: async () => ({ send, close: async () => undefined }) } as unknown as UpstreamClient
    const site = await virtualSite({ proxy: { client: upstream } })
    const client = await site.connect()
    const answer = await site.clock.runUntil(client.send({ 'iopa.Method': method, 'iopa.Path': `/hc/coap/${SERVER}/state` }))
    expect([answer.status, asked]).toEqual([status, requests])
    if (status === 200) expect((await answer.bytes()).length).toBe(1034)
    await site.close()
  }
)
