// One contract for all contenders: a light whose id is a number, with zod and as JSON Schema.
import { App } from '@iopa/appbuilder'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { z } from 'zod'

export const Params = z.object({ id: z.coerce.number().int().min(1) })
export const Light = z.object({ on: z.boolean(), level: z.number().min(0).max(100), name: z.string().max(64), tags: z.array(z.string()) })
export const jsonParams = { type: 'object', properties: { id: { type: 'integer', minimum: 1 } }, required: ['id'] }
export const jsonLight = {
  type: 'object',
  properties: {
    on: { type: 'boolean' },
    level: { type: 'number', minimum: 0, maximum: 100 },
    name: { type: 'string', maxLength: 64 },
    tags: { type: 'array', items: { type: 'string' } }
  },
  required: ['on', 'level', 'name', 'tags']
}
export const state = { on: true, level: 40, name: 'Hall', tags: ['ground', 'floor'] }

export const light = resource('/lights/{id}', { params: Params, state: Light, methods: { get: {}, put: {} } })

/** The resource, and the same by hand; both without a transport. */
export const declared = () =>
  new App()
    .use(router())
    .use(resources({ answers: 'trust' }))
    .serve(light, { get: ({ params }) => ({ id: params.id, ...state }), put: ({ input }) => input })
export const byHand = () =>
  new App()
    .use(router())
    .get('/lights/{id}', ({ params }) => ({ id: Params.parse({ ...params }).id, ...state }))
    .put('/lights/{id}', async context => {
      Params.parse({ ...context.params })
      return Light.parse(await context.json())
    })

/** Requests of one app in the process, one after another. */
export const requests = (app, method) => {
  const bag = { 'iopa.Method': method, 'iopa.Path': '/lights/7' }
  const encoder = new TextEncoder()
  const body = method === 'PUT' ? { 'iopa.Body': encoder.encode(JSON.stringify(state)), 'iopa.ContentType': 'application/json' } : {}
  return async count => {
    for (let at = 0; at < count; at++) await app.invoke({ ...bag, ...body })
  }
}

export const build = () => declared()
