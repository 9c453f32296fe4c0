import { App } from '@iopa/appbuilder'
import type { Schema } from '@iopa/appbuilder/extension'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { asyncapi, openapi, thing } from '../src/index.ts'
import { contractApp, INFO } from './fixtures/apps.ts'

interface Document {
  readonly paths: Record<
    string,
    Record<
      string,
      {
        parameters?: object[]
        requestBody: { content: Record<string, { schema: object }> }
        responses: Record<string, { content: Record<string, { schema: object }> }>
      }
    >
  >
  readonly components: { readonly schemas: Record<string, Record<string, unknown>> }
  readonly 'x-omitted'?: readonly { readonly of: string; readonly reason: string }[]
}

const document = (app: App): Document => openapi(app, INFO) as unknown as Document
const raw = (json: unknown, input = json): Schema => ({
  '~standard': {
    version: 1,
    vendor: 'raw',
    validate: value => ({ value }),
    jsonSchema: { input: () => input as Record<string, unknown>, output: () => json as Record<string, unknown> }
  }
})
const serving = (schema: Schema, computed?: Record<string, Schema>): App => {
  const app = new App({ logger: false }).use(router()).use(resources())
  const thing = resource('/things/{id}', {
    title: 'A thing',
    state: schema,
    ...(computed === undefined ? {} : { computed }),
    methods: { get: {}, put: {} }
  })
  app.serve(thing, { get: () => undefined, put: () => undefined } as never)
  return app
}
const allOf = (app: App): readonly object[] => [document(app), asyncapi(app, INFO), thing(app, INFO)]

describe('components', () => {
  test('are named once by resource, inputs apart where they differ', () => {
    const names =
      'Problem InvalidInput Light LightInput LightPatch LightPostInput LightPostAnswer LightError JsonPatch Sensor Room RoomInput Fan Door DoorInput'
    const ofPlugs = 'Plug PlugInput PlugPatch AllPlugs AllPlugsPostAnswer'
    expect(Object.keys(document(contractApp()).components.schemas).sort()).toEqual(`${names} ${ofPlugs}`.split(' ').sort())
  })

  test('of a collection are pages of its items, and POST creates one from its state', () => {
    const { paths, components } = document(contractApp())
    expect(components.schemas['AllPlugs']).toMatchObject({
      properties: { items: { items: { properties: { id: { type: 'string' }, state: { $ref: '#/components/schemas/Plug' } } } } }
    })
    const { get, post } = paths['/plugs'] ?? {}
    expect(get?.parameters).toEqual(
      expect.arrayContaining([expect.objectContaining({ name: 'after', in: 'query' }), expect.objectContaining({ name: 'on' })])
    )
    expect(post?.requestBody.content['application/json']?.schema).toEqual({ $ref: '#/components/schemas/PlugInput' })
    expect(Object.keys(post?.responses ?? {})).toContain('201')
  })

  test('have the defaults of the input side optional, and computed members on the output side alone', () => {
    const { schemas } = document(contractApp()).components
    expect(schemas['Light']).toMatchObject({ required: ['on', 'level'] })
    expect(schemas['LightInput']).toMatchObject({ required: ['on'] })
    expect(schemas['Door']).toMatchObject({ properties: { locked: { type: 'boolean' }, since: { readOnly: true } }, required: ['locked', 'since'] })
    expect(schemas['DoorInput']).not.toHaveProperty('properties.since')
  })

  test('that contain themselves refer to themselves', () => {
    const { schemas } = document(contractApp()).components
    expect(schemas['Room']).toMatchObject({ properties: { rooms: { items: { $ref: '#/components/schemas/Room' } } } })
  })
})

describe('definitions', () => {
  const tree = {
    $ref: '#/$defs/Node',
    $defs: { Node: { type: 'object', properties: { next: { $ref: '#/$defs/Node' }, odd: { $ref: 'Leaf' } } }, Leaf: { $id: 'Leaf', type: 'string' } }
  }

  test('become components of their own, also those that are named by $id', () => {
    const { schemas } = document(serving(raw(tree))).components
    expect(schemas['Thing']).toEqual({ $ref: '#/components/schemas/Thing.Node' })
    expect(schemas['Thing.Node']).toMatchObject({
      properties: { next: { $ref: '#/components/schemas/Thing.Node' }, odd: { $ref: '#/components/schemas/Thing.Leaf' } }
    })
  })

  test('are put in place in a Thing Description, which ends and says so where they begin again', () => {
    const description = thing(serving(raw(tree)), INFO) as unknown as { properties: { thing: object }; 'x-omitted': object[] }
    expect(description.properties.thing).toMatchObject({ type: 'object', properties: { next: {}, odd: { type: 'string' } } })
    expect(description['x-omitted']).toContainEqual({ of: 'GET /things/{id}', reason: 'its schema contains itself' })
  })

  test('keep data that looks like a reference', () => {
    const schema = { type: 'object', properties: { $ref: { const: { $ref: '#/$defs/x' } } }, enum: [{ $ref: 'y' }] }
    expect(document(serving(raw(schema))).components.schemas['Thing']).toEqual(schema)
  })
})

describe('a schema that has no JSON Schema is omitted, and the rest is there:', () => {
  const circular: Record<string, unknown> = { type: 'object' }
  circular['properties'] = { self: circular }
  const wide = { type: 'object', properties: Object.fromEntries(Array.from({ length: 30_000 }, (_, at) => [`m${at}`, { type: 'string' }])) }
  const throwing: Schema = {
    '~standard': {
      version: 1,
      vendor: 'odd',
      validate: value => ({ value }),
      jsonSchema: {
        input: () => {
          throw new Error('no way\nto say it')
        },
        output: () => {
          throw new Error('no way')
        }
      }
    }
  }
  const none: Schema = { '~standard': { version: 1, vendor: 'valibot', validate: value => ({ value }) } }
  const CASES: readonly [string, Schema, string][] = [
    ['a circular object', raw(circular), 'circular'],
    ['one that is too large', raw(wide), 'larger than'],
    ['one that throws', throwing, 'no way'],
    ['valibot alone', none, 'toStandardJsonSchema'],
    ['text', raw('no schema'), 'no object'],
    ['a transform', z.object({ at: z.string() }).transform(({ at }) => at.length), ''],
    ['a reference to another machine', raw({ $ref: 'https://schemas.example/light.json' }), 'outside'],
    ['a reference to nothing', raw({ $ref: '#/$defs/Light', $defs: {} }), 'outside']
  ]

  test.each(CASES)('%s', (_, schema, reason) => {
    for (const made of allOf(serving(schema, { since: schema }))) {
      expect(JSON.stringify(made)).toContain('things/{id}')
      const { 'x-omitted': omitted = [] } = made as Document
      expect(omitted.map(({ reason: why }) => why).join()).toContain(reason)
    }
  })

  test('a member named __proto__ is a member like any other', () => {
    const schema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"}}}') as object
    expect(JSON.stringify(document(serving(raw(schema))))).toContain('"__proto__":{"type":"string"}')
  })
})

describe('operations', () => {
  const { paths } = document(contractApp())

  test('have the declared errors, and those that the app raises', () => {
    const { get, put, post, delete: remove } = paths['/lights/{id}'] ?? {}
    expect(Object.keys(get?.responses ?? {})).toEqual(['200', '304', '404', '422', 'default'])
    expect(Object.keys(put?.responses ?? {})).toEqual(['200', '404', '412', '422', 'default'])
    expect(Object.keys(post?.responses ?? {})).toEqual(['200', '404', '409', '422', 'default'])
    expect(Object.keys(remove?.responses ?? {})).toEqual(['401', '403', '404', '412', '422', '2XX', 'default'])
    expect(post?.responses['409']?.content['application/problem+json']?.schema).toMatchObject({
      allOf: [{}, { properties: { code: { const: 'light-busy' } } }, {}]
    })
  })

  test('take the constraint of a parameter as its pattern', () => {
    expect(paths['/sensors/{id}']?.['get']?.parameters?.[0]).toEqual({
      name: 'id',
      in: 'path',
      required: true,
      schema: { type: 'string', pattern: '^(?:[a-z]{1,8})$' }
    })
  })

  test('stream events with a schema for one in 3.2, and as text in 3.1', () => {
    const content = (version: '3.1' | '3.2') =>
      (openapi(contractApp(), INFO, version) as unknown as Document).paths['/lights/{id}']?.['get']?.responses['200']?.content['text/event-stream']
    expect(content('3.2')).toMatchObject({ itemSchema: { properties: { data: { contentSchema: { $ref: '#/components/schemas/Light' } } } } })
    expect(content('3.1')).toMatchObject({ schema: { type: 'string' } })
  })
})
