import { App } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { type OscoreContextOptions, oscore } from '@iopa/oscore'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'

const masterSecret = Buffer.alloc(16, 7)
const [hubId, deviceId] = [Buffer.from('h'), Buffer.from('d')]
const HUB: OscoreContextOptions = { id: 'device', masterSecret, senderId: hubId, recipientId: deviceId }
const DEVICE: OscoreContextOptions = { id: 'hub', masterSecret, senderId: deviceId, recipientId: hubId }

/** A hub that asks each device that greets it for its name. */
const hub = async (options: CoapOptions) => {
  const app = new App({ logger: false }).use(router()).use(coap({ port: 0, tcp: true, ...options }))
  app.post('/hello', async context => {
    const client = await context.peer!.client()
    const answer = await client.get('/name')
    await client.close()
    return `${context.user?.id}: ${answer.status} ${await answer.text()}`
  })
  const [listener] = await app.listen()
  return { app, urls: listener!.urls! }
}

const device = (options: CoapOptions) => {
  const app = new App({ logger: false }).use(router())
  app.get('/name', ({ user }) => `device, asked by ${user?.id} by ${user?.by}`)
  return { served: app, clients: new App({ logger: false }).use(coap(options)) }
}

test('requests to the peer of a protected request are protected, and served as those of its user', async () => {
  const { app, urls } = await hub({ protect: oscore({ contexts: [HUB], require: true }) })
  for (const url of urls) {
    const { served, clients } = device({ protect: oscore({ contexts: [{ ...DEVICE, servers: [url.href] }], require: true }) })
    const client = await clients.connect(url, { serve: served })
    for (let at = 0; at < 3; at++) expect(await (await client.post('/hello', '')).text()).toBe('device: 200 device, asked by hub by oscore')
    await client.close()
    await clients.close()
  }
  await app.close()
})

test('a client that requires protection serves no request without it', async () => {
  const { app, urls } = await hub({})
  for (const url of urls) {
    const { served, clients } = device({ protect: oscore({ contexts: [DEVICE], require: true }) })
    const client = await clients.connect(url, { serve: served })
    expect(await (await client.post('/hello', '')).text()).toMatch(/^undefined: 401 /)
    await client.close()
    await clients.close()
  }
  await app.close()
})
