// The page in a browser: what it shows, what it sends, and what axe-core finds. PAGE_SCREENSHOTS=<folder> writes pictures.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { documents } from '../src/index.ts'
import { scalar } from '../src/scalar.ts'
import { contractApp, INFO } from './fixtures/apps.ts'

const CHROMIUM = '/usr/bin/chromium'
const isRequired = process.env['IOPA_REQUIRE_PEERS'] === '1'
const pictures = process.env['PAGE_SCREENSHOTS']

const listen = async (app: App): Promise<string> => {
  const [listener] = await app.listen()
  return String(listener?.url)
}

describe.skipIf(!existsSync(CHROMIUM) && !isRequired)('the page', () => {
  let browser: Browser
  let app: App
  let framed: App
  let url: string
  const faults: string[] = []

  beforeAll(async () => {
    app = contractApp()
      .use(documents(INFO))
      .use(http({ port: 0 }))
    framed = new App({ logger: false }).mount('/in', contractApp().use(documents({ ...INFO, viewer: scalar() }))).use(http({ port: 0 }))
    url = await listen(app)
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-background-networking'] })
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await app?.close({ timeout: 50 })
    await framed?.close({ timeout: 50 })
  })

  /** A page that notes each fault, and each request to anything but the app. */
  const open = async (address: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<{ page: Page; context: BrowserContext }> => {
    const context = await browser.newContext({ ...options })
    const page = await context.newPage()
    page.on('console', message => message.type() === 'error' && faults.push(message.text()))
    page.on('pageerror', error => faults.push(error.message))
    page.on('request', request => {
      if (!request.url().startsWith(new URL(address).origin) && !request.url().startsWith('data:')) faults.push(request.url())
    })
    await page.goto(address)
    return { page, context }
  }

  const axeFaults = async (page: Page): Promise<readonly string[]> => {
    const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
    await page.evaluate(axe)
    const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>('axe.run()')
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`))
  }

  const picture = async (page: Page, name: string): Promise<void> => {
    if (pictures !== undefined) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
  }

  /** Opens the operation of a resource by keyboard. */
  const operationOf = async (page: Page, path: string, method: string) => {
    const operation = page
      .locator('.resource', { has: page.locator('h3 > span', { hasText: path }) })
      .locator('details', { has: page.locator(`.method.${method}`) })
    await operation.locator('summary').focus()
    await page.keyboard.press('Enter')
    return operation
  }

  test('lists resources, tries a request, and shows live changes', async () => {
    const { page, context } = await open(`${url}docs`)
    await page.locator('.resource').first().waitFor()
    expect(await page.locator('.resource h3 > span').allTextContents()).toEqual([
      '/lights/{id}',
      '/sensors/{id}',
      '/rooms/{id}',
      '/fans/{id}',
      '/doors/{id}',
      '/plugs',
      '/plugs/{id}',
      '/odd/{id}'
    ])
    const read = await operationOf(page, '/lights/{id}', 'get')
    await read.locator('input[name="path id"]').fill('hall')
    await read.getByRole('button', { name: 'Observe' }).click()
    await read.locator('.events li').first().waitFor()
    const write = await operationOf(page, '/lights/{id}', 'put')
    await write.locator('input[name="path id"]').fill('hall')
    await write.locator('textarea').fill('{ "on": true, "level": 42 }')
    await page.keyboard.press('Control+Enter')
    await write.locator('.line b').waitFor()
    expect(await write.locator('.line b').textContent()).toBe('200 OK')
    await read.locator('.events li', { hasText: '"level": 42' }).waitFor()
    await write.locator('textarea').fill('{ "on": "yes" }')
    await write.getByRole('button', { name: 'Send' }).click()
    await write.locator('.line b.bad', { hasText: '422' }).waitFor()
    expect(await write.locator('pre').textContent()).toContain('/on')
    await read.getByRole('button', { name: 'Stop' }).click()
    await picture(page, 'light')
    expect(await axeFaults(page)).toEqual([])
    // Refused by the app as it should be; browsers write each such answer to the console.
    expect(faults.splice(0).filter(fault => !fault.includes('422'))).toEqual([])
    await context.close()
  }, 60_000)

  test('filters, and has no fault in the dark and on a phone', async () => {
    const { page, context } = await open(`${url}docs`, { colorScheme: 'dark', viewport: { width: 390, height: 844 } })
    await page.locator('.resource').first().waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('door put')
    expect(await page.locator('.resource h3 > span').allTextContents()).toEqual(['/doors/{id}'])
    await page.locator('#search').fill('nothing at all')
    expect(await page.locator('#status').textContent()).toBe('No resource matches.')
    await page.locator('#search').fill('')
    await (await operationOf(page, '/lights/{id}', 'post')).locator('form').waitFor()
    await picture(page, 'dark-phone')
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    expect(await axeFaults(page)).toEqual([])
    await page.setViewportSize({ width: 1200, height: 900 })
    await picture(page, 'dark')
    expect(faults.splice(0)).toEqual([])
    await context.close()
  }, 60_000)

  test('may load nothing, and is not framed', async () => {
    const policy = (await fetch(`${url}docs`)).headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
  })

  test('of Scalar shows the same document below a mount, from the app alone', async () => {
    const scalarUrl = await listen(framed)
    const { page, context } = await open(`${scalarUrl}in/docs`)
    await page.getByText('Fade a light').first().waitFor({ timeout: 40_000 })
    await picture(page, 'scalar')
    expect(faults.splice(0)).toEqual([])
    await context.close()
  }, 60_000)
})
