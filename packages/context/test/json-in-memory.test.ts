import { jsonInMemory } from '@iopa/context/host'
import { expect, test } from 'vitest'
import { bench, request } from './environment.ts'

const withBody = (text: string, type = 'application/json') => {
  const { factory } = bench()
  return request(factory, '/a', { headers: () => ['content-type', type], body: () => new TextEncoder().encode(text) })
}

test('gives the value that json() gives', async () => {
  const context = withBody('{"on":true}')
  const value = jsonInMemory(context)
  expect(value).toEqual({ on: true })
  expect(await context.json()).toBe(value)
  // Once it is a promise it stays one.
  expect(jsonInMemory(context)).toBe(undefined)
})

test.each([
  ['malformed', '{', 'application/json', 'malformed-json'],
  ['of another type', 'on', 'text/plain', 'not-json'],
  ['over the limit', `"${'x'.repeat(1000)}"`, 'application/json', 'body-too-large']
])('leaves a body that is %s to json()', async (_, text, type, code) => {
  const context = withBody(text, type)
  expect(jsonInMemory(context)).toBe(undefined)
  await expect(context.json()).rejects.toMatchObject({ code })
})

test('leaves a body that still comes to json()', async () => {
  const { factory } = bench()
  const body = (async function* () {
    yield new TextEncoder().encode('[1]')
  })()
  const context = request(factory, '/a', { headers: () => ['content-type', 'application/json'], body: () => body })
  expect(jsonInMemory(context)).toBe(undefined)
  expect(await context.json()).toEqual([1])
})
