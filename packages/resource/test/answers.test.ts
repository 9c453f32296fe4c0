import { App, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type ResourceOptions, resource, resources } from '../src/index.ts'

const light = resource('/lights/{id}', { state: z.object({ on: z.boolean() }), methods: { get: {}, put: {} } })

const serving = (value: () => unknown, options?: ResourceOptions) => {
  const logged: unknown[][] = []
  const app = new App({ logger: { error: (...line: unknown[]) => void logged.push(line), warn() {}, info() {}, debug() {} } })
    .use(router())
    .use(resources(options))
  app.serve(light, { get: value as never, put: value as never })
  return { app, logged }
}

describe('an answer that the schema refuses', () => {
  test.each([
    ['a value', () => ({ on: 1 })],
    ['a promise', async () => ({ on: 1 })],
    ['a reply', () => reply(200, { on: 1 })],
    ['a created reply', () => reply(201, { on: 1 })],
    ['text', () => 'on'],
    ['null', () => null],
    ['members with the names of streams', () => ({ on: 1, pipe: 1, getReader: 1, arrayBuffer: 1, headerPairs: 1 })],
    ['a thenable', () => ({ then: (settle: (value: unknown) => void) => settle({ on: 1 }) })]
  ])('is a 500 whose log names method, resource and pointer: %s', async (_, value) => {
    const { app, logged } = serving(value)
    for (const method of ['GET', 'HEAD', 'PUT']) {
      const answer = await app.invoke({ 'iopa.Method': method, 'iopa.Path': '/lights/1', 'iopa.Body': method === 'PUT' ? { on: true } : null })
      expect(answer.status, method).toBe(500)
      expect(await answer.text()).not.toMatch(/refuses/)
    }
    expect(logged).toHaveLength(3)
    expect(String((logged[0]?.[1] as Error | undefined)?.message)).toMatch(
      /^GET \/lights\/\{id\} answered a value that its schema refuses: (?:\/on|the whole): /
    )
    expect(String((logged[2]?.[1] as Error | undefined)?.message)).toMatch(/^PUT /)
  })

  test('is a 500 where the handler set the body itself', async () => {
    const { app } = serving((({ context }: { context: { response: { body: unknown } } }) => {
      context.response.body = { on: 1 }
    }) as never)
    expect((await app.invoke({ 'iopa.Path': '/lights/1' })).status).toBe(500)
  })

  test('is a 500 where the handler set the body and replied without one', async () => {
    const { app } = serving((({ context }: { context: { response: { body: unknown } } }) => {
      context.response.body = { on: 1 }
      return reply(200)
    }) as never)
    expect((await app.invoke({ 'iopa.Path': '/lights/1' })).status).toBe(500)
  })

  test('ends an observation with 500', async () => {
    let on: unknown = true
    const { app } = serving(() => ({ on }))
    const seen: number[] = []
    const observing = async () => {
      for await (const answer of app.observe('/lights/1')) {
        seen.push(answer.status)
        on = 1
        app.notify('/lights/1')
      }
    }
    await expect(observing()).rejects.toMatchObject({ status: 500, code: 'internal-error' })
    expect(seen).toEqual([200])
  })
})

test.each([
  ['an error reply', () => reply(409, { why: 1 }), 409],
  ['no value', () => undefined, 404],
  ['bytes', () => new Uint8Array([1]), 200],
  [
    'a stream',
    () =>
      (async function* () {
        yield 'x'
      })(),
    200
  ],
  ['a web Response', () => new Response('x'), 200],
  ['text of a type of its own', () => reply(200, '<p>on</p>', { 'content-type': 'text/html' }), 200],
  ['a reply without a body', () => reply(202), 202],
  ['what fits', () => ({ on: true, more: 1 }), 200],
  ['a thenable of what fits', () => ({ then: (settle: (value: unknown) => void) => settle({ on: true }) }), 200]
])('lets through %s', async (_, value, status) => {
  const { app, logged } = serving(value)
  expect((await app.invoke({ 'iopa.Path': '/lights/1' })).status).toBe(status)
  expect(logged).toEqual([])
})

test('sends an answer as the handler returned it', async () => {
  const { app } = serving(() => ({ on: true, more: 1 }))
  expect(await (await app.invoke({ 'iopa.Path': '/lights/1' })).json()).toEqual({ on: true, more: 1 })
})

describe('answers', () => {
  const { NODE_ENV } = process.env
  afterEach(() => {
    process.env.NODE_ENV = NODE_ENV
  })
  const statusOf = async (options?: ResourceOptions) => (await serving(() => ({ on: 1 }), options).app.invoke({ 'iopa.Path': '/lights/1' })).status

  test('are trusted in production, unless the option says otherwise', async () => {
    process.env.NODE_ENV = 'production'
    expect(await statusOf()).toBe(200)
    expect(await statusOf({ answers: 'check' })).toBe(500)
  })

  test('are checked elsewhere, unless the option says otherwise', async () => {
    process.env.NODE_ENV = 'development'
    expect(await statusOf()).toBe(500)
    expect(await statusOf({ answers: 'trust' })).toBe(200)
  })
})
