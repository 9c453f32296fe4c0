import { App, type User } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'

const password = { name: 'password', type: 'http', scheme: 'basic' } as const
const key = { name: 'key', type: 'psk' } as const

const appOf = () => {
  const app = new App({ logger: false }).use(router())
  app.get('/open', { security: [] }, () => 'open')
  app.get('/a', { security: [password, key] }, () => 'a')
  app.put('/a', { security: [key] }, () => 'changed')
  return app
}
const status = async (method: string, path: string, user?: User, more: object = {}): Promise<number> =>
  (await appOf().invoke({ 'iopa.Method': method, 'iopa.Path': path, 'server.User': user, ...more })).status

test('a route is reached by users whom one of its schemes has authenticated', async () => {
  expect(await status('GET', '/a', { id: 'ann', by: 'password' })).toBe(200)
  expect(await status('GET', '/a', { id: 'ann', by: 'key' })).toBe(200)
  expect(await status('PUT', '/a', { id: 'ann', by: 'key' })).toBe(200)
  expect(await status('PUT', '/a', { id: 'ann', by: 'password' })).toBe(403)
  expect(await status('GET', '/a', { id: 'ann' })).toBe(403)
  expect(await status('GET', '/open')).toBe(200)
})

test('a request without a user is challenged', async () => {
  const answer = await appOf().invoke({ 'iopa.Path': '/a' })
  expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="app", charset="UTF-8"'])
  expect((await answer.json()) as object).toMatchObject({ code: 'unauthenticated' })
})

test('a replica of another worker has no user', async () => {
  expect(await status('PUT', '/a', undefined, { 'server.IsReplica': true })).toBe(200)
})

test('such a route is guarded: it hides from listings', () => {
  expect([...appOf().routes()].map(({ pattern, guarded }) => [pattern, guarded === true])).toEqual([
    ['/open', false],
    ['/a', true],
    ['/a', true]
  ])
})
