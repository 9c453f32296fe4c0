// Observers of one user share runs although authentication and rules stand before them.
import { setMaxListeners } from 'node:events'
import { App, type User } from '@iopa/appbuilder'
import { allow, basic } from '@iopa/auth'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { basicOf } from './support.ts'

const USERS: Readonly<Record<string, User>> = { ann: { id: 'ann', roles: ['staff'] }, bob: { id: 'bob', roles: ['staff'] } }

test('one change to a thousand observers of a user is one GET, and another user has one more', async () => {
  let runs = 0
  let state = 0
  const app = new App({ logger: false })
    .use(basic({ verify: name => USERS[name] }))
    .use(
      allow([
        { roles: 'staff', to: '/staff/#' },
        { anyone: true, to: '/public' }
      ])
    )
    .use(router())
  for (const path of ['/staff/state', '/public'])
    app.get(path, () => {
      runs++
      return { state }
    })
  for (const [path, count, expected] of [
    ['/staff/state', 1000, 2],
    ['/public', 100, 1]
  ] as const) {
    const ending = new AbortController()
    setMaxListeners(0, ending.signal)
    let heard = 0
    const open = async (name: string): Promise<void> => {
      const observed = app.observe(path, { signal: ending.signal, headers: { authorization: basicOf(name, 'x') } })
      for await (const answer of observed) if (((await answer.json()) as { state: number }).state === state) heard++
    }
    state = 0
    const all = Array.from({ length: count }, (_, at) => open(at % 2 === 0 ? 'ann' : 'bob').catch(() => undefined))
    await expect.poll(() => heard).toBe(count)
    runs = heard = 0
    state++
    app.notify(path)
    await expect.poll(() => heard).toBe(count)
    expect(runs, path).toBe(expected)
    ending.abort()
    await Promise.all(all)
  }
  await app.close()
})
