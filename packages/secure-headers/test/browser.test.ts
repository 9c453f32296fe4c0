import { existsSync } from 'node:fs'
import { App, reply } from '@iopa/appbuilder'
import { cookies } from '@iopa/cookies'
import { cors } from '@iopa/cors'
import { documents } from '@iopa/documents'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NONCE, secureHeaders } from '../src/index.ts'

const CHROMIUM = '/usr/bin/chromium'

describe.skipIf(!existsSync(CHROMIUM) && process.env['IOPA_REQUIRE_PEERS'] !== '1')('in Chromium', { timeout: 60_000 }, () => {
  let browser: Browser
  let page: Page
  let own = ''
  let other = ''
  const apps: App[] = []
  const faults: string[] = []

  const serve = async (app: App): Promise<string> => {
    const [listener] = await app.use(http({ port: 0 })).listen()
    apps.push(app)
    return listener?.url.origin.replace('127.0.0.1', 'localhost') ?? ''
  }

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-background-networking'] })
    page = await browser.newPage()
    page.on('console', message => void (message.type() === 'error' && faults.push(message.text())))
    const site = new App({ logger: false })
      .use(secureHeaders({ contentSecurityPolicy: { scriptSrc: ["'self'", NONCE], connectSrc: ['*'] } }))
      .use(router())
    site.get('/', context =>
      reply(
        200,
        `<!doctype html><link rel="icon" href="data:,"><script nonce="${context['csp.Nonce']}">window.own = 1</script><script>window.foreign = 1</script>`,
        {
          'content-type': 'text/html'
        }
      )
    )
    own = await serve(site)
    const api = new App({ logger: false })
      .use(cors({ origin: own, credentials: true, exposeHeaders: ['x-total'] }))
      .use(secureHeaders({ trustedOrigins: [own], crossOriginResourcePolicy: 'cross-origin' }))
      .use(cookies())
      .use(router())
      .use(documents({ title: 'Home', version: '1.0.0' }))
    api.put('/n', context => {
      context['cookies.Jar'].set('seen', '1')
      return reply(200, 'done', { 'x-total': '7' })
    })
    api.get('/n', context => context['cookies.Jar'].get('seen') ?? 'none')
    other = await serve(api)
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    for (const app of apps) await app.close({ timeout: 100 })
  })

  const put = (from: Page, url: string): Promise<string> =>
    from.evaluate(async url => {
      try {
        const answer = await fetch(url, { method: 'PUT', credentials: 'include', headers: { 'x-mine': '1' } })
        return `${answer.status} ${answer.headers.get('x-total')} ${await (await fetch(url, { credentials: 'include' })).text()}`
      } catch {
        return 'refused'
      }
    }, url)

  test('a script with the nonce runs, one without does not', async () => {
    await page.goto(own)
    expect(await page.evaluate(() => [(window as { own?: number }).own, (window as { foreign?: number }).foreign])).toEqual([1, undefined])
    expect(faults.splice(0).join()).toContain('Content Security Policy')
  })

  test('a preflight lets the page of an origin send, with its cookies', async () => {
    await page.goto(own)
    expect(await put(page, `${other}/n`)).toBe('200 7 1')
  })

  test('a preflight refuses the page of another origin', async () => {
    await page.goto(own.replace('localhost', '127.0.0.1'))
    expect(await put(page, `${other}/n`)).toBe('refused')
  })

  test('the page of documents keeps its own policy, and works beside the other fields', async () => {
    faults.length = 0
    const answer = await page.goto(`${other}/docs`)
    expect(answer?.headers()).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'none'; script-src 'sha256-"),
      'x-content-type-options': 'nosniff'
    })
    expect(await page.locator('body').textContent()).toContain('/n')
    expect(faults).toEqual([])
  })
})
