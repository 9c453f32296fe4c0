import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type ResourceDefinition, resource, resources } from '../src/index.ts'

const Light = z.object({ on: z.boolean() })
const declare = (definition: unknown) => () => resource('/lights/{id}', definition as ResourceDefinition)

test('is a frozen value', () => {
  const light = resource('/lights/{id}', { title: 'A light', state: Light, methods: { get: {}, put: {}, ipatch: {} } })
  expect(Object.isFrozen(light) && Object.isFrozen(light.methods) && Object.isFrozen(light.methods.PUT)).toBe(true)
  expect(light).toMatchObject({ pattern: '/lights/{id}', title: 'A light', version: 1, methods: { GET: { answer: Light }, PUT: { input: Light } } })
  expect(Object.keys(light.methods)).toEqual(['GET', 'PUT', 'iPATCH'])
})

describe('refuses', () => {
  const cases: [string, unknown, RegExp][] = [
    ['a method in upper case', { methods: { GET: {} } }, /write it in lower case/],
    ['a method that is no name', { methods: { 'get it': {} } }, /has the method "get it"/],
    ['head', { methods: { head: {} } }, /declares head, which get answers/],
    ...['path', 'read', 'observe', 'then'].map((name): [string, unknown, RegExp] => [
      `the member ${name} of the typed client`,
      { methods: { get: {}, [name]: {} } },
      /is a member of the typed client: give the method another name/
    ]),
    ['a control method', { methods: { subscribe: {} } }, /control method/],
    ['a method without an object', { methods: { get: true } }, /needs an object for get/],
    ['no methods', {}, /declares no methods/],
    ['put with an input', { state: Light, methods: { put: { input: Light } } }, /PUT takes the state, so remove it/],
    ['patch with an input', { state: Light, methods: { patch: { input: Light } } }, /takes a patch of the state/],
    ['patch without a state', { methods: { patch: {} } }, /a patch is one of the state/],
    ['get with an input', { methods: { get: { input: Light } } }, /has no body, so use query/],
    ['raw JSON Schema', { state: { type: 'object' }, methods: { get: {} } }, /state: jsonSchema\(\{ \.\.\. \}\)/],
    ['a schema that is none', { params: 'string', methods: { get: {} } }, /has no schema for params: give a Standard Schema/],
    ['a query that is none', { methods: { get: { query: {} } } }, /has no schema for get\.query/],
    ['an error in upper case', { methods: { get: { errors: { LightBusy: { status: 409 } } } } }, /names the error "LightBusy"/],
    ['an error without a status', { methods: { get: { errors: { busy: {} } } } }, /status from 400 to 599 for the error busy/],
    ['a version that does not count', { version: 0, methods: { get: {} } }, /has the version 0: count from 1/],
    ['a member that there is none of', { schema: Light, methods: { get: {} } }, /has 'schema', which a declaration does not take/],
    ['a member of a method that there is none of', { methods: { get: { output: Light } } }, /has 'output', which the method get does not take/],
    ['computed members without a state', { computed: { href: z.string() }, methods: { get: {} } }, /computed members and no state/]
  ]
  test.each(cases)('%s', (_, definition, message) => {
    expect(declare(definition)).toThrow(message)
  })

  test('a pattern that is not valid', () => {
    expect(() => resource('lights' as '/lights', { methods: {} })).toThrow(/begin it with "\/"/)
  })
})

describe('app.serve refuses, with the line of the call,', () => {
  const light = resource('/lights/{id}', { state: Light, methods: { get: {}, put: {}, patch: {} } })
  const serve = (contract: unknown, handlers: unknown, options?: unknown) => () =>
    new App()
      .use(router())
      .use(resources())
      .serve(contract as typeof light, handlers as never, options as never)
  const get = () => undefined
  test.each([
    ['a handler that is missing', light, { get }, undefined, /declares PUT, and app\.serve\(\) got no handler for it: add put, or remove put/],
    ['a handler of a method that is not declared', light, { get, put: get, post: get }, undefined, /declares no POST: add post/],
    ['a handler that is no function', light, { get, put: 7 }, undefined, /The handler of PUT \/lights\/\{id\} must be a function, not number 7/],
    ['what is no resource', { path: '/x' }, {}, undefined, /takes a resource first/],
    ['no handlers', light, undefined, undefined, /takes the handlers of \/lights\/\{id\} as an object/],
    ['an option that there is none of', light, { get, put: get }, { before: [] }, /has no option 'before'/]
  ])('%s', (_, contract, handlers, options, message) => {
    expect(serve(contract, handlers, options)).toThrow(message)
    expect(serve(contract, handlers, options)).toThrow(/declarations\.test\.ts:\d+/)
  })

  test('a resource that is served twice', () => {
    const app = new App().use(router()).use(resources())
    app.serve(light, { get, put: get })
    expect(() => app.serve(light, { get, put: get })).toThrow(/declarations\.test\.ts:\d+.*declarations\.test\.ts:\d+/)
  })
})

test('resources() refuses options that do not exist, and an app without a router', () => {
  expect(() => resources({ answer: 'check' } as never)).toThrow(/has no option 'answer'/)
  expect(() => resources({ answers: 'maybe' as never })).toThrow(/'check' or 'trust'/)
  expect(() => new App().use(resources())).toThrow(/app\.use\(router\(\)\)/)
  expect(() => new App().use(router()).use(resources()).use(resources())).toThrow(/validates by the schemas of its routes already/)
})

test('a route whose schema is none is refused with its line', () => {
  const app = new App().use(router()).use(resources())
  expect(() => app.put('/x', { input: { type: 'object' } as never }, () => 1)).toThrow(/has JSON Schema for input.*declarations\.test\.ts:\d+/)
})

test('registering thousands of resources takes time in proportion to their number', () => {
  const made = (count: number, from: number): number => {
    const app = new App().use(router()).use(resources())
    const contracts = Array.from({ length: count }, (_, n) => resource(`/kind${from + n}/{id}`, { state: Light, methods: { get: {}, put: {} } }))
    const start = performance.now()
    for (const contract of contracts) app.serve(contract, { get: () => undefined, put: () => undefined })
    return performance.now() - start
  }
  made(300, 0)
  const quickest = (count: number, from: number): number => Math.min(...[1, 2, 3].map(n => made(count, from + n * 10_000)))
  const few = quickest(300, 100_000)
  expect(quickest(3000, 200_000) / few).toBeLessThan(50)
})
