import { App, type AppOptions, type Context, defineMiddleware, IopaError, type User } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { memorySessions, type Session, type SessionStore, sessions } from '../src/index.ts'
import { ask, Browser } from './support.ts'

type Options = Parameters<typeof sessions>[0]

const NAME = '__Host-session'
const userOf = (session: Pick<Session, 'get'>): User | undefined => {
  const id = session.get('user')
  return typeof id === 'string' ? { id } : undefined
}

const site = (options: Options = {}, appOptions: AppOptions = {}): App =>
  new App({ logger: false, ...appOptions }).use(sessions({ user: userOf, ...options })).use(async (context: Context) => {
    const session = (context as Context<'session.Session'>)['session.Session']
    const [, action, name = '', value] = context.path.split('/')
    switch (action) {
      case 'set':
        session.set(name, value)
        break
      case 'slow': {
        const before = session.get('n')
        await new Promise(resolve => setImmediate(resolve))
        session.set(name, value)
        return String(before)
      }
      case 'delete':
        session.delete(name)
        break
      case 'login':
        session.regenerate()
        session.set('user', name)
        break
      case 'careless':
        session.set('user', name)
        break
      case 'logout':
        session.destroy()
        break
      case 'fail':
        session.set(name, 'kept')
        throw new IopaError(401, 'who')
    }
    return `${session.get('n') ?? '-'} ${context.user?.id ?? '-'}`
  })

describe('a session', () => {
  test('begins with the first value, and lasts from request to request', async () => {
    const store = memorySessions()
    const ann = new Browser(site({ store }))
    expect([(await ann.ask('/')).set, store.size]).toEqual([[], 0])
    const { set } = await ann.ask('/set/n/1')
    expect(set).toEqual([expect.stringMatching(/^__Host-session=[\w-]{43}; Max-Age=86400; Path=\/; HttpOnly; Secure; SameSite=Lax$/)])
    expect([(await ann.ask('/')).text, (await ann.ask('/')).set, store.size]).toEqual(['1 -', [], 1])
    await ann.ask('/delete/n')
    expect((await ann.ask('/')).text).toBe('- -')
  })

  test('is kept when the request fails', async () => {
    const ann = new Browser(site())
    expect((await ann.ask('/fail/n')).status).toBe(401)
    expect((await ann.ask('/')).text).toBe('kept -')
  })

  test('gets another id at a login, and keeps its values', async () => {
    const store = memorySessions()
    const ann = new Browser(site({ store }))
    await ann.ask('/set/n/1')
    const before = ann.jar.get(NAME) as string
    await ann.ask('/login/ann')
    expect([(await ann.ask('/')).text, ann.jar.get(NAME) === before, store.size]).toEqual(['1 ann', false, 1])
    expect(await (await ask(site({ store }), '/', `${NAME}=${before}`)).text()).toBe('- -')
  })

  // CVE-2023-29019 of @fastify/passport.
  test('gets another id at a login also where the app does not ask for it', async () => {
    const store = memorySessions()
    const mallory = new Browser(site({ store }))
    await mallory.ask('/set/n/1')
    const victim = new Browser(site({ store }))
    victim.jar.set(NAME, mallory.jar.get(NAME) as string)
    await victim.ask('/careless/ann')
    expect([(await victim.ask('/')).text, (await mallory.ask('/')).text]).toEqual(['1 ann', '- -'])
  })

  test.each(['x'.repeat(43), 'short', '', '__proto__', `${'x'.repeat(43)}; ${NAME}=${'y'.repeat(43)}`])(
    'is never begun with an id of the browser: %j',
    async id => {
      const store = memorySessions()
      const app = site({ store })
      const answer = await ask(app, '/set/n/1', `${NAME}=${id}`)
      expect(answer.headers.get('set-cookie')).not.toContain(id || 'nothing')
      expect(store.get(id)).toBeUndefined()
    }
  )

  test('that has ended is none, and its cookie stays until a logout', async () => {
    const ann = new Browser(site())
    ann.jar.set(NAME, 'x'.repeat(43))
    expect(await ann.ask('/')).toMatchObject({ text: '- -', set: [] })
    expect((await ann.ask('/logout')).set).toEqual([expect.stringContaining(`${NAME}=; Max-Age=0`)])
  })

  test('of a login is not taken away by requests with the former id that are answered later', async () => {
    const app = site()
    const ann = new Browser(app)
    await ann.ask('/set/n/1')
    const former = `${NAME}=${ann.jar.get(NAME)}`
    const [slow] = await Promise.all([ask(app, '/slow/m/1', former), ann.ask('/login/ann')])
    const late = await ask(app, '/', former)
    for (const answer of [slow, late]) ann.keep(answer.headers.getAll('set-cookie'))
    expect((await ann.ask('/')).text).toBe('1 ann')
  })

  test('ends at the logout, and its id opens nothing', async () => {
    const store = memorySessions()
    const ann = new Browser(site({ store }))
    await ann.ask('/login/ann')
    const id = ann.jar.get(NAME)
    expect([(await ann.ask('/logout')).set, store.size]).toEqual([[expect.stringContaining('Max-Age=0')], 0])
    expect(await (await ask(site({ store }), '/', `${NAME}=${id}`)).text()).toBe('- -')
  })

  test('does not come back by a request that was under way at the logout', async () => {
    const store = memorySessions()
    const ann = new Browser(site({ store }))
    await ann.ask('/login/ann')
    await Promise.all([ann.ask('/slow/n/1'), ann.ask('/logout')])
    expect([store.size, (await ann.ask('/')).text]).toEqual([0, '- -'])
  })

  test('keeps what requests at once have set, each its own', async () => {
    const kept = new Map<string, string>()
    const later = <T>(work: () => T): Promise<T> => new Promise(resolve => setImmediate(() => resolve(work())))
    const store: SessionStore = {
      get: key => later(() => kept.get(key)),
      set: (key, value) => later(() => kept.set(key, value)),
      delete: key => later(() => kept.delete(key))
    }
    const ann = new Browser(site({ store }))
    await ann.ask('/set/n/0')
    await Promise.all(Array.from({ length: 20 }, (_, at) => ann.ask(`/slow/m${at}/x`)))
    const names = (JSON.parse([...kept.values()][0] as string) as { values: [string, unknown][] }).values.map(([name]) => name)
    expect(names.sort()).toEqual(['n', ...Array.from({ length: 20 }, (_, at) => `m${at}`)].sort())
  })

  test('is in the store under a hash, so that the store opens no session', async () => {
    const kept = new Map<string, string>()
    const store: SessionStore = { get: key => kept.get(key), set: (key, value) => kept.set(key, value), delete: key => kept.delete(key) }
    const ann = new Browser(site({ store }))
    await ann.ask('/set/n/1')
    const text = JSON.stringify([...kept])
    expect(text).not.toContain(ann.jar.get(NAME))
    expect(await (await ask(site({ store }), '/', `${NAME}=${[...kept.keys()][0]}`)).text()).toBe('- -')
  })

  test('with keys has a signed cookie, and invented ids do not reach the store', async () => {
    let reads = 0
    const inner = memorySessions()
    const store: SessionStore = { get: key => (reads++, inner.get(key)), set: (...given) => inner.set(...given), delete: key => inner.delete(key) }
    const ann = new Browser(site({ store, keys: ['k'.repeat(32)] }))
    await ann.ask('/set/n/1')
    reads = 0
    expect([(await ann.ask('/')).text, reads]).toEqual(['1 -', 1])
    ann.jar.set(NAME, (ann.jar.get(NAME) as string).replace(/^./, 'x'))
    expect([(await ann.ask('/')).text, reads]).toEqual(['- -', 1])
  })
})

describe("what 'user' gives", () => {
  const whoami = (user: unknown) =>
    new App({ logger: false }).use(sessions({ user: user as typeof userOf })).use(context => {
      if (context.path !== '/') context['session.Session'].set('n', 1)
      return JSON.stringify(context.user ?? null)
    })

  test.each([
    ['the promise of an asynchronous function', async () => ({ id: 'ann' })],
    ['the promise of nobody', async () => undefined],
    ['an object without an id', () => ({ name: 'ann' })],
    ['an empty id', () => ({ id: '' })],
    ['a text', () => 'ann']
  ])('is no user where it is %s', async (_, user) => {
    const app = whoami((session: Session) => (session.get('n') === undefined ? undefined : user()))
    expect((await ask(app, '/set')).status).toBe(500)
    let isKept = false
    const other = whoami(() => (isKept ? user() : undefined))
    const cookie = (await ask(other, '/set')).headers.get('set-cookie')?.split(';')[0]
    isKept = true
    expect((await ask(other, '/', cookie)).status).toBe(500)
  })

  test('ends when the app says so, before its session does', async () => {
    const clock = virtualClock({ start: 1_700_000_000_000 })
    const until = 1_700_000_060_000
    const app = new App({ logger: false, clock })
      .use(sessions({ user: session => (session.get('n') === undefined ? undefined : { id: 'ann', valid: { until } }) }))
      .use(context => {
        if (context.path !== '/') context['session.Session'].set('n', 1)
        return JSON.stringify(context.user?.valid?.until ?? null)
      })
    const cookie = (await ask(app, '/set')).headers.get('set-cookie')?.split(';')[0]
    expect(await (await ask(app, '/', cookie)).text()).toBe(String(until))
    await clock.advance(60_000)
    expect(await (await ask(app, '/', cookie)).text()).toBe('null')
  })
})

describe('the values of a session', () => {
  const values = async (use: (session: Session) => unknown): Promise<number> => {
    const app = new App({ logger: false }).use(sessions()).use(context => {
      use(context['session.Session'])
      return 'done'
    })
    return (await ask(app)).status
  }

  test.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a bigint', 1n],
    ['a circle', Object.assign([] as unknown[], { 0: [] })]
  ])('are JSON, and not %s', async (name, value) => {
    if (name === 'a circle') (value as unknown[])[0] = value
    expect(await values(session => session.set('a', value))).toBe(500)
  })

  test('are copies, and frozen', async () => {
    const cart = ['a']
    expect(
      await values(session => {
        session.set('cart', cart)
        cart.push('b')
        expect(session.get('cart')).toEqual(['a'])
        ;(session.get('cart') as string[]).push('c')
      })
    ).toBe(500)
  })

  test('may have names of prototypes', async () =>
    expect(
      await values(session => {
        expect(session.get('__proto__')).toBeUndefined()
        session.set('__proto__', { evil: true })
        expect([session.get('__proto__'), ({} as { evil?: unknown }).evil]).toEqual([{ evil: true }, undefined])
      })
    ).toBe(200))

  test('are bounded', async () => expect(await values(session => session.set('a', 'x'.repeat(70_000)))).toBe(500))
})

describe('the time of a session', () => {
  const clocked = (options: Options) => {
    const clock = virtualClock({ start: 1_700_000_000_000 })
    const ann = new Browser(site(options, { clock }))
    return { clock, ann, after: async (seconds: number) => (await clock.advance(seconds * 1000), (await ann.ask('/')).text) }
  }

  test('is counted from the last request', async () => {
    const { ann, after } = clocked({ maxAge: 100 })
    await ann.ask('/set/n/1')
    expect([await after(90), await after(90), await after(101)]).toEqual(['1 -', '1 -', '- -'])
  })

  test('is written after a tenth of it only', async () => {
    const { ann, clock } = clocked({ maxAge: 100 })
    await ann.ask('/set/n/1')
    await clock.advance(9000)
    expect((await ann.ask('/')).set).toEqual([])
    await clock.advance(2000)
    expect((await ann.ask('/')).set).toEqual([expect.stringContaining('Max-Age=100')])
  })

  test('is counted from the beginning with rolling: false', async () => {
    const { ann, after } = clocked({ maxAge: 100, rolling: false })
    await ann.ask('/set/n/1')
    expect([await after(90), await after(11)]).toEqual(['1 -', '- -'])
  })

  test('has an absolute end', async () => {
    const { ann, after } = clocked({ maxAge: 100, absolute: 150 })
    await ann.ask('/set/n/1')
    expect([await after(90), await after(50), await after(11)]).toEqual(['1 -', '1 -', '- -'])
  })
})

describe('a store that fails', () => {
  const broken = (method: 'get' | 'set' | 'delete', late: boolean): SessionStore => {
    const inner = memorySessions()
    const fail = (): never | Promise<never> => {
      if (late) return Promise.reject(new Error('redis://secret'))
      throw new Error('redis://secret')
    }
    const store = { get: inner.get.bind(inner), set: inner.set.bind(inner), delete: inner.delete.bind(inner) }
    return { ...store, [method]: fail }
  }

  test.each([
    ['get', true],
    ['get', false],
    ['set', true],
    ['set', false]
  ] as const)('at %s (late: %s) is answered with 503, and nothing of it is sent', async (method, late) => {
    const answer = await ask(site({ store: broken(method, late) }), '/set/n/1', `${NAME}=${'x'.repeat(43)}`)
    const text = await answer.text()
    expect([answer.status, answer.headers.getAll('set-cookie').join().includes('Max-Age=86400')]).toEqual([503, false])
    expect(text).toContain('session-store')
    expect(text).not.toContain('secret')
  })
})

describe('an observer', () => {
  const guard = defineMiddleware({ name: 'guard', provides: [] }, (context, next) => {
    if (context.user === undefined) throw new IopaError(401, 'who', 'Log in.')
    return next()
  })

  test.each(['coap', 'mqtt', 'tcp'])('over %s has no session', async scheme => {
    const store = memorySessions()
    const answer = await ask(site({ store }), '/set/n/1', undefined, { 'iopa.Scheme': scheme })
    expect([await answer.text(), answer.headers.has('set-cookie'), store.size]).toEqual(['1 -', false, 0])
  })

  test('behind a guard passes with its session alone', async () => {
    const store = memorySessions()
    const ann = new Browser(site({ store }))
    await ann.ask('/login/ann')
    const app = new App({ logger: false })
      .use(sessions({ store, user: userOf }))
      .use(guard)
      .use(() => 'secret')
    expect((await ask(app, '/')).status).toBe(401)
    expect((await ask(app, '/', `${NAME}=${ann.jar.get(NAME)}`)).status).toBe(200)
  })
})

describe('options', () => {
  test.each([
    [{ store: {} }, "no method 'get'"],
    [{ maxAge: 0 }, "'maxAge'"],
    [{ absolute: 1.5 }, "'absolute'"],
    [{ rolling: 1 }, "'rolling'"],
    [{ user: 'ann' }, "'user'"],
    [{ keys: ['short'] }, "'keys'"],
    [{ cookie: { maxAge: 1 } }, "no option 'maxAge'"],
    [{ secret: 'x' }, "no option 'secret'"]
  ])('%j is refused', (options, sentence) =>
    expect(() => sessions(options as never)).toThrow(expect.objectContaining({ code: 'bad-option', detail: expect.stringContaining(sentence) }))
  )

  test('of the cookie: a name, a path and a prefix that does not fit', async () => {
    const app = site({ cookie: { name: 'id', path: '/app', sameSite: 'strict' } })
    expect((await ask(app, '/set/n/1')).headers.get('set-cookie')).toMatch(/^id=.*Path=\/app; HttpOnly; Secure; SameSite=Strict$/)
    expect((await ask(site({ cookie: { domain: 'example.com' } }), '/set/n/1')).headers.get('set-cookie')).toMatch(/^session=/)
    expect(() => sessions({ cookie: { name: '__Host-id', path: '/app' } })).toThrow(expect.objectContaining({ code: 'bad-cookie' }))
  })
})
