import { App, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { collection, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { store } from '../../src/index.ts'

const light = resource('/lights/{id}', { state: z.object({ on: z.boolean() }), methods: { get: {} } })
const lights = collection(light, '/lights', { create: true })

test.each<[string, () => Transport]>([
  ['http', () => http({ port: 0 })],
  ['coap', () => coap({ port: 0 })],
  ['mqtt', () => mqtt({ port: 0, statistics: false })],
  ['tcp', () => tcp({ port: 0 })],
  ['udp', () => udp({ port: 0 })]
])('a POST with an idempotency key creates once over %s', async (_, transport) => {
  const kept = store(light)
  const app = new App({ logger: false }).use(router()).use(resources()).use(transport())
  app.serve(lights, kept)
  const [listener] = await app.listen()
  const clients = new App({ logger: false }).use(transport())
  const client = await clients.connect(listener?.url as URL)
  const post = async (key: string, on: boolean) => {
    const answer = await client.post('/lights', { on }, { headers: { 'idempotency-key': key } })
    return { status: answer.status, location: answer.headers.get('location'), etag: answer.headers.get('etag'), body: await answer.text() }
  }
  const first = await post('one', true)
  expect(first).toMatchObject({ status: 201, location: expect.stringMatching(/^\/lights\/./), etag: expect.stringMatching(/j"$/) })
  expect(await post('one', true)).toEqual(first)
  expect((await post('one', false)).status).toBe(422)
  expect((await post('two', true)).location).not.toBe(first.location)
  expect((await kept.list()).length).toBe(2)
  await client.close()
  await clients.close({ timeout: 0 })
  await app.close({ timeout: 0 })
})
