import { App } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { cors } from '../src/index.ts'
import { ask } from './support.ts'

const reads = async (options: Parameters<typeof cors>[0], origin: string | string[]): Promise<boolean> => {
  const app = new App({ logger: false }).use(cors(options)).use(() => 'hello')
  return (await ask(app, { origin })).headers.has('access-control-allow-origin')
}

describe('an origin by name', () => {
  const origin = ['https://example.com', 'http://localhost:5173', 'http://[::1]:8080', 'capacitor://localhost']

  test.each(origin)('lets %s read', async given => expect(await reads({ origin, credentials: true }, given)).toBe(true))

  test.each([
    // A prefix, a suffix, and characters around it (expressjs/cors issue 408, CWE-942).
    'https://example.com.evil.com',
    'https://evil-example.com',
    'https://notexample.com',
    'https://example.com@evil.com',
    'https://example.com%60.evil.com',
    'https://example.com_.evil.com',
    'https://examplexcom',
    'https://sub.example.com',
    'https://example.com.',
    'https://example.com/',
    'https://example.com:443',
    'https://example.com:8443',
    'http://example.com',
    'HTTPS://example.com',
    'https://EXAMPLE.com',
    'example.com',
    'https://example.com, https://evil.com',
    'https://evil.com https://example.com',
    'http://localhost:51730',
    'http://localhost',
    'http://127.0.0.1:5173',
    'http://[::1]',
    'http://[::1]:80801',
    'http://[0:0:0:0:0:0:0:1]:8080',
    'null',
    '',
    '*',
    '__proto__',
    'constructor'
  ])('does not let %j read', async given => expect(await reads({ origin, credentials: true }, given)).toBe(false))

  test('is not taken from two Origin fields', async () => {
    expect(await reads({ origin }, ['https://example.com', 'https://evil.com'])).toBe(false)
  })
})

describe('the origins below a domain', () => {
  const origin = ['https://*.example.com', 'http://*.localhost:8080']

  test.each(['https://a.example.com', 'https://a.b-c.example.com', 'http://x.localhost:8080'])('lets %s read', async given =>
    expect(await reads({ origin, credentials: true }, given)).toBe(true)
  )

  test.each([
    'https://example.com',
    'https://.example.com',
    'https://evilexample.com',
    'https://a.example.com.evil.com',
    'https://evil.com/.example.com',
    'https://evil.com?.example.com',
    'https://evil.com#.example.com',
    'https://evil.com\\.example.com',
    'https://evil.com:1.example.com',
    'https://u@a.example.com',
    'https://a..example.com',
    'https://a.example.com:8443',
    'http://a.example.com',
    'https://A.example.com',
    'http://x.localhost'
  ])('does not let %j read', async given => expect(await reads({ origin, credentials: true }, given)).toBe(false))
})

describe('a function', () => {
  test.each([
    ['true', (): boolean => true, true],
    ['false', (): boolean => false, false],
    ['a promise of true', async (): Promise<boolean> => true, true],
    ['a promise of false', async (): Promise<boolean> => false, false]
  ] as const)('that gives %s decides', async (_, origin, allowed) => expect(await reads({ origin }, 'https://a.com')).toBe(allowed))

  test('gets the origin as it was sent, and the context', async () => {
    const seen: unknown[] = []
    await reads({ origin: (origin, { path }) => seen.push(origin, path) > 9 }, 'https://A.com')
    expect(seen).toEqual(['https://A.com', '/'])
  })

  test('that gives an origin, as for hono/cors, is a fault of the app', async () => {
    const app = new App({ logger: false }).use(cors({ origin: ((origin: string) => origin) as never })).use(() => 'hello')
    const answer = await ask(app, { origin: 'https://a.com' })
    expect([answer.status, answer.headers.has('access-control-allow-origin')]).toEqual([500, false])
  })

  test('that fails lets nothing be read', async () => {
    const origin = () => {
      throw new Error('no database')
    }
    const app = new App({ logger: false }).use(cors({ origin })).use(() => 'hello')
    const answer = await ask(app, { origin: 'https://a.com' })
    expect([answer.status, answer.headers.has('access-control-allow-origin')]).toEqual([500, false])
  })
})

describe('the option origin', () => {
  test.each([
    // CVE-2026-54290 of hono: the default of every origin, reflected with credentials.
    ['every origin with credentials by default', { credentials: true }, 'Name the origins'],
    ['every origin with credentials', { origin: '*', credentials: true }, 'Name the origins'],
    ['every origin in a list', { origin: ['*', 'https://a.com'] }, 'alone'],
    ["'null' with credentials", { origin: 'null', credentials: true }, 'any page can send it'],
    ['a path', { origin: 'https://a.com/' }, "browsers send 'https://a.com'"],
    ['a default port', { origin: 'https://a.com:443' }, "browsers send 'https://a.com'"],
    ['capital letters', { origin: 'https://A.com' }, "browsers send 'https://a.com'"],
    ['a name without a scheme', { origin: 'a.com' }, 'scheme://host'],
    ['a whole top-level domain', { origin: 'https://*.com' }, 'most of the web'],
    ['a wildcard host', { origin: 'https://*' }, 'https://*.example.com'],
    ['a wildcard within a name', { origin: 'https://a*.example.com' }, 'https://*.example.com'],
    ['a regular expression', { origin: /example\.com$/ }, 'https://*.example.com'],
    ['a regular expression in a list', { origin: [/example\.com$/] }, 'function that decides'],
    ['true', { origin: true }, 'https://*.example.com'],
    ['an empty list', { origin: [] }, 'leave cors() out']
  ])('refuses %s', (_, options, sentence) =>
    expect(() => cors(options as never)).toThrow(expect.objectContaining({ code: 'bad-option', detail: expect.stringContaining(sentence) }))
  )

  test("takes 'null' where it is named", async () => expect(await reads({ origin: ['null', 'https://a.com'] }, 'null')).toBe(true))
})
