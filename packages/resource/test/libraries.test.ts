import { App } from '@iopa/appbuilder'
import type { Schema } from '@iopa/appbuilder/extension'
import { router } from '@iopa/router'
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { type } from 'arktype'
import Type, { type Static } from 'typebox'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { resource, resources } from '../src/index.ts'
import { jsonSchema } from '../src/json-schema.ts'

const TypeBoxLight = Type.Object({ on: Type.Boolean(), level: Type.Number({ minimum: 0, maximum: 100, default: 0 }) })

type Light = { on: boolean; level: number }

const schemas: [string, Schema<unknown, Light>][] = [
  ['zod', z.object({ on: z.boolean(), level: z.number().min(0).max(100).default(0) })],
  ['valibot', v.object({ on: v.boolean(), level: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), 0) })],
  [
    'valibot with JSON Schema',
    toStandardJsonSchema(v.object({ on: v.boolean(), level: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), 0) }))
  ],
  ['arktype', type({ on: 'boolean', level: '0 <= number <= 100 = 0' })],
  ['typebox', jsonSchema<Static<typeof TypeBoxLight>>(TypeBoxLight)]
]

describe.each(schemas)('a schema of %s', (library, state) => {
  test('validates input with defaults, and names faults by pointer', async () => {
    const app = new App({ logger: false }).use(router()).use(resources())
    app.serve(resource('/lights/{id}', { state, methods: { put: {} } }), {
      put: ({ input }) => {
        expectTypeOf(input.level).toEqualTypeOf<number>()
        return input
      }
    })
    const put = (body: unknown) => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/1', 'iopa.Body': body })
    expect(await (await put({ on: true })).json()).toEqual({ on: true, level: 0 })
    const refused = await put({ on: 1, level: 700 })
    expect(refused.status).toBe(422)
    expect(((await refused.json()) as { errors: { pointer: string }[] }).errors.map(({ pointer }) => pointer).sort()).toEqual(['/level', '/on'])
    const missing = await put({})
    expect(await missing.json()).toMatchObject({ errors: [{ pointer: '/on' }] })
  })

  test('has JSON Schema where its library gives it', () => {
    const standard = state['~standard'].jsonSchema
    if (library === 'valibot') expect(standard).toBeUndefined()
    else expect(standard?.output({ target: 'draft-2020-12' })).toMatchObject({ type: 'object', properties: { on: { type: 'boolean' } } })
  })
})

describe('jsonSchema', () => {
  test('refuses what is no JSON Schema', () => {
    expect(() => jsonSchema({ type: 'lamp' })).toThrow(/This is no JSON Schema of draft 2020-12/)
  })

  test('refuses an asynchronous schema, whose outcome would be taken for valid', () => {
    expect(() => jsonSchema({ $async: true, type: 'string' })).toThrow(
      expect.objectContaining({ code: 'bad-schema', message: expect.stringMatching(/\$async/) })
    )
  })

  test.each([
    [{ type: 'array', maxItems: 10, uniqueItems: true }, Array.from({ length: 20_000 }, (_, n) => [n])],
    [{ type: 'object', properties: { a: { maxLength: 10, pattern: '^(a+)+$' } } }, { a: `${'a'.repeat(40)}!` }]
  ])('ends at the bound of a value whose further check would take long: %j', (schema, value) => {
    const start = process.cpuUsage()
    expect(jsonSchema(schema)['~standard'].validate(value)).toMatchObject({ issues: [{}] })
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(1000)
  })

  test('refuses a circular and a huge schema', () => {
    const circular: Record<string, unknown> = { type: 'object' }
    circular.properties = { self: circular }
    expect(() => jsonSchema(circular)).toThrow(/is circular, deeper than 64 levels or larger/)
    expect(() => jsonSchema({ enum: Array.from({ length: 200_000 }, (_, n) => ({ n })) })).toThrow(/larger than 100000 values/)
  })

  test('takes recursion by $ref', () => {
    const tree = jsonSchema({ type: 'object', properties: { child: { $ref: '#' } }, additionalProperties: false })
    expect(tree['~standard'].validate({ child: { child: {} } })).toEqual({ value: { child: { child: {} } } })
    expect(tree['~standard'].validate({ child: { other: {} } })).toMatchObject({ issues: [{ path: ['child', 'other'] }] })
  })

  test('does not touch the value that it is given, and asserts formats of the given ajv alone', () => {
    const given = {}
    expect(jsonSchema({ type: 'object', properties: { n: { default: 1 } } })['~standard'].validate(given)).toEqual({ value: { n: 1 } })
    expect(given).toEqual({})
    const schema = { type: 'string', format: 'even' }
    const ajv = new Ajv2020({ formats: { even: (text: string) => text.length % 2 === 0 } })
    expect(jsonSchema(schema)['~standard'].validate('abc')).toEqual({ value: 'abc' })
    expect(jsonSchema(schema, { ajv })['~standard'].validate('abc')).toMatchObject({ issues: [{}] })
  })

  test('gives its JSON Schema for draft 2020-12 alone', () => {
    const standard = jsonSchema({ type: 'string' })['~standard'].jsonSchema
    expect(standard?.input({ target: 'draft-2020-12' })).toEqual({ type: 'string' })
    expect(() => standard?.input({ target: 'draft-07' })).toThrow(/draft 2020-12/)
  })
})
