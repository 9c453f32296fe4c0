import { App } from '@iopa/appbuilder'
import { requestId } from '@iopa/log'
import { expect, test } from 'vitest'

const ask = (options: Parameters<typeof requestId>[0], given?: string) => {
  const app = new App({ logger: false }).use(requestId(options)).use(context => context['log.RequestId'])
  const header = options?.header ?? 'x-request-id'
  return app.invoke({ 'iopa.Path': '/', ...(given === undefined ? {} : { 'iopa.Headers': { [header]: given } }) })
}

test('sets the key and the header of the answer', async () => {
  const answer = await ask({})
  expect(answer.headers.get('x-request-id')).toBe(await answer.text())
  expect(await answer.text()).toMatch(/^[a-z0-9]{8}-[a-z0-9]+$/)
})

test('gives each request another id', async () => {
  const app = new App({ logger: false }).use(requestId()).use(context => context['log.RequestId'])
  const ids = await Promise.all(Array.from({ length: 100 }, async () => (await app.invoke({ 'iopa.Path': '/' })).text()))
  expect(new Set(ids).size).toBe(100)
})

test('takes over the id of a trusted peer alone', async () => {
  expect(await (await ask({}, 'abc')).text()).not.toBe('abc')
  expect(await (await ask({ trust: true }, 'abc')).text()).toBe('abc')
  expect(await (await ask({ trust: ({ headers }) => headers.has('x-request-id') }, 'abc')).text()).toBe('abc')
  expect(await (await ask({ trust: () => false }, 'abc')).text()).not.toBe('abc')
})

test.each(['', 'a b', 'a"b', '<script>', 'x'.repeat(129), 'a\u00e9'])('takes over no id like %j', async given => {
  expect(await (await ask({ trust: true }, given)).text()).not.toBe(given)
})

test('uses the header that is named', async () => {
  const answer = await ask({ header: 'X-Correlation-Id', trust: true }, 'abc')
  expect(answer.headers.get('x-correlation-id')).toBe('abc')
})

test('refuses what is not the name of a header field', () => {
  expect(() => requestId({ header: 'a b' })).toThrow('header')
})
