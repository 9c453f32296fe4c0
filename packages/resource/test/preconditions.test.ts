import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { resource, resources } from '../src/index.ts'

const query = z.object({ unit: z.enum(['C', 'F']) })
const headers = z.object({ 'x-site': z.string() })
const State = z.object({ degrees: z.number() })

/** A resource whose GET asks for what a change does not have. */
const served = () => {
  const sensor = resource('/sensors/{id}', {
    params: z.object({ id: z.string().max(4) }),
    state: State,
    methods: { get: { query, headers }, put: {}, patch: {} }
  })
  let degrees = 20
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(sensor, {
    get: ({ query: { unit } }) => ({ degrees: unit === 'F' ? degrees * 1.8 + 32 : degrees }),
    put: ({ input }) => {
      degrees = input.degrees
      return input
    }
  })
  return async (method: string, more: Record<string, string>, body?: unknown, path = '/sensors/hall') => {
    const [at, asked = ''] = path.split('?') as [string, string?]
    const answer = await app.invoke({
      'iopa.Method': method,
      'iopa.Path': at,
      'iopa.QueryString': asked,
      'iopa.Headers': more,
      'iopa.Body': body
    } as never)
    return { status: answer.status, etag: answer.headers.get('etag') as string, body: await answer.json() }
  }
}

describe('a precondition of a resource whose GET has a required query and header', () => {
  test.each(['PUT', 'PATCH'])('is judged for %s without them', async method => {
    const ask = served()
    const { etag } = await ask('GET', { 'x-site': 'a', 'if-none-match': '""' }, undefined, '/sensors/hall?unit=C')
    expect(await ask(method, { 'if-match': '"other"' }, { degrees: 21 })).toMatchObject({ status: 412 })
    expect(await ask(method, { 'if-match': etag }, { degrees: 21 })).toMatchObject({ status: 200, body: { degrees: 21 } })
    expect(await ask(method, { 'if-match': etag }, { degrees: 22 })).toMatchObject({ status: 412 })
    expect(await ask(method, { 'if-match': '*' }, { degrees: 22 })).toMatchObject({ status: 200 })
    expect(await ask(method, { 'if-none-match': '*' }, { degrees: 23 })).toMatchObject({ status: 412 })
  })

  test('is judged by the representation that the query of the change names', async () => {
    const ask = served()
    const { etag } = await ask('GET', { 'x-site': 'a', 'if-none-match': '""' }, undefined, '/sensors/hall?unit=F')
    expect(await ask('PUT', { 'if-match': etag }, { degrees: 21 })).toMatchObject({ status: 412 })
    expect(await ask('PUT', { 'if-match': etag }, { degrees: 21 }, '/sensors/hall?unit=F')).toMatchObject({ status: 200 })
  })

  test('still checks the path, and GET itself', async () => {
    const ask = served()
    expect(await ask('PUT', { 'if-match': '*' }, { degrees: 21 }, '/sensors/kitchen')).toMatchObject({ status: 422 })
    expect(await ask('GET', { 'x-site': 'a' })).toMatchObject({ status: 422, body: { errors: [{ pointer: '/unit' }] } })
  })
})
