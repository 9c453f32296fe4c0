// What rules do not let a user read is not listed for that user.
import { App, type User } from '@iopa/appbuilder'
import type { AppHandle } from '@iopa/appbuilder/extension'
import { allow, basic } from '@iopa/auth'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'

const ann: User = { id: 'ann', roles: ['admin'] }
const bob: User = { id: 'bob' }

const serve = () => {
  let handle: AppHandle | undefined
  const app = new App({ logger: false })
    .use(basic({ verify: () => null, optional: true }))
    .use({ name: 'lister', extend: (given: AppHandle) => ((handle = given), {}) })
    .use(
      allow([
        { roles: 'admin', to: '/#' },
        { anyone: true, may: 'read', to: ['/public', '/list'] },
        { may: 'change', to: '/lights/{id}' },
        { owner: 'user', to: '/users/{user}' }
      ])
    )
    .use(router())
  app
    .get('/public', () => 1)
    .get('/secret', () => 1)
    .get('/lights/{id}', () => 1)
    .put('/lights/{id}', () => 1)
    .get('/users/{user}', { instances: () => ['/users/ann', '/users/bob'] }, () => 1)
    .get('/', () => 1)
    .get('/list', context =>
      Array.from((handle as AppHandle).routes(context), ({ method, pattern, attributes }) => [
        `${method} ${pattern}`,
        ...(attributes.instances?.() ?? [])
      ])
    )
  return app
}

const listed = async (user?: User): Promise<unknown> => (await serve().invoke({ 'iopa.Path': '/list', 'server.User': user })).json()

test('a listing names the routes that the rules permit, and the instances', async () => {
  expect(await listed()).toEqual([['GET /public'], ['GET /list']])
  expect(await listed(bob)).toEqual([['GET /public'], ['PUT /lights/{id}'], ['GET /users/{user}', '/users/bob'], ['GET /list']])
  expect(await listed(ann)).toHaveLength(7)
})

test('a listing leaves out routes whose own rules would refuse, alone or in a group', async () => {
  let handle: AppHandle | undefined
  let seen: string[] = []
  const app = new App({ logger: false })
    .use(basic({ verify: () => null, optional: true }))
    .use({ name: 'lister', extend: (given: AppHandle) => ((handle = given), {}) })
    .use(router())
  const admins = allow([{ roles: 'admin', to: '/#' }])
  app
    .get('/list', context => {
      seen = Array.from((handle as AppHandle).routes(context), ({ pattern }) => pattern)
    })
    .get('/secret', admins, () => 1)
    .group('/staff', staff => staff.get('/names', admins, () => 1))
  for (const [user, expected] of [
    [undefined, ['/list']],
    [bob, ['/list']],
    [ann, ['/list', '/secret', '/staff/names']]
  ] as const) {
    await app.invoke({ 'iopa.Path': '/list', 'server.User': user })
    expect(seen).toEqual(expected)
  }
})
