import { App, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { compress } from '../src/index.ts'

const TEXT = 'hello world '.repeat(200)

const app = new App().use(compress({ encodings: ['br', 'gzip'] })).use(router())
app.get('/tagged', () => reply(200, TEXT, { etag: '"v1"' }))
app.get('/weak', () => reply(200, TEXT, { etag: 'W/"v1"' }))
app.get('/own', () => reply(200, TEXT, { etag: '"photo-gzip"' }))
app.put('/own', () => reply(204))
app.get('/plain', () => TEXT)
app.put('/tagged', () => reply(204))
app.put('/plain', () => reply(204))

const ask = async (method: string, path: string, headers: Record<string, string>) => {
  const answer = await app.invoke({ 'iopa.Method': method, 'iopa.Path': path, 'iopa.Scheme': 'http', 'iopa.Headers': headers })
  return { status: answer.status, etag: answer.headers.get('etag'), vary: answer.headers.get('vary') }
}

test('gives the tag of a compressed body its coding', async () => {
  expect((await ask('GET', '/tagged', { 'accept-encoding': 'gzip' })).etag).toBe('"v1-gzip"')
  expect((await ask('GET', '/tagged', {})).etag).toBe('"v1"')
  expect((await ask('GET', '/weak', { 'accept-encoding': 'br' })).etag).toBe('W/"v1-br"')
})

test.each(['gzip', 'br'])('answers 304 to the tag of a body in %s', async coding => {
  const headers = { 'accept-encoding': coding, 'if-none-match': `"x", "v1-${coding}"` }
  expect(await ask('GET', '/tagged', headers)).toEqual({ status: 304, etag: `"v1-${coding}"`, vary: 'accept-encoding' })
  expect(await ask('HEAD', '/tagged', headers)).toMatchObject({ status: 304 })
})

test('answers 304 to the plain tag, and 200 to another one', async () => {
  expect(await ask('GET', '/tagged', { 'if-none-match': '"v1"' })).toEqual({ status: 304, etag: '"v1"', vary: 'accept-encoding' })
  expect(await ask('GET', '/tagged', { 'accept-encoding': 'gzip', 'if-none-match': '"v2-gzip"' })).toMatchObject({ status: 200, etag: '"v1-gzip"' })
})

test('answers 304 to a tag that the core has made of the content', async () => {
  const { etag } = await ask('GET', '/plain', { 'accept-encoding': 'gzip', 'if-none-match': '"x"' })
  expect(etag).toMatch(/^"[\w-]{8}-gzip"$/)
  expect(await ask('GET', '/plain', { 'accept-encoding': 'gzip', 'if-none-match': etag! })).toMatchObject({ status: 304, etag })
  expect(await ask('PUT', '/plain', { 'accept-encoding': 'gzip', 'if-match': etag! })).toMatchObject({ status: 204 })
})

test('judges preconditions of a change by the plain tag', async () => {
  const accept = { 'accept-encoding': 'gzip' }
  expect(await ask('PUT', '/tagged', { ...accept, 'if-match': '"v1-gzip"' })).toMatchObject({ status: 204 })
  expect(await ask('PUT', '/tagged', { ...accept, 'if-match': '"v1"' })).toMatchObject({ status: 204 })
  expect(await ask('PUT', '/tagged', { ...accept, 'if-match': '"v2-gzip"' })).toMatchObject({ status: 412 })
  expect(await ask('PUT', '/tagged', { ...accept, 'if-none-match': '"v1-gzip"' })).toMatchObject({ status: 412 })
})

test('leaves tags that look like coded ones to the handler', async () => {
  expect(await ask('GET', '/own', { 'if-none-match': '"photo-gzip"' })).toMatchObject({ status: 304, etag: '"photo-gzip"' })
  expect(await ask('GET', '/own', { 'if-none-match': 'W/"photo-gzip"' })).toMatchObject({ status: 304 })
  expect(await ask('GET', '/own', { 'accept-encoding': 'gzip' })).toMatchObject({ etag: '"photo-gzip-gzip"' })
  expect(await ask('GET', '/own', { 'if-none-match': '"photo-gzip-gzip"' })).toMatchObject({ status: 304, etag: '"photo-gzip-gzip"' })
  for (const tag of ['"photo-gzip"', '"photo-gzip-gzip"']) expect(await ask('PUT', '/own', { 'if-match': tag })).toMatchObject({ status: 204 })
  expect(await ask('PUT', '/own', { 'if-match': '"photo"' })).toMatchObject({ status: 412 })
})
