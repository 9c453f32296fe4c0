import { App } from '@iopa/appbuilder'
import { maskedDatagrams, virtualClock, virtualNetwork } from '@iopa/testing'
import { expect, test } from 'vitest'
import { udp } from '../src/index.ts'

const SERVER = '10.0.0.1'
const KEYS = { 'sensor-1': 'first key' }

const serve = async (framing: 'bag' | 'raw') => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const dtls = maskedDatagrams({ psk: KEYS })
  const app = new App({ logger: false, clock })
    .use(udp({ host: SERVER, port: 7001, framing, dtls, clock, network: network.machine(SERVER) }))
    .use(async context => `${context.user?.id} by ${context.user?.by} over ${context['iopa.Scheme']}: ${await context.text()}`)
  const [listener] = await app.listen()
  const own = new App({ logger: false, clock }).use(udp({ framing, dtls, clock, network: network.machine('10.0.0.2') }))
  const client = await clock.runUntil(own.connect(listener!.url.href, { clock }))
  return {
    app,
    clock,
    client,
    close: async () => {
      await clock.runUntil(own.close({ timeout: 0 }))
      await clock.runUntil(app.close({ timeout: 0 }))
    }
  }
}

test.each(['bag', 'raw'] as const)('a session gives its user to the requests of %s datagrams', async framing => {
  const { client, clock, close } = await serve(framing)
  const answer = await clock.runUntil(client.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/x', 'iopa.Body': 'hello' }))
  expect(await answer.text()).toBe('sensor-1 by psk over udps: hello')
  await close()
})

test('a client opens another session after its user was revoked', async () => {
  const { app, client, clock, close } = await serve('bag')
  expect((await clock.runUntil(client.get('/x'))).status).toBe(200)
  app.revoke({ id: 'sensor-1' })
  await clock.advance(100)
  expect(app.counters().udp).toMatchObject({ connections: 0 })
  expect((await clock.runUntil(client.get('/x'))).status).toBe(200)
  expect(app.counters().udp).toMatchObject({ connections: 1 })
  await close()
})

test('a link says what is missing', async () => {
  await expect(new App({ logger: false }).use(udp()).connect('udps://127.0.0.1:7001')).rejects.toMatchObject({ code: 'no-dtls' })
})
