import { App } from '@iopa/appbuilder'
import { at, resources, twin } from '@iopa/resource'
import { router } from '@iopa/router'
import { twins } from '@iopa/store'
import { expect, test } from 'vitest'
import { z } from 'zod'

const Lamp = z.object({ on: z.boolean(), level: z.number() }).partial()
const lamp = twin('/devices/{id}', { title: 'A lamp', params: z.object({ id: z.string().max(8) }), reported: Lamp, desired: Lamp })

test('a twin is five contracts, with JSON Schemas for documents', () => {
  expect(Object.isFrozen(lamp)).toBe(true)
  expect(
    [lamp, lamp.reported, lamp.desired, lamp.delta, lamp.presence].map(({ pattern, title, methods }) => [pattern, title, Object.keys(methods)])
  ).toEqual([
    ['/devices/{id}', 'A lamp', ['GET', 'DELETE']],
    ['/devices/{id}/reported', 'A lamp: what it reports', ['GET', 'PUT', 'PATCH', 'iPATCH']],
    ['/devices/{id}/desired', 'A lamp: what it should be', ['GET', 'PUT', 'PATCH', 'iPATCH']],
    ['/devices/{id}/delta', 'A lamp: what it still has to do', ['GET']],
    ['/devices/{id}/presence', 'A lamp: whether it is connected', ['GET']]
  ])
  const json = (schema: unknown) =>
    (schema as { '~standard': { jsonSchema: { output(options: object): unknown } } })['~standard'].jsonSchema.output({ target: 'draft-2020-12' })
  expect(json(lamp.state)).toMatchObject({ properties: { version: { type: 'integer' }, delta: { properties: { on: { type: 'boolean' } } } } })
  expect(json(lamp.reported.methods['PUT']?.headers)).toMatchObject({ properties: { 'iopa-seen': { type: 'string' } } })
  expect(json(lamp.presence.state)).toMatchObject({ required: ['connected', 'connections', 'lastSeen'] })
})

test('a typed client reads and changes the parts of a twin', async () => {
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(lamp, twins(lamp, { device: () => true }))
  const desired = at(app, lamp.desired, { id: 'd1' })
  await desired.put({ on: true })
  await desired.patch({ level: 5 })
  const { on, level } = await at(app, lamp.delta, { id: 'd1' }).get()
  expect([on, level]).toEqual([true, 5])
  await at(app, lamp.reported, { id: 'd1' }).put({ on: true, level: 5 })
  const whole = await at(app, lamp, { id: 'd1' }).get()
  expect(whole).toMatchObject({ version: expect.any(Number), reported: { on: true, level: 5 }, delta: {} })
  expect((await at(app, lamp.presence, { id: 'd1' }).get()).connected).toBe(false)
  await at(app, lamp, { id: 'd1' }).delete()
  await app.close()
})
