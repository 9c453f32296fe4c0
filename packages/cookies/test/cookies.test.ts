import { App, type Context } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { type CookieJar, cookies } from '../src/index.ts'
import { ask, logging } from './support.ts'

const KEY = 'a-secret-of-at-least-thirty-two-bytes!'
const OTHER = 'another-secret-of-thirty-two-bytes!!!'

const jarOf = (context: Context): CookieJar => (context as Context<'cookies.Jar'>)['cookies.Jar']

/** What `use` gives with the cookies of a request. */
const read = async <T>(use: (jar: CookieJar) => T, cookie?: string | string[], options: Parameters<typeof cookies>[0] = {}): Promise<T> => {
  let value: T | undefined
  const app = new App().use(cookies(options)).use(context => {
    value = use(context['cookies.Jar'])
    return 'done'
  })
  await ask(app, '/', cookie)
  return value as T
}

const setBy = async (use: (jar: CookieJar) => unknown, options: Parameters<typeof cookies>[0] = {}, bag = {}): Promise<string[]> => {
  const { app, logged } = logging()
  app.use(cookies(options)).use(context => {
    use(jarOf(context))
    return 'done'
  })
  const answer = await ask(app, '/', undefined, bag)
  expect([answer.status, logged]).toEqual([200, []])
  return answer.headers.getAll('set-cookie')
}

describe('the cookies of a request', () => {
  test.each([
    ['one', 'a=1', { a: '1' }],
    ['several', 'a=1; b=2;c=3', { a: '1', b: '2', c: '3' }],
    ['several fields', ['a=1', 'b=2'], { a: '1', b: '2' }],
    ['encoded', 'a=%C3%A9%3B', { a: 'é;' }],
    ['badly encoded', 'a=%E0%A4%A', { a: '%E0%A4%A' }],
    ['quoted', 'a="x y"', { a: '"x y"' }],
    ['the first of two of one name', 'a=1; a=2', { a: '1' }],
    ['without a name', '=__Host-a=1; b=2', { b: '2' }],
    ['none', '', {}],
    ['no pair', 'abc; ; =', {}]
  ])('are read: %s', async (_, cookie, wanted) => expect(await read(jar => ({ ...jar.all() }), cookie)).toMatchObject(wanted))

  test('have no prototype', async () => {
    const all = await read(jar => jar.all(), '__proto__=evil; constructor=x; toString=y')
    expect(['hasOwnProperty' in all, all['__proto__'], all['toString'], ({} as { evil?: unknown }).evil]).toEqual([false, 'evil', 'y', undefined])
    expect(await read(jar => [jar.get('hasOwnProperty'), jar.get('__proto__')])).toEqual([undefined, undefined])
  })

  // GHSA-r5rp-j6wh-rvv4 of hono, and "Cookie Chaos" of PortSwigger: trimming more than browsers do makes two names one.
  test.each(['\u00a0', '\u0085', '\u2000', '\ufeff', '\u3000'])('with %j before the prefix is another cookie', async space =>
    expect(await read(jar => jar.get('__Host-id'), `${space}__Host-id=evil; __Host-id=good`)).toBe('good')
  )

  test('are compared with their case', async () => expect(await read(jar => jar.get('__Host-id'), '__host-id=evil')).toBeUndefined())

  test('are 1,000 without harm', async () => {
    const cookie = Array.from({ length: 1000 }, (_, at) => `n${at}=${at}`).join('; ')
    expect(await read(jar => [jar.get('n999'), Object.keys(jar.all()).length], cookie)).toEqual(['999', 1000])
  })
})

describe('a cookie that is set', () => {
  test('is secure, hidden from scripts, and lax', async () =>
    expect(await setBy(jar => jar.set('a', 'é; x'))).toEqual(['a=%C3%A9%3B%20x; Path=/; HttpOnly; Secure; SameSite=Lax']))

  test.each(['localhost', 'a.localhost', '127.0.0.1', '::1'])('is not secure on http://%s, so that it works there', async host => {
    const bag = { 'iopa.Scheme': 'http', 'iopa.Host': host }
    expect(await setBy(jar => jar.set('a', '1'), {}, bag)).toEqual(['a=1; Path=/; HttpOnly; SameSite=Lax'])
    expect(await setBy(jar => jar.set('__Host-a', '1'), {}, bag)).toEqual(['__Host-a=1; Path=/; HttpOnly; Secure; SameSite=Lax'])
  })

  test('is secure over HTTP on other hosts, where a proxy may have taken TLS off', async () =>
    expect((await setBy(jar => jar.set('a', '1'), {}, { 'iopa.Scheme': 'http' }))[0]).toContain('; Secure'))

  test('has the attributes of the call, and of the options', async () => {
    const options = { path: '/app', sameSite: 'strict', domain: 'example.com' } as const
    expect(
      await setBy(jar => jar.set('a', '1', { maxAge: 60, httpOnly: false, sameSite: 'none', partitioned: true, priority: 'high' }), options)
    ).toEqual(['a=1; Max-Age=60; Domain=example.com; Path=/app; Secure; Partitioned; Priority=High; SameSite=None'])
  })

  test('stays apart from others, and replaces one of its name, domain and path', async () => {
    const set = await setBy(jar => {
      jar.set('a', '1')
      jar.set('b', '2')
      jar.set('a', '3', { path: '/x' })
      jar.set('a', '4')
    })
    expect(set.map(field => field.split('; ').slice(0, 2).join(' '))).toEqual(['b=2 Path=/', 'a=3 Path=/x', 'a=4 Path=/'])
  })

  test('stays beside one of a web Response, and with an error', async () => {
    const app = new App({ logger: false }).use(cookies()).use(context => {
      context['cookies.Jar'].set('a', '1')
      if (context.path === '/error') throw new Error('x')
      return new Response('done', { headers: { 'set-cookie': 'b=2' } })
    })
    const names = async (path: string) => (await ask(app, path)).headers.getAll('set-cookie').map(field => field.slice(0, 3))
    expect([await names('/'), await names('/error')]).toEqual([['a=1', 'b=2'], ['a=1']])
  })

  test('is deleted with its path and domain', async () =>
    expect(await setBy(jar => jar.delete('a', { path: '/x', domain: 'example.com' }))).toEqual([
      'a=; Max-Age=0; Domain=example.com; Path=/x; HttpOnly; Secure; SameSite=Lax'
    ]))

  test.each([
    ['a name with a space', (jar: CookieJar) => jar.set('a b', '1'), 'name that no cookie may have'],
    // GHSA-26pp-8wgv-hjvm of hono and CVE-2024-47764 of cookie: names, paths and domains that end the attribute.
    ['a name with attributes', jar => jar.set('a=1; Max-Age=9; b', '1'), 'name that no cookie may have'],
    ['a name with a line break', jar => jar.set('a\r\nset-cookie: b', '1'), 'name that no cookie may have'],
    ['an empty name', jar => jar.set('', '1'), 'name that no cookie may have'],
    ['a path with attributes', jar => jar.set('a', '1', { path: '/; Domain=evil.com' }), 'attribute that is not valid'],
    ['a path with a line break', jar => jar.set('a', '1', { path: '/\r\nx: y' }), 'attribute that is not valid'],
    ['a domain with attributes', jar => jar.set('a', '1', { domain: 'a.com; Path=/' }), 'attribute that is not valid'],
    ['an empty path', jar => jar.set('a', '1', { path: '' }), 'path'],
    ['a long path', jar => jar.set('a', '1', { path: `/${'x'.repeat(1024)}` }), 'path'],
    ['a value that is no text', jar => jar.set('a', 1 as never), 'value that is not text'],
    ['half a character', jar => jar.set('a', '\ud800'), 'not well-formed'],
    ['more than 4 KB', jar => jar.set('a', 'x'.repeat(4096)), '4096 bytes'],
    ['400 days and more', jar => jar.set('a', '1', { maxAge: 34_560_001 }), 'maxAge'],
    ['no age', jar => jar.set('a', '1', { maxAge: Number.NaN }), 'maxAge'],
    ['no date', jar => jar.set('a', '1', { expires: new Date('x') }), 'attribute that is not valid'],
    ['an unknown sameSite', jar => jar.set('a', '1', { sameSite: 'Lax' as never }), 'sameSite'],
    ['an unknown attribute', jar => jar.set('a', '1', { maxage: 1 } as never), "no attribute 'maxage'"],
    ['sameSite none that is not secure', jar => jar.set('a', '1', { sameSite: 'none', secure: false }), 'must be secure'],
    ['a partition that is not secure', jar => jar.set('a', '1', { partitioned: true, secure: false }), 'must be secure'],
    ['__Host- that is not secure', jar => jar.set('__Host-a', '1', { secure: false }), 'must be secure'],
    ['__secure- that is not secure', jar => jar.set('__secure-a', '1', { secure: false }), 'must be secure'],
    ['__Host- with a domain', jar => jar.set('__Host-a', '1', { domain: 'a.com' }), 'no domain'],
    ['__HOST- with a path', jar => jar.set('__HOST-a', '1', { path: '/x' }), 'no domain'],
    ['a signature without keys', jar => jar.setSigned('a', '1'), 'keys'],
    ['one too many', jar => Array.from({ length: 51 }, (_, at) => jar.set(`a${at}`, '1')), 'one too many']
  ] as [string, (jar: CookieJar) => unknown, string][])('with %s is an error that the log names', async (_, use, sentence) => {
    const { app, logged } = logging()
    app.use(cookies()).use(context => void use(jarOf(context)))
    const answer = await ask(app)
    expect([answer.status, answer.headers.getAll('set-cookie').length < 51, logged.join()]).toEqual([500, true, expect.stringContaining(sentence)])
    expect(await answer.text()).not.toContain(sentence)
  })
})

describe('a signature', () => {
  const signed = async (name: string, value: string, keys = [KEY]): Promise<string> =>
    ((await setBy(jar => jar.setSigned(name, value), { keys }))[0] as string).split(';')[0] as string
  const verified = (cookie: string, name = 'a', keys: readonly string[] = [KEY]) => read(jar => jar.getSigned(name), cookie, { keys })

  test('is verified', async () => expect(await verified(await signed('a', 'x.y.é'))).toBe('x.y.é'))

  test('by an older key is verified, by an unknown one not', async () => {
    const cookie = await signed('a', 'x', [OTHER])
    expect([await verified(cookie, 'a', [KEY, OTHER]), await verified(cookie, 'a', [KEY])]).toEqual(['x', undefined])
    expect(await verified(await signed('a', 'x', [KEY, OTHER]), 'a', [KEY])).toBe('x')
  })

  test('of another cookie, value or length is not', async () => {
    const cookie = await signed('a', 'x')
    expect(await verified(cookie.replace('a=', 'b='), 'b')).toBeUndefined()
    for (const changed of [
      cookie.replace('a=x', 'a=y'),
      `${cookie}A`,
      cookie.slice(0, -1),
      'a=x',
      'a=x.',
      'a=.',
      'a=',
      `${cookie}=`,
      cookie.toUpperCase()
    ])
      expect(await verified(changed)).toBeUndefined()
  })

  test.each([[[]], [['short']], ['text'], [[1]]])('with the keys %j is refused', keys =>
    expect(() => cookies({ keys: keys as never })).toThrow(expect.objectContaining({ code: 'bad-option' }))
  )
})

describe('other requests', () => {
  test.each(['coap', 'mqtt', 'tcp'])('%s has no cookies, and sets none', async scheme => {
    const app = new App().use(cookies()).use(context => {
      context['cookies.Jar'].set('a', '1')
      return String(context['cookies.Jar'].get('b'))
    })
    const answer = await ask(app, '/', 'b=2', { 'iopa.Scheme': scheme })
    expect([await answer.text(), answer.headers.has('set-cookie')]).toEqual(['undefined', false])
  })

  test('observers share a run that reads no cookie; one that does is its own', async () => {
    let runs = 0
    const app = new App().use(cookies()).use(context => {
      runs++
      return context.path === '/own' ? (context['cookies.Jar'].get('a') ?? 'none') : 'state'
    })
    for (const [path, wanted] of [
      ['/x', 1],
      ['/own', 100]
    ] as const) {
      const readers = Array.from({ length: 100 }, () => app.observe(path)[Symbol.asyncIterator]())
      await Promise.all(readers.map(reader => reader.next()))
      runs = 0
      const told = Promise.all(readers.map(reader => reader.next()))
      app.notify(path)
      await told
      expect(runs).toBe(wanted)
    }
    await app.close()
  })
})
