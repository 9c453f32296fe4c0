import { App, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { resources, twin } from '@iopa/resource'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { twins } from '../../src/index.ts'
import { versionsFromOne } from '../fixtures/versions-from-one.ts'

const Lamp = z.object({ on: z.boolean(), level: z.number() }).partial()
const lamp = twin('/devices/{id}', { reported: Lamp, desired: Lamp })

// What comes from within the process is not the device.
const devices = versionsFromOne(() => twins(lamp, { device: context => !context['server.IsLocalOrigin'] }))
const TRANSPORTS: Readonly<Record<string, () => Transport>> = {
  http: () => http({ port: 0 }),
  coap: () => coap({ port: 0 }),
  mqtt: () => mqtt({ port: 0, statistics: false }),
  tcp: () => tcp({ port: 0 }),
  udp: () => udp({ port: 0 })
}
const app = new App({ logger: false }).use(router()).use(resources())
const clients = new App({ logger: false })
for (const transport of Object.values(TRANSPORTS)) {
  app.use(transport())
  clients.use(transport())
}
app.serve(lamp, devices)
const urls = new Map<string, URL>()

beforeAll(async () => {
  const listeners = await app.listen()
  for (const [at, name] of Object.keys(TRANSPORTS).entries()) urls.set(name, (listeners[at] as { url: URL }).url)
})
afterAll(async () => {
  await clients.close({ timeout: 0 })
  await app.close({ timeout: 0 })
})

describe('a twin on every protocol', () => {
  test.each(Object.keys(TRANSPORTS))('%s: a sleeping device gets its delta, reports with what it has seen, and ends a wish', async protocol => {
    const client = await clients.connect(urls.get(protocol) as URL)
    const path = `/devices/${protocol}`
    const ask = async (method: 'get' | 'put', part: string, body?: unknown, headers: Record<string, string> = {}) => {
      const answer = await client.send({
        'iopa.Method': method.toUpperCase(),
        'iopa.Path': path + part,
        'iopa.Headers': headers,
        ...(body === undefined ? undefined : { 'iopa.Body': body })
      } as never)
      const text = await answer.text()
      return { status: answer.status, etag: answer.headers.get('etag') as string, body: text === '' ? undefined : JSON.parse(text) }
    }
    await devices.desire(protocol, { on: true, level: 3 })
    const delta = await ask('get', '/delta')
    expect(delta).toMatchObject({ status: 200, etag: '"1x"', body: { on: true, level: 3 } })
    expect((await ask('put', '/reported', { on: true, level: 1 })).status).toBeLessThan(300)
    expect(await devices.get(protocol)).toMatchObject({ desired: { on: true, level: 3 }, delta: { level: 3 } })
    expect((await ask('put', '/reported', { on: true, level: 1 }, { 'iopa-seen': delta.etag })).status).toBeLessThan(300)
    expect(await devices.get(protocol)).toMatchObject({ desired: { on: true }, delta: {} })
    await client.close()
  })

  test.each(['http', 'coap', 'mqtt', 'tcp'])('%s: an observer of the delta hears of wishes, and is present until it ends', async protocol => {
    const id = `${protocol}-2`
    const client = await clients.connect(urls.get(protocol) as URL)
    const stop = new AbortController()
    const heard: unknown[] = []
    const watching = (async () => {
      for await (const answer of client.observe(`/devices/${id}/delta`, { signal: stop.signal })) heard.push(await answer.json())
    })()
    await vi.waitFor(() => expect(heard).toEqual([{}]))
    await devices.desire(id, { on: true })
    await vi.waitFor(() => expect(heard).toEqual([{}, { on: true }]))
    expect(await devices.presence(id)).toMatchObject({ connected: true, connections: 1, lastSeen: expect.stringMatching(/^20/) })
    stop.abort()
    await watching
    // Over MQTT it is the connection that counts.
    if (protocol === 'mqtt') expect(await devices.presence(id)).toMatchObject({ connections: 1 })
    await client.close()
    await vi.waitFor(async () => expect(await devices.presence(id)).toMatchObject({ connected: false, connections: 0 }))
  })
})
