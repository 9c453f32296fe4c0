import { App, IopaError, reply } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { NONCE, secureHeaders } from '../src/index.ts'
import { ask } from './support.ts'

type Options = Parameters<typeof secureHeaders>[0]

const fieldsOf = async (options?: Options, scheme = 'http', handler: () => unknown = () => 'hello'): Promise<Record<string, string>> => {
  const app = new App({ logger: false }).use(secureHeaders(options)).use(handler)
  return Object.fromEntries((await ask(app, {}, { 'iopa.Scheme': scheme })).headers)
}

const POLICY =
  "default-src 'self'; base-uri 'self'; font-src 'self' https: data:; form-action 'self'; frame-ancestors 'self'; img-src 'self' data:; object-src 'none'; script-src 'self'; script-src-attr 'none'; style-src 'self' https: 'unsafe-inline'"

const DEFAULTS = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-frame-options': 'SAMEORIGIN',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0'
}

describe('an answer', () => {
  test('has the defaults over HTTP', async () => expect(await fieldsOf()).toEqual({ ...DEFAULTS, 'content-security-policy': POLICY }))

  test('has HSTS and upgrade-insecure-requests over TLS alone', async () =>
    expect(await fieldsOf({}, 'https')).toEqual({
      ...DEFAULTS,
      'content-security-policy': `${POLICY}; upgrade-insecure-requests`,
      'strict-transport-security': 'max-age=31536000; includeSubDomains'
    }))

  test.each([
    ['crossOriginEmbedderPolicy', 'cross-origin-embedder-policy'],
    ['crossOriginOpenerPolicy', 'cross-origin-opener-policy'],
    ['crossOriginResourcePolicy', 'cross-origin-resource-policy'],
    ['originAgentCluster', 'origin-agent-cluster'],
    ['permissionsPolicy', 'permissions-policy'],
    ['referrerPolicy', 'referrer-policy'],
    ['strictTransportSecurity', 'strict-transport-security'],
    ['xContentTypeOptions', 'x-content-type-options'],
    ['xDnsPrefetchControl', 'x-dns-prefetch-control'],
    ['xFrameOptions', 'x-frame-options'],
    ['xPermittedCrossDomainPolicies', 'x-permitted-cross-domain-policies'],
    ['xXssProtection', 'x-xss-protection']
  ])('has the %s of the options, or none', async (option, field) => {
    expect((await fieldsOf({ [option]: 'other' }, 'https'))[field]).toBe('other')
    expect((await fieldsOf({ [option]: false }, 'https'))[field]).toBeUndefined()
  })

  test('has no policy with false', async () => expect((await fieldsOf({ contentSecurityPolicy: false }))['content-security-policy']).toBeUndefined())

  test('has directives in place of defaults, and a policy for reports', async () => {
    const fields = await fieldsOf({
      contentSecurityPolicy: { defaultSrc: ["'none'"], styleSrc: false, connectSrc: ["'self'", 'wss://a.com'] },
      contentSecurityPolicyReportOnly: { scriptSrc: ["'none'"] }
    })
    expect(fields['content-security-policy']).toBe(
      POLICY.replace("default-src 'self'", "default-src 'none'").replace(
        "; style-src 'self' https: 'unsafe-inline'",
        "; connect-src 'self' wss://a.com"
      )
    )
    expect(fields['content-security-policy-report-only']).toContain("script-src 'none'")
  })

  test.each([
    ['set on the answer', () => reply(200, 'hello', { 'X-Frame-Options': 'DENY', 'content-security-policy': 'sandbox' })],
    ['of a web Response', () => new Response('hello', { headers: { 'x-frame-options': 'DENY', 'content-security-policy': 'sandbox' } })]
  ])('keeps what a handler has %s', async (_, handler) => {
    for (const options of [{}, { contentSecurityPolicy: { scriptSrc: [NONCE] } }] as Options[]) {
      const app = new App().use(secureHeaders(options)).use(handler)
      const { headers } = await ask(app)
      expect([headers.getAll('x-frame-options'), headers.getAll('content-security-policy')]).toEqual([['DENY'], ['sandbox']])
    }
  })

  test('keeps what middleware before it has set', async () => {
    const app = new App()
      .use((context, next) => {
        context.response.headers.set('referrer-policy', 'no-referrer')
        return next()
      })
      .use(secureHeaders())
      .use(() => 'hello')
    const { headers } = await ask(app)
    expect([headers.getAll('referrer-policy'), headers.get('x-content-type-options')]).toEqual([['no-referrer'], 'nosniff'])
  })

  test('of an error, and of no route, has the fields', async () => {
    const app = new App({ logger: false }).use(secureHeaders()).use((context, next) => {
      if (context.path === '/500') throw new Error('secret')
      if (context.path === '/401') throw new IopaError(401, 'who', 'Log in.')
      return next()
    })
    for (const path of ['/500', '/401', '/404']) {
      const { status, headers } = await ask(app, {}, { 'iopa.Path': path })
      expect([`/${status}`, headers.get('content-security-policy')]).toEqual([path, POLICY])
    }
  })

  test('does not share its fields with other answers', async () => {
    const app = new App().use(secureHeaders()).use(context => {
      context.response.headers.set('x-frame-options', 'DENY')
      return 'hello'
    })
    await ask(app)
    const other = new App().use(secureHeaders()).use(() => 'hello')
    expect((await ask(other)).headers.get('x-frame-options')).toBe('SAMEORIGIN')
    expect((await ask(app)).headers.getAll('x-frame-options')).toEqual(['DENY'])
  })
})

describe('a nonce', () => {
  const app = new App()
    .use(secureHeaders({ contentSecurityPolicy: { scriptSrc: ["'self'", NONCE], styleSrc: [NONCE] } }))
    .use(context => reply(200, context['csp.Nonce'], { etag: '"1"' }))

  test('is in the policy and in the context, another for each answer', async () => {
    const seen = new Set<string>()
    for (let at = 0; at < 10; at++) {
      const answer = await ask(app)
      const nonce = await answer.text()
      expect(nonce).toMatch(/^[A-Za-z0-9+/]{22}==$/)
      expect(answer.headers.get('content-security-policy')).toContain(
        `script-src 'self' 'nonce-${nonce}'; script-src-attr 'none'; style-src 'nonce-${nonce}'`
      )
      seen.add(nonce)
    }
    expect(seen.size).toBe(10)
  })

  test('does not come with 304, as the page has that of its own answer', async () => {
    const answer = await ask(app, { 'if-none-match': '"1"' })
    expect([answer.status, answer.headers.has('content-security-policy'), answer.headers.has('x-frame-options')]).toEqual([304, false, true])
  })

  test('is empty where the policy has none, and on other protocols', async () => {
    const plain = new App().use(secureHeaders()).use(context => `(${context['csp.Nonce']})`)
    expect(await (await ask(plain)).text()).toBe('()')
    expect(await (await app.invoke({ 'iopa.Scheme': 'coap' })).text()).toBe('')
  })
})

test('observers share one run', async () => {
  let runs = 0
  const app = new App().use(secureHeaders({ contentSecurityPolicy: { scriptSrc: [NONCE] } })).use(() => ++runs)
  const readers = Array.from({ length: 1000 }, () => app.observe('/x')[Symbol.asyncIterator]())
  await Promise.all(readers.map(reader => reader.next()))
  runs = 0
  const told = Promise.all(readers.map(reader => reader.next()))
  app.notify('/x')
  await told
  expect(runs).toBe(1)
  await app.close()
})

describe('options', () => {
  test.each([
    [{ xFrameOptions: 1 }, "'xFrameOptions'"],
    [{ referrerPolicy: 'a\r\nset-cookie: x' }, "'referrerPolicy'"],
    [{ contentSecurityPolicy: "default-src 'self'" }, "'contentSecurityPolicy'"],
    [{ contentSecurityPolicyReportOnly: false }, "'contentSecurityPolicyReportOnly'"],
    // Helmet and hono: a source with a semicolon begins another directive.
    [{ contentSecurityPolicy: { scriptSrc: ["'self'; script-src *"] } }, 'one source an item'],
    [{ contentSecurityPolicy: { scriptSrc: ["'self', default-src *"] } }, 'one source an item'],
    [{ contentSecurityPolicy: { scriptSrc: ["'self' https:"] } }, 'one source an item'],
    [{ contentSecurityPolicy: { scriptSrc: ['a\r\nb'] } }, 'one source an item'],
    [{ contentSecurityPolicy: { scriptSrc: ['self'] } }, 'with quotes in it'],
    [{ contentSecurityPolicy: { 'script-src': [] } }, 'camel case'],
    [{ contentSecurityPolicy: { scrptSrc: [] } }, 'is no directive'],
    [{ contentSecurityPolicy: { scriptSrc: "'self'" } }, 'list of sources'],
    [{ crossSite: false }, "'refuse' or 'allow'"],
    [{ trustedOrigins: 'https://a.com' }, 'list of origins'],
    [{ trustedOrigins: ['https://a.com/'] }, 'as browsers send them'],
    [{ trustedOrigins: ['null'] }, 'as browsers send them'],
    [{ hsts: true }, "no option 'hsts'"]
  ])('%j is refused', (options, sentence) =>
    expect(() => secureHeaders(options as never)).toThrow(expect.objectContaining({ code: 'bad-option', detail: expect.stringContaining(sentence) }))
  )
})
