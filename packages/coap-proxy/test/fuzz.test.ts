// Requests for other servers in every spelling: never one to a server that is no target, never an internal text, never an error of the process.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { coapProxy } from '@iopa/coap-proxy'
import { seededRandom, virtualClock, virtualNetwork } from '@iopa/testing'
import { expect, test } from 'vitest'

const ROUNDS = Number(process.env['IOPA_FUZZ'] ?? 250)
const SERVER = '10.0.0.9'
const HIDDEN = '10.0.0.8'

const SCHEMES = ['coap', 'COAP', 'coaps', 'coap+tcp', 'http', 'file', 'javascript', '', 'co ap', 'coap:', 'constructor', '__proto__', '\u0000']
const HOSTS = [
  SERVER,
  HIDDEN,
  'sensor.example',
  'SENSOR.example.',
  'a.sensor.example',
  'hidden.example',
  '10.0.0.9.',
  '010.0.0.9',
  '167772169',
  '0x0a000009',
  '[::ffff:10.0.0.8]',
  '[::1]',
  '[::',
  '127.0.0.1',
  'localhost',
  '10.0.0.1',
  '224.0.1.187',
  '[ff02::fd]',
  '10.0.0.9:5683',
  '10.0.0.8:5683',
  '10.0.0.9:0',
  '10.0.0.9:99999',
  '10.0.0.9:5684',
  'me@10.0.0.9',
  'me:pw@10.0.0.8',
  '10.0.0.9@10.0.0.8',
  '10.0.0.9#10.0.0.8',
  '10.0.0.9\\@10.0.0.8',
  '10.0.0.9%2f@10.0.0.8',
  '%31%30.0.0.9',
  '',
  ' ',
  '..',
  '*',
  '*.example',
  'x'.repeat(255),
  'ä.example',
  '\u0000',
  '10.0.0.9\r\nx: y'
]
const PATHS = [
  '/state',
  '',
  '/',
  '//state',
  '/../state',
  '/%2e%2e/state',
  '/a/%00',
  '/%',
  '/state?a=b',
  '?a',
  '/state#x',
  '/hc/coap/10.0.0.8/state',
  '/%2Fhc',
  '/ä',
  `/${'y'.repeat(300)}`
]
const INTERNAL = /\bat .*\.ts|node:|undefined|\[object|TypeError|Cannot read|\/work\/|packages\//

test('combinations of Proxy-Uri, Proxy-Scheme, Uri-Host and Uri-Port reach a target or get an error', async () => {
  const random = seededRandom(Number(process.env['IOPA_SEED'] ?? 7))
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const scheme = () => (random() < 0.6 ? 'coap' : pick(SCHEMES))
  const host = () => (random() < 0.3 ? pick([SERVER, 'sensor.example', 'Sensor.Example']) : pick(HOSTS))
  const clock = virtualClock({ start: 1_700_000_000_000 })
  const network = virtualNetwork({ clock })
  const reached: string[] = []
  const machine = (address: string) =>
    new App({ logger: false, clock }).use(
      coap({ host: address, allowUnauthenticated: true, amplification: false, clock, network: network.machine(address) })
    )
  const server = machine(SERVER).use(({ path }) => (reached.push(path), 'target'))
  const hidden = machine(HIDDEN).use(() => expect.unreachable('a server that is no target was asked'))
  const asked: string[] = []
  const connected: string[] = []
  const proxy = new App({ logger: false, clock })
  proxy.use(
    coapProxy({
      client: { connect: (url, options) => (connected.push(String(url)), proxy.connect(url, options)) },
      targets: [`coap://${SERVER}`, 'coap://sensor.example'],
      timeout: 1000,
      lookup: async host => (asked.push(host), SERVER)
    })
  )
  proxy.use(coap({ host: '10.0.0.1', allowUnauthenticated: true, amplification: false, clock, network: network.machine('10.0.0.1') }))
  const clients = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2') }))
  for (const one of [server, hidden, proxy]) await one.listen()
  const client = await clock.runUntil(clients.connect('coap://10.0.0.1'))

  const statuses = new Map<number, number>()
  for (let round = 0; round < ROUNDS; round++) {
    const options: [number, (string | number)?][] = []
    const used = random()
    if (used < 0.6) options.push([35, `${scheme()}${random() < 0.8 ? '://' : pick([':', '//', ':/', ''])}${host()}${pick(PATHS)}`])
    if (used > 0.5) options.push([39, scheme()])
    if (random() < 0.5) options.push([3, host()])
    if (random() < 0.3) options.push([7, pick([0, 1, 5683, 5684, 65_535])])
    const path = used < 0.6 ? '/' : pick(['/', '/state', '/hc/coap/10.0.0.8/state'])
    // What cannot be sent is no case: an empty option, or one that is too long.
    const sendable = options.filter(([, value]) => value !== '')
    const answer = await clock.runUntil(client.send({ 'iopa.Path': path, 'coap.Options': sendable }).catch((error: { code: string }) => error.code))
    if (typeof answer === 'string') {
      expect(['bad-coap-option', 'option-too-long']).toContain(answer)
      continue
    }
    const text = await answer.text()
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    expect([sendable, text]).not.toEqual([sendable, expect.stringMatching(INTERNAL)])
    expect([sendable, answer.status]).not.toEqual([sendable, 500])
    if (answer.status === 200) expect([sendable, text]).toEqual([sendable, 'target'])
  }
  expect(new Set(asked)).toEqual(new Set(['sensor.example']))
  expect(new Set(connected)).toEqual(new Set([`coap://${SERVER}:5683`]))
  // The fuzz reaches the target, and is refused, often enough to say something.
  for (const status of [200, 400, 505]) expect([status, (statuses.get(status) ?? 0) > ROUNDS / 100]).toEqual([status, true])
  await clock.runUntil(Promise.all([clients, proxy, hidden, server].map(one => one.close({ timeout: 0 }))))
})
