import { describe, expect, test, vi } from 'vitest'

// As in an application into which a package manager has put this package twice.
const copy = async (): Promise<typeof import('@iopa/appbuilder') & Pick<typeof import('@iopa/context/host'), 'HeaderMap'>> => {
  vi.resetModules()
  const { HeaderMap } = await import('@iopa/context/host')
  return { ...(await import('@iopa/appbuilder')), HeaderMap }
}
const A = await copy()
const B = await copy()
const get = (path: string) => ({ 'iopa.Method': 'GET', 'iopa.Path': path })

describe('two copies of the package', () => {
  test('are two', () => {
    expect(A.App).not.toBe(B.App)
  })

  test('mount and use apps of each other', async () => {
    const inner = new B.App().use(context => (context.path === '/x' ? { path: context.path, base: context.pathBase } : undefined))
    const answer = await new A.App().mount('/m', inner).invoke(get('/m/x'))
    expect([answer.status, await answer.json()]).toEqual([200, { path: '/x', base: '/m' }])
  })

  test('pass answers, replies and errors of each other on', async () => {
    const inner = new B.App({ logger: false }).use(context => {
      if (context.path === '/error') throw new B.IopaError(409, 'busy', 'Later.')
      if (context.path === '/stream') return new Set(['a', 'b'])
      return B.reply(201, { a: 1 }, { 'x-a': '1' })
    })
    const outer = new A.App({ logger: false }).use(context => inner.invoke({ 'iopa.Path': context.path }))
    const made = await outer.invoke(get('/'))
    expect([made.status, made.headers.get('x-a'), made.type, await made.json()]).toEqual([201, '1', 'application/json', { a: 1 }])
    expect(await (await outer.invoke(get('/stream'))).text()).toBe('ab')
    expect([(await outer.invoke(get('/error'))).status, await (await outer.invoke(get('/error'))).json()]).toMatchObject([409, { code: 'busy' }])
    expect((await new A.App().use(() => B.reply(202)).invoke(get('/'))).status).toBe(202)
    const thrower = new A.App({ logger: false }).use(() => {
      throw new B.IopaError(409, 'busy')
    })
    expect((await thrower.invoke(get('/'))).status).toBe(409)
  })

  test('take header maps of each other', async () => {
    const common = B.HeaderMap.from({ a: '1' })
    const app = new A.App().use(context => {
      context.response.headers = common
      context.response.headers.set('b', '2')
      return 'x'
    })
    expect((await app.invoke({ ...get('/'), 'iopa.Headers': common })).headers.get('b')).toBe('2')
    expect(common.size).toBe(1)
  })
})
