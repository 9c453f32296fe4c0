import { oscore } from '@iopa/oscore'
import { describe, expect, test } from 'vitest'
import { PROXY, SERVER, virtualSite } from './virtual-site.ts'

const KEYS = { masterSecret: Buffer.alloc(16, 1), masterSalt: Buffer.from('9e7ca92223786340', 'hex') }
const SERVER_CONTEXT = { ...KEYS, id: 'ann', senderId: Buffer.from([0]), recipientId: Buffer.from([1]) }
const CLIENT_CONTEXT = { ...KEYS, id: 'server', senderId: Buffer.from([1]), recipientId: Buffer.from([0]), servers: [`coap://${PROXY}`] }

const site = () =>
  virtualSite({
    server: { protect: oscore({ contexts: [SERVER_CONTEXT], require: true }) },
    client: { protect: oscore({ contexts: [CLIENT_CONTEXT] }) }
  })
const viaProxy = (path: string) => ({
  'iopa.Path': path,
  'coap.Options': [
    [39, 'coap'],
    [3, SERVER]
  ] as const
})

describe('OSCORE through the proxy', () => {
  test('opens at the server alone, and the answer at the client', async () => {
    const here = await site()
    const client = await here.connect()
    const answer = await here.clock.runUntil(client.send(viaProxy('/state')))
    expect([answer.status, await answer.text()]).toEqual([200, 'state 0'])
    expect(here.handled.map(({ path }) => path)).toEqual(['GET /state?'])
    await here.close()
  })

  test('carries bodies that take blocks', async () => {
    const here = await site()
    const client = await here.connect()
    const put = await here.clock.runUntil(client.send({ ...viaProxy('/state'), 'iopa.Method': 'PUT', 'iopa.Body': 'z'.repeat(3000) }))
    expect(put.status).toBe(204)
    expect(await (await here.clock.runUntil(client.send(viaProxy('/long')))).text()).toBe('x'.repeat(5000))
    await here.close()
  })

  test('hands on what the server answers though the client wants no success: what it is cannot be seen here', async () => {
    const here = await site()
    const client = await here.connect()
    await here.clock.runUntil(client.send(viaProxy('/state')))
    const quiet = (path: string) => {
      const { 'coap.Options': options, ...request } = viaProxy(path)
      return client.send({ ...request, 'coap.Options': [...options, [258, 2]] })
    }
    expect((await here.clock.runUntil(quiet('/none'))).status).toBe(404)
    expect((await here.clock.runUntil(quiet('/state'))).status).toBe(204)
    await here.close()
  })

  test('refuses what is not protected at the server, through the proxy as well', async () => {
    const here = await virtualSite({ server: { protect: oscore({ contexts: [SERVER_CONTEXT], require: true }) } })
    const client = await here.connect()
    expect((await here.clock.runUntil(client.send(viaProxy('/state')))).status).toBe(401)
    await here.close()
  })
})

test('a client with protection refuses a raw OSCORE option', async () => {
  const here = await site()
  const client = await here.connect()
  const sent = here.clock.runUntil(client.send({ 'iopa.Path': '/state', 'coap.Options': [[9, Uint8Array.of(1, 2)]] }))
  await expect(sent).rejects.toMatchObject({ code: 'bad-coap-option' })
  await here.close()
})
