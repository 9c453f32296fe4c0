import type { Bag, Client } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { isOwnListener, isSpecial, Networks } from '../src/addresses.ts'
import { Targets, targetOf } from '../src/targets.ts'
import { PROXY, SERVER, type Site, virtualSite } from './virtual-site.ts'

const allows = (entry: string, uri: string): boolean => {
  const [scheme = '', authority = ''] = uri.split('://')
  const target = targetOf(scheme, authority)
  return target !== undefined && new Targets([entry]).allows(target)
}
const ask = (site: Site, client: Client, uri: string, bag: Bag = {}) =>
  site.clock.runUntil(client.send({ 'iopa.Path': '/', 'coap.Options': [[35, uri]], ...bag }))

describe('an entry of targets', () => {
  test.each([
    ['coap://192.0.2.7', 'coap://192.0.2.7:5683'],
    ['coap://*.example.org', 'coap://Lamp.Example.org'],
    ['coap://*.example.org:5683-5690', 'coap://lamp.example.org:5690'],
    ['coap://lamp.example.org:*', 'coap://lamp.example.org:1'],
    ['coap+tcp://192.0.2.7:5683-5690', 'coap+tcp://192.0.2.7:5684'],
    ['coap://192.0.2.0/24', 'coap://192.0.2.200'],
    ['coap://192.0.2.0:*/24', 'coap://192.0.2.200:9'],
    ['coaps://[2001:db8::]/32', 'coaps://[2001:db8:1::7]'],
    ['coap://127.0.0.0/8', 'coap://127.0.0.1'],
    ['coap://[fe80::]/10', 'coap://[fe80::1]']
  ])('%s allows %s', (entry, uri) => expect(allows(entry, uri)).toBe(true))

  test.each([
    ['coap://192.0.2.7', 'coap://192.0.2.7:5684'],
    ['coap://*.example.org', 'coap://example.org'],
    ['coap://*.example.org', 'coap://a.b.example.org'],
    ['coap://*.example.org', 'coap://lampexample.org'],
    ['coap://*.example.org', 'coap://lamp.example.org.evil.example'],
    ['coap://*.example.org', 'coap://lamp.example.org:5684'],
    ['coap://*.example.org', 'coap+tcp://lamp.example.org'],
    ['coap://*.example.org:5683-5690', 'coap://lamp.example.org:5691'],
    ['coap://192.0.2.0/24', 'coap://192.0.3.1'],
    ['coap://192.0.2.0/24', 'coap://192.0.2.1:5684'],
    ['coap://192.0.2.0/24', 'coap://lamp.example.org'],
    ['coap://0.0.0.0/0', 'coap://127.0.0.1'],
    ['coap://0.0.0.0/0', 'coap://224.0.1.187'],
    ['coap://[::]/0', 'coap://[::1]'],
    ['coap://[::]/0', 'coap://[::ffff:127.0.0.1]'],
    ['coap://[::]/0', 'coap://[64:ff9b::127.0.0.1]'],
    ['coap://127.0.0.1', 'coap://[::ffff:127.0.0.1]'],
    ['coap://[::]/0', 'coap://[ff02::fd]'],
    ['coap://[::]/0', 'coap://10.0.0.9'],
    ['coap://[::]/64', 'coap://10.0.0.9']
  ])('%s does not allow %s', (entry, uri) => expect(allows(entry, uri)).toBe(false))

  test.each([
    'http://192.0.2.7',
    'coap://*',
    'coap://*:5683',
    'coap://*.*.example.org',
    'coap://lamp*.example.org',
    'coap://*.192.0.2.7',
    'coap://192.0.2.7:5690-5683',
    'coap://192.0.2.7:0-9',
    'coap://192.0.2.7:1-65536',
    'coap://192.0.2.0/33',
    'coap://lamp.example.org/24',
    'coap://192.0.2.7/state',
    'coaps://*.example.org'
  ])('%s is refused', entry => expect(() => new Targets([entry])).toThrow(/of targets/))
})

test.each([
  '0.0.0.0',
  '127.255.0.1',
  '169.254.169.254',
  '224.0.1.187',
  '239.1.1.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  'fe80::1%eth0',
  'ff05::fd',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  '64:ff9b::127.0.0.1',
  '64:ff9b::e000:1bb',
  '64:ff9b:1::7f00:1',
  '2002:7f00:1::',
  '2002:e000::',
  'no address',
  ''
])('%s is an address that targets have to name', address => expect(isSpecial(address)).toBe(true))

test.each(['10.0.0.9', '192.0.2.7', '2001:db8::1', 'fd00::1', '64:ff9b::192.0.2.7', '2002:c000:207::1', '::ffff:192.0.2.7'])(
  '%s is an ordinary address',
  address => expect(isSpecial(address)).toBe(false)
)

test.each([
  ['::ffff:0:0', 96, '10.0.0.9', '127.0.0.1'],
  ['::ffff:10.0.0.0', 104, '::ffff:10.0.0.9', '11.0.0.1'],
  ['::ffff:127.0.0.0', 104, '127.0.0.1', '10.0.0.9'],
  ['::', 0, '2001:db8::1', '10.0.0.9'],
  ['10.0.0.77', 31, '10.0.0.76', '10.0.0.78'],
  ['0.0.0.0', 0, '::ffff:10.0.0.9', '2001:db8::1']
])('the network %s/%i has %s, and not %s', (address, bits, inside, outside) => {
  const networks = new Networks()
  expect(networks.add(address, bits)).toBe(true)
  expect([networks.has(inside), networks.has(outside)]).toEqual([true, false])
})

test.each([
  ['127.0.0.2', 'coap://0.0.0.0:5683', true],
  ['127.0.0.2', 'coap://127.0.0.1:5683', false],
  ['0.0.0.0', 'coap://127.0.0.1:5683', true],
  ['::ffff:127.0.0.1', 'coap://127.0.0.1', true],
  ['10.0.0.9', 'coap://10.0.0.9:5684', false]
])('%s port 5683 leads to the listener %s: %s', (address, listener, expected) => expect(isOwnListener(address, 5683, [listener])).toBe(expected))

describe('through the proxy', () => {
  test('a range does not reach the proxy itself, by address or by name', async () => {
    const site = await virtualSite({ proxy: { targets: ['coap://10.0.0.0/8', 'coap://*.example'], lookup: async () => PROXY } })
    const client = await site.connect()
    expect((await ask(site, client, `coap://${SERVER}/state`)).status).toBe(200)
    expect((await ask(site, client, `coap://${PROXY}/state`)).status).toBe(403)
    expect((await ask(site, client, 'coap://proxy.example/state')).status).toBe(403)
    await site.close()
  })

  test('a server has one path, whatever its spelling', async () => {
    const site = await virtualSite({
      proxy: { targets: ['coap://10.0.0.0/8', 'coap://[2001:db8::]/32', 'coap://*.example'], lookup: async () => SERVER }
    })
    const client = await site.connect()
    for (const spelling of [`${SERVER}:5683`, `${SERVER}:05683`, `${SERVER}:`, SERVER])
      expect((await ask(site, client, `COAP://${spelling}/state`)).status).toBe(200)
    expect((await ask(site, client, 'coap://LAMP.example:5683/state')).status).toBe(200)
    const paths = [
      `${SERVER}:5683`,
      `${SERVER}:05683`,
      '[::ffff:10.0.0.9]',
      '[::ffff:a00:9]',
      '[2001:DB8::9]',
      '[2001:db8:0::9]',
      'LAMP.example',
      'lamp.example.'
    ]
    for (const spelling of paths) {
      const { status } = await site.clock.runUntil(client.get(`/hc/coap/${spelling}/state`))
      expect([spelling, status]).toEqual([spelling, 400])
    }
    expect((await ask(site, client, 'coap://[::ffff:10.0.0.9]/state')).status).toBe(400)
    expect(site.handled.length).toBe(5)
    await site.close()
  })

  test('a wildcard is looked up by the whole name, which the server gets', async () => {
    const asked: string[] = []
    const lookup = async (host: string) => (asked.push(host), SERVER)
    const site = await virtualSite({ proxy: { targets: ['coap://*.example'], lookup } })
    const client = await site.connect()
    expect((await ask(site, client, 'coap://Lamp.example/state')).status).toBe(200)
    expect(asked).toEqual(['lamp.example'])
    expect(Buffer.from(site.handled[0]!.options.find(([number]) => number === 3)![1]).toString()).toBe('lamp.example')
    await site.close()
  })

  test('networks bound where names may lead, and name special addresses', async () => {
    const addresses = [SERVER, '192.0.2.7', '127.0.0.1']
    const site = await virtualSite({
      proxy: { targets: ['coap://*.example'], networks: ['10.0.0.0/8', '127.0.0.0/8'], lookup: async () => addresses.shift()!, timeout: 500 }
    })
    const client = await site.connect()
    expect((await ask(site, client, 'coap://a.example/state')).status).toBe(200)
    expect((await ask(site, client, 'coap://b.example/state')).status).toBe(403)
    // Nothing answers there, but it was allowed.
    expect((await ask(site, client, 'coap://c.example/state')).status).toBeGreaterThan(500)
    await site.close()
  })

  test.each([[['10.0.0.0']], [['10.0.0.0/33']], [['sensor.example/8']], ['10.0.0.0/8']])('refuses networks: %s', async networks => {
    await expect(virtualSite({ proxy: { networks: networks as string[] } })).rejects.toMatchObject({ code: 'bad-option' })
  })
})

describe('credentials', () => {
  const secret = { 'iopa.Headers': { authorization: 'Bearer secret', cookie: 'a=b' } }

  test('of the user do not reach a server', async () => {
    const site = await virtualSite()
    const client = await site.connect()
    await ask(site, client, `coap://${SERVER}/state`, secret)
    expect(site.handled[0]!.options.map(([number]) => number)).toEqual([11, 16, 28])
    await site.close()
  })

  test('that the app gives for a server go to that server alone, as query and options', async () => {
    const asked: string[] = []
    const credentials = (target: string) => {
      asked.push(target)
      return target === `coap://${SERVER}:5683` ? { query: 'key=4711', options: [[2050, 'token'] as const] } : undefined
    }
    const targets = [`coap://${SERVER}`, 'coap://sensor.example']
    const site = await virtualSite({ proxy: { targets, credentials, lookup: async () => SERVER } })
    const client = await site.connect()
    await ask(site, client, `coap://${SERVER}/state?a=b`, secret)
    expect(site.handled[0]!.path).toBe('GET /state?a=b&key=4711')
    expect(site.handled[0]!.options.find(([number]) => number === 2050)?.[1].length).toBe(5)
    await ask(site, client, 'coap://sensor.example/state?a=b')
    expect(site.handled[1]!.path).toBe('GET /state?a=b')
    expect(asked).toEqual([`coap://${SERVER}:5683`, 'coap://sensor.example:5683'])
    await site.close()
  })

  test('replace what a user sends under their names', async () => {
    const credentials = () => ({ query: 'user=ann&key=4711', options: [[2048, 'token'] as const] })
    const site = await virtualSite({ proxy: { credentials } })
    const client = await site.connect()
    const options = [
      [35, `coap://${SERVER}/state?user=root&a=b&us%65r=root&user`],
      [2048, Uint8Array.of(1)],
      [2052, Uint8Array.of(2)]
    ] as const
    await ask(site, client, '', { 'coap.Options': options })
    expect(site.handled[0]!.path).toBe('GET /state?a=b&user=ann&key=4711')
    const sent = site.handled[0]!.options.filter(([number]) => number >= 2048).map(([number, value]) => [number, value.length])
    expect(sent).toEqual([
      [2048, 5],
      [2052, 1]
    ])
    await site.close()
  })

  test('keep observations apart', async () => {
    const credentials = (_: string, context: { readonly 'server.RemoteAddress': string }) => ({ query: `key=${context['server.RemoteAddress']}` })
    const site = await virtualSite({ proxy: { credentials } })
    const leave = new AbortController()
    const got: string[] = []
    const observe = async (client: Client) => {
      for await (const answer of client.observe(`/hc/coap/${SERVER}/state`, { signal: leave.signal })) got.push(await answer.text())
    }
    const done = [await site.connect(undefined, '10.0.0.3'), await site.connect(undefined, '10.0.0.4')].map(client =>
      observe(client).catch(() => undefined)
    )
    await site.clock.runUntil(() => got.length === 2)
    expect(site.observers).toBe(2)
    leave.abort()
    await site.clock.runUntil(Promise.all(done))
    await site.close()
  })
})
