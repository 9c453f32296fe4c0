import { App, type Bag, type User } from '@iopa/appbuilder'
import { allow, basic, type Rule } from '@iopa/auth'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { ask } from './support.ts'

const nobody = basic({ verify: () => null, optional: true })
const ann: User = { id: 'ann', roles: ['admin', 'staff'] }
const bob: User = { id: 'bob' }
const appOf = (...rules: Rule[]) =>
  new App({ logger: false })
    .use(nobody)
    .use(allow(rules))
    .use(() => 'reached')
type Asked = readonly [method: string, path: string, user?: User]
const bagOf = ([method, path, user]: Asked): Bag => ({ 'iopa.Method': method, 'iopa.Path': path, 'server.User': user })
const statuses = async (rules: Rule[], ...asked: Asked[]): Promise<number[]> => {
  const app = appOf(...rules)
  return Promise.all(asked.map(async one => (await ask(app, bagOf(one))).status))
}

describe('who', () => {
  test('nothing is permitted without a rule: 401 without a user, with the challenges of authentication, and 403 with one', async () => {
    const app = appOf()
    expect(await ask(app, bagOf(['GET', '/a']))).toMatchObject({
      status: 401,
      code: 'unauthenticated',
      challenge: 'Basic realm="app", charset="UTF-8"'
    })
    expect(await ask(app, bagOf(['GET', '/a', ann]))).toMatchObject({ status: 403, code: 'not-permitted' })
  })

  test('a rule that says nothing of the user is for every user', async () => {
    expect(await statuses([{ to: '/a' }], ['GET', '/a', bob], ['GET', '/a'], ['GET', '/b', bob])).toEqual([200, 401, 403])
  })

  test('anyone includes requests without a user', async () => {
    expect(await statuses([{ anyone: true, to: '/a' }], ['GET', '/a'], ['GET', '/a', bob])).toEqual([200, 200])
  })

  test('roles and users name whom it is for, and both must hold', async () => {
    expect(await statuses([{ roles: 'admin', to: '/a' }], ['GET', '/a', ann], ['GET', '/a', bob], ['GET', '/a'])).toEqual([200, 403, 401])
    expect(await statuses([{ roles: ['x', 'staff'], to: '/a' }], ['GET', '/a', ann])).toEqual([200])
    expect(await statuses([{ users: 'bob', to: '/a' }], ['GET', '/a', ann], ['GET', '/a', bob])).toEqual([403, 200])
    expect(await statuses([{ users: ['ann', 'bob'], roles: 'admin', to: '/a' }], ['GET', '/a', ann], ['GET', '/a', bob])).toEqual([200, 403])
    // A text is no list of roles: 'administrator' must not hold 'admin'.
    for (const roles of ['admin', { 0: 'admin', length: 1 }, undefined])
      expect(await statuses([{ roles: 'admin', to: '/a' }], ['GET', '/a', { id: 'x', roles } as never])).toEqual([403])
  })

  test('an owner is the user whose id stands in the path', async () => {
    const rules: Rule[] = [{ owner: 'user', to: ['/users/{user}/#', '/homes/{user}-home', '/x/{user}'].slice(0, 1) }]
    expect(
      await statuses(rules, ['GET', '/users/bob', bob], ['PUT', '/users/bob/a/b', bob], ['GET', '/users/ann', bob], ['GET', '/users/bob'])
    ).toEqual([200, 200, 403, 401])
    expect(await statuses(rules, ['GET', '/users/bobby', bob], ['GET', '/users/bo', bob], ['GET', '/users', bob])).toEqual([403, 403, 403])
  })

  test('a condition of the app decides with the parameters, at once', async () => {
    const rules: Rule[] = [{ to: '/lights/{id}/#', when: (context, { id }) => id === `of-${context.user?.id}` }]
    expect(await statuses(rules, ['GET', '/lights/of-bob/a', bob], ['GET', '/lights/of-ann', bob])).toEqual([200, 403])
    expect(await statuses([{ to: '/a', when: (() => Promise.resolve(false)) as never }], ['GET', '/a', bob])).toEqual([500])
  })
})

describe('what', () => {
  const all: readonly string[] = ['GET', 'HEAD', 'FETCH', 'PUT', 'POST', 'PATCH', 'iPATCH', 'DELETE', 'OPTIONS', 'PURGE']
  test.each<[Rule['may'], string[]]>([
    [undefined, ['GET', 'HEAD', 'FETCH', 'PUT', 'POST', 'PATCH', 'iPATCH', 'DELETE', 'OPTIONS', 'PURGE']],
    ['read', ['GET', 'HEAD', 'FETCH', 'OPTIONS']],
    ['change', ['PUT', 'POST', 'PATCH', 'iPATCH', 'DELETE', 'OPTIONS']],
    ['observe', ['OPTIONS']],
    ['GET', ['GET', 'HEAD', 'OPTIONS']],
    ['HEAD', ['HEAD', 'OPTIONS']],
    [
      ['PURGE', 'read'],
      ['GET', 'HEAD', 'FETCH', 'OPTIONS', 'PURGE']
    ]
  ])('%s', async (may, expected) => {
    const found = await statuses([{ to: '/a', ...(may === undefined ? {} : { may }) }], ...all.map((method): Asked => [method, '/a', bob]))
    expect(all.filter((_, at) => found[at] === 200)).toEqual(expected)
  })

  test('observe lets observe and not read, and can be refused to those who may read', async () => {
    const bag = { ...bagOf(['GET', '/a', bob]), 'iopa.Observe': true }
    expect(await ask(appOf({ to: '/a', may: 'observe' }), bag)).toMatchObject({ status: 200 })
    expect(await ask(appOf({ to: '/a', may: 'GET' }), bag)).toMatchObject({ status: 200 })
    const never = appOf({ deny: true, to: '/a', may: 'observe' }, { to: '/a' })
    expect(await ask(never, bag)).toMatchObject({ status: 403 })
    expect(await ask(never, bagOf(['GET', '/a', bob]))).toMatchObject({ status: 200 })
  })

  test('OPTIONS is answered where something is permitted', async () => {
    expect(await statuses([{ to: '/a', may: 'PUT' }], ['OPTIONS', '/a', bob], ['OPTIONS', '/b', bob], ['OPTIONS', '/a'])).toEqual([200, 403, 401])
    expect(await statuses([{ deny: true, to: '/a' }, { to: '/#' }], ['OPTIONS', '/a', bob])).toEqual([403])
  })
})

describe('where', () => {
  test.each<[string, string[], string[]]>([
    ['/a', ['/a', '/a/'], ['/', '/ab', '/a/b', '/A']],
    ['/a/', ['/a', '/a/'], ['/a/b']],
    ['/', ['/'], ['/a']],
    ['/{id}', ['/a', '/a/', '/$SYS'], ['/', '/a/b']],
    ['/a/{id}/c', ['/a/b/c', '/a/b/c/'], ['/a/b/d', '/a/b']],
    ['/a/{id:[0-9]+}', ['/a/1'], ['/a/x', '/a/1x', '/a']],
    ['/a/{name}.json', ['/a/x.json'], ['/a/.json', '/a/x.xml']],
    ['/a/:id?', ['/a', '/a/b'], ['/a/b/c']],
    ['/a/*', ['/a/b', '/a/b/c', '/a/', '/a/b/'], ['/a', '/ab']],
    ['/a/{rest*}', ['/a/b', '/a/b/c'], ['/a']],
    ['/a/#', ['/a', '/a/', '/a/b', '/a/b/c'], ['/ab', '/']],
    ['/a/+', ['/a/b', '/a/b/'], ['/a', '/a/', '/a/b/c']],
    ['/+/b', ['/a/b'], ['/$SYS/b', '/a/c']],
    ['/#', ['/', '/a', '/a/b'], ['/$SYS', '/$SYS/a']],
    ['/$SYS/#', ['/$SYS', '/$SYS/a'], ['/a']],
    ['/a/c++', ['/a/c++'], ['/a/c']],
    ['/a/+/{id}/#', ['/a/x/y', '/a/x/y/z'], ['/a/x', '/a/x/']],
    ['/ü b', ['/ü b'], ['/%C3%BC%20b']]
  ])('%s', async (to, inside, outside) => {
    const found = await statuses([{ to, anyone: true }], ...[...inside, ...outside].map((path): Asked => ['GET', path]))
    expect([...inside, ...outside].filter((_, at) => found[at] === 200)).toEqual(inside)
  })

  test('the first rule that is about a request decides', async () => {
    const rules: Rule[] = [{ to: '/a/b', roles: 'admin' }, { to: '/a/b', deny: true, may: 'change' }, { to: '/a/#' }]
    expect(
      await statuses(rules, ['PUT', '/a/b', ann], ['PUT', '/a/b', bob], ['PUT', '/a/b/', bob], ['GET', '/a/b', bob], ['PUT', '/a/c', bob])
    ).toEqual([200, 403, 403, 200, 200])
  })

  test('rules see the whole path in mounted apps, and the path of a mount that they guard', async () => {
    const inner = new App().use(allow([{ to: '/api/a' }])).use(() => 'inner')
    const app = new App({ logger: false }).use(nobody).mount('/api', inner)
    expect((await ask(app, bagOf(['GET', '/api/a', bob]))).status).toBe(200)
    expect((await ask(app, bagOf(['GET', '/api/b', bob]))).status).toBe(403)
    const mounted = new App({ logger: false })
      .use(nobody)
      .mount('/api', allow([{ to: '/api/a/#' }]))
      .mount('/api/b', () => 'below')
      .use(() => 'rest')
    expect((await ask(mounted, bagOf(['GET', '/api/a/x', bob]))).text).toBe('rest')
    expect((await ask(mounted, bagOf(['GET', '/api/b', bob]))).status).toBe(403)
    expect((await ask(mounted, bagOf(['GET', '/other']))).text).toBe('rest')
  })

  test('middleware behind it that rewrites path or method cannot go round it', async () => {
    const app = new App({ logger: false })
      .use(nobody)
      .use(allow([{ to: '/public/#', may: 'read' }, { to: '/open' }]))
      .use((context, next) => {
        const to = context.query.get('to')
        if (to !== null) context.path = to
        const method = context.query.get('method')
        if (method !== null) context.method = method
        return next()
      })
      .use(router())
    app
      .get('/secret', () => 'secret')
      .get('/open', () => 'open')
      .put('/public/a', () => 'changed')
    const rewritten = (query: string) => ask(app, { ...bagOf(['GET', '/public/a', bob]), 'iopa.QueryString': query })
    expect(await rewritten('to=/secret')).toMatchObject({ status: 403, code: 'not-permitted' })
    expect(await rewritten('method=PUT')).toMatchObject({ status: 403, code: 'not-permitted' })
    expect(await rewritten('to=/open')).toMatchObject({ status: 200, text: 'open' })
  })
})

describe('subscriptions', () => {
  const rules: Rule[] = [
    { to: '/alarms/#', deny: true, roles: 'guest' },
    { to: '/lights/{id}/state', may: 'read' },
    { to: '/users/{user}/#', owner: 'user' },
    { to: '/doors/#', may: 'change' },
    { to: '/alarms/#', may: 'observe' },
    { to: '/when/{id}', when: () => false }
  ]
  const guest: User = { id: 'guest', roles: ['guest'] }
  test.each<[string, User, number]>([
    ['/lights/+/state', bob, 200],
    ['/lights/#', bob, 200],
    ['/#', bob, 200],
    ['/+/x/state', bob, 200],
    ['/lights/+/power', bob, 403],
    ['/lights/+', bob, 403],
    ['/lights/+/state/+', bob, 403],
    ['/users/bob/#', bob, 200],
    ['/users/+/a', bob, 200],
    ['/users/ann/#', bob, 403],
    ['/users/+', { id: '$x' }, 200],
    ['/doors/#', bob, 403],
    ['/alarms/+', bob, 200],
    ['/alarms/#', guest, 403],
    ['/alarms/+/a', guest, 403],
    ['/#', guest, 200],
    ['/when/+', bob, 200],
    ['/$SYS/#', bob, 403],
    // Without wildcards it is decided as a read of the path.
    ['/lights/a/state', bob, 200],
    ['/when/a', bob, 403],
    ['/doors/a', bob, 403]
  ])('%s for %o: %i', async (filter, user, status) => {
    expect(await statuses(rules, ['SUBSCRIBE', filter, user])).toEqual([status])
  })

  test('connecting, leaving and unsubscribing are not a matter of rules; publishing to what is no path is a change', async () => {
    expect(await statuses([], ['CONNECT', '/'], ['DISCONNECT', '/'], ['UNSUBSCRIBE', '/a/#'])).toEqual([200, 200, 200])
    expect(
      await statuses(
        [
          { to: '/a/#', may: 'change' },
          { to: '/b/#', may: 'read' }
        ],
        ['PUBLISH', '/a/x', bob],
        ['PUBLISH', '/b/x', bob]
      )
    ).toEqual([200, 403])
  })
})

test('rules behind the routes, or without authentication before them, are refused at build', () => {
  expect(() => new App().use(nobody).use(router()).use(allow([])).build()).toThrow(expect.objectContaining({ code: 'permits-too-late' }))
  expect(() => new App().use(allow([])).build()).toThrow(expect.objectContaining({ code: 'missing-key' }))
})

test('rules that mean nothing are refused', () => {
  const wrong: unknown[] = [
    {},
    { to: [] },
    { to: 'a' },
    { to: '/a', anyone: true, roles: 'x' },
    { to: '/a', owner: 'user' },
    { to: ['/{user}', '/a'], owner: 'user' },
    { to: '/{user}?', owner: 'user' },
    { to: '/{user}-x', owner: 'user' },
    { to: '/a', may: 'get' },
    { to: '/a', may: [] },
    { to: '/a', may: 1 },
    { to: '/a/#/b' },
    { to: '/a#' },
    { to: '/a/*/#' },
    { to: '/a', role: 'x' },
    { to: '/a', roles: [] },
    { to: '/a', users: '' },
    { to: '/a', when: true },
    { to: '/a', deny: 'yes' },
    null
  ]
  for (const rule of wrong) expect(() => allow([rule as Rule]), JSON.stringify(rule)).toThrow(expect.objectContaining({ status: 500 }))
  expect(() => allow({} as never)).toThrow(expect.objectContaining({ code: 'bad-option' }))
})
