import { App } from '@iopa/appbuilder'
import { RECORD, type RunContext } from '@iopa/context/host'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'

test('the answer has the pattern of its route with the path base of its mount, outside of the mount too', async () => {
  const seen: string[] = []
  const app = new App({ logger: false }).use(async (context, next) => {
    const value = await next()
    seen.push((context as RunContext)[RECORD].route)
    return value
  })
  const inner = new App({ logger: false }).use(router())
  inner.get('/users/:id', () => 'user')
  inner.get('/', () => 'root')
  const full = app.use(router()).mount('/admin', inner)
  full.get('/lights/{id}', () => 'light')
  for (const path of ['/lights/1', '/admin/users/7', '/admin', '/nothing', '/admin/nothing']) await full.invoke({ 'iopa.Path': path })
  expect(seen).toEqual(['/lights/{id}', '/admin/users/:id', '/admin', '', ''])
})
