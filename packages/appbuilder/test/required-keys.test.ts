import { App, defineMiddleware } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'

const auth = defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context, next) => {
  context['server.User'] = { id: 'ann' }
  return next()
})
const inner = (): App<'server.User'> => new App({ logger: false, requires: ['server.User'] }).use(context => `hello ${context.user.id}`)

describe('an app that requires a key', () => {
  test('runs within an app that provides the key before it, however it is added', async () => {
    const apps = [
      new App({ logger: false }).use(auth).mount('/a', inner()),
      new App({ logger: false }).use(auth).use(inner()),
      new App({ logger: false }).use(auth).mount('/a', new App({ logger: false, requires: ['server.User'] }).use(inner()))
    ]
    for (const app of apps) expect(await (await app.invoke({ 'iopa.Path': '/a' })).text()).toBe('hello ann')
  })

  test('does not build alone', () => {
    expect(() => inner().build()).toThrow(/requires 'server.User' does not run alone: mount it in an app, behind what provides it/)
  })

  test('does not build where nothing before it provides the key', () => {
    // What the types refuse, plain JavaScript can write.
    const mounted = (app: App): App => app.mount('/a', inner() as never)
    expect(() => mounted(new App({ logger: false })).build()).toThrow(/'mount \/a' requires 'server.User', which nothing before it provides/)
    expect(() =>
      mounted(new App({ logger: false }))
        .use(auth)
        .build()
    ).toThrow(/move 'auth' before 'mount \/a'/)
  })
})
