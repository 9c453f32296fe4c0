import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import type { SecuredDatagrams } from '@iopa/transport'
import { expect, test } from 'vitest'
import { decode } from '../src/codec/datagram-codec.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Tokens } from '../src/exchanges/tokens.ts'

test('no token recurs, and tokens of two servers have nothing in common', () => {
  const tokens = new Tokens()
  const seen = new Set<string>()
  for (let at = 0; at < 10_000; at++) seen.add(Buffer.from(tokens.next()).toString('hex'))
  expect(seen.size).toBe(10_000)
  expect(tokens.next()).toHaveLength(8)
  expect(seen.has(Buffer.from(new Tokens().next()).toString('hex'))).toBe(false)
})

const SERVER = '10.0.0.1'
const psk = { sensor: Buffer.alloc(16, 1) }

/** What each association has asked, in order: `observe` where it registers or ends an observation, token and message id. */
type Asked = Map<string, string[]>

/** DTLS of a server that notes the requests which it opens. */
const tapped = (asked: Asked): SecuredDatagrams => {
  const secured = dtls({ psk })
  const over: SecuredDatagrams['over'] = (channel, environment) => {
    const inner = secured.over(channel, environment)
    const begin = inner.open.bind(inner)
    const open: typeof inner.open = receiver =>
      begin({
        opened: peer => receiver.opened(peer),
        closed: (peer, reason) => receiver.closed(peer, reason),
        error: error => receiver.error(error),
        message: (bytes, peer, unproven) => {
          const { code, id, token, options } = decode(bytes) as ReceivedMessage
          if (code > 0 && code < 32) {
            const observes = options.uint(OPTION.OBSERVE) === undefined ? '' : 'observe'
            const line = `${observes} ${Buffer.from(token).toString('hex')} ${id}`
            asked.set(peer.id, [...(asked.get(peer.id) ?? []), line])
          }
          receiver.message(bytes, peer, unproven)
        }
      })
    return Object.assign(inner, { open })
  }
  return { ...secured, over }
}

test('no token of a client recurs within a DTLS association: over requests with loss, blocks, observations and reconnects (RFC 9175 section 4.2)', async () => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, loss: 0.05, seed: 7 })
  const asked: Asked = new Map()
  const app = new App({ logger: false, clock })
    .use(router())
    .use(coap({ host: SERVER, clock, network: network.machine(SERVER), dtls: tapped(asked) }))
  let state = 0
  app.get('/state', () => reply(200, `${state}`, { 'cache-control': 'max-age=5' }))
  app.get('/large', () => 'x'.repeat(5000))
  app.put('/large', async context => `${(await context.bytes()).length}`)
  await app.listen()
  const device = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2'), dtls: dtls({ psk }) }))
  const client = await clock.runUntil(device.connect(`coaps://${SERVER}`))
  for (let round = 0; round < 4; round++) {
    // Two of them are open at once, and one after the other.
    const observing = [0, 1].map(async () => {
      let answers = 0
      for await (const _ of client.observe('/state')) if (++answers === 2) break
    })
    for (let turn = 0; turn < 5; turn++)
      await clock.runUntil(Promise.all([...Array.from({ length: 4 }, () => client.get('/state')), client.get('/large')]))
    await clock.runUntil(client.put('/large', new Uint8Array(3000)))
    for (let turn = 0; turn < 5; turn++) {
      state++
      app.notify('/state')
      await clock.advance(3000)
    }
    await clock.runUntil(Promise.all(observing))
    if (round % 2 === 1) app.revoke({ id: 'sensor' })
    await clock.advance(1000)
  }
  const associations = [...asked.values()]
  expect(associations.length).toBeGreaterThan(1)
  for (const lines of associations) {
    // One message that was retransmitted is one; so is an observation that registers again, which keeps its token (RFC 7641 section 3.3.1).
    const requests = [...new Set(lines)].map(line => line.split(' '))
    const observed = new Set(requests.flatMap(([observes, token]) => (observes === '' ? [] : [token])))
    const plain = requests.flatMap(([observes, token]) => (observes === '' ? [token!] : []))
    expect(plain.length).toBeGreaterThan(50)
    expect(new Set([...plain, ...observed]).size).toBe(plain.length + observed.size)
  }
  await clock.runUntil(Promise.all([device.close({ timeout: 0 }), app.close({ timeout: 0 })]))
})
