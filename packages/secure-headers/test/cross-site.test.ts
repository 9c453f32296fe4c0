import { App } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { secureHeaders } from '../src/index.ts'
import { ask } from './support.ts'

const trustedOrigins = ['https://partner.com']
const app = new App({ logger: false }).use(secureHeaders({ trustedOrigins })).use(() => 'done')
const status = async (headers: Record<string, string | string[]>, method = 'POST', host = 'example.com', port = 80): Promise<number> =>
  (await ask(app, headers, { 'iopa.Method': method, 'iopa.Host': host, 'iopa.Port': port })).status

// The table of csrf_test.go in Go 1.25.
describe('a change', () => {
  test.each([
    ['by a page of the own origin', { 'sec-fetch-site': 'same-origin' }, 200],
    ['that a person began', { 'sec-fetch-site': 'none' }, 200],
    ['of another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['of a subdomain', { 'sec-fetch-site': 'same-site' }, 403],
    ['of another site that says it is ours', { 'sec-fetch-site': 'cross-site', origin: 'https://example.com' }, 403],
    ['of no browser', {}, 200],
    ['of an older browser, own origin', { origin: 'https://example.com' }, 200],
    ['of an older browser, own origin without TLS', { origin: 'http://example.com' }, 200],
    ['of an older browser, other origin', { origin: 'https://attacker.com' }, 403],
    ['of an older browser, other port', { origin: 'https://example.com:8443' }, 403],
    ['of a sandboxed frame', { origin: 'null' }, 403],
    ['of a sandboxed frame that the browser tells', { origin: 'null', 'sec-fetch-site': 'cross-site' }, 403],
    ['of a trusted origin', { origin: 'https://partner.com', 'sec-fetch-site': 'cross-site' }, 200],
    ['of a trusted origin, older browser', { origin: 'https://partner.com' }, 200],
    ['of a trusted origin on another port', { origin: 'https://partner.com:8443', 'sec-fetch-site': 'cross-site' }, 403],
    ['with a prefix of the own origin', { origin: 'https://example.com.evil.com' }, 403],
    ['with a suffix of the own origin', { origin: 'https://evilexample.com' }, 403],
    ['with the own origin as user', { origin: 'https://example.com@evil.com' }, 403],
    ['with the own origin in capital letters', { origin: 'https://EXAMPLE.com' }, 403],
    ['with a trailing dot', { origin: 'https://example.com.' }, 403],
    ['with no URL as origin', { origin: 'example.com' }, 403],
    ['with an empty origin', { origin: '' }, 403],
    ['with another scheme', { origin: 'ftp://example.com' }, 403],
    ['with Sec-Fetch-Site in capital letters', { 'sec-fetch-site': 'Same-Origin' }, 403],
    ['with Sec-Fetch-Site twice', { 'sec-fetch-site': ['same-origin', 'cross-site'] }, 403],
    ['with Origin twice', { origin: ['https://example.com', 'https://evil.com'] }, 403],
    ['with an empty Sec-Fetch-Site', { 'sec-fetch-site': '' }, 403]
  ])('%s: %j gives %i', async (_, headers, wanted) => expect(await status(headers as Record<string, string>)).toBe(wanted))

  // GHSA-2234-fmw7-43wr and GHSA-rpfr-3m35-5vx5 of hono, GHSA-vm6g-8r4h-22x8 of Qwik: the content type decided.
  test.each([
    [undefined],
    ['text/plain'],
    ['TEXT/PLAIN'],
    ['Application/X-WWW-Form-Urlencoded'],
    ['multipart/form-data; boundary=x'],
    ['application/json']
  ])('of another origin is refused with content type %s', async type => {
    const headers = { origin: 'https://evil.com', ...(type === undefined ? {} : { 'content-type': type }) }
    expect(await status(headers)).toBe(403)
  })

  test.each(['PUT', 'PATCH', 'DELETE', 'POST', 'FETCH', 'LINK'])('%s of another origin is refused', async method =>
    expect(await status({ 'sec-fetch-site': 'cross-site' }, method)).toBe(403)
  )

  test.each(['GET', 'HEAD', 'OPTIONS'])('%s of another origin is no change', async method =>
    expect(await status({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.com' }, method)).toBe(200)
  )

  test.each([
    ['localhost', 8080, 'http://localhost:8080', 200],
    ['localhost', 8080, 'http://localhost', 403],
    ['localhost', 8080, 'http://127.0.0.1:8080', 403],
    ['::1', 8080, 'http://[::1]:8080', 200],
    ['::1', 80, 'http://[::1]', 200],
    ['Example.com', 443, 'https://example.com', 200]
  ])('at %s port %i with origin %s gives %i', async (host, port, origin, wanted) => expect(await status({ origin }, 'POST', host, port)).toBe(wanted))

  test('that is refused has a code, and the fields', async () => {
    const answer = await ask(app, { origin: 'https://evil.com' }, { 'iopa.Method': 'POST' })
    expect([await answer.json(), answer.headers.get('x-content-type-options')]).toMatchObject([
      { code: 'cross-site-request', status: 403 },
      'nosniff'
    ])
  })

  test("is left to the app with crossSite: 'allow'", async () => {
    const open = new App().use(secureHeaders({ crossSite: 'allow' })).use(() => 'done')
    expect((await ask(open, { 'sec-fetch-site': 'cross-site' }, { 'iopa.Method': 'POST' })).status).toBe(200)
  })

  test.each(['coap', 'mqtt', 'tcp'])('over %s is not looked at', async scheme => {
    const answer = await app.invoke({ 'iopa.Scheme': scheme, 'iopa.Method': 'POST', 'iopa.Headers': { origin: 'https://evil.com' } })
    expect([answer.status, [...answer.headers].length]).toEqual([200, 0])
  })
})
