import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { http } from '@iopa/http'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { KEY, planted } from './planted.ts'

const CHROMIUM = '/usr/bin/chromium'
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')

describe.skipIf(!existsSync(CHROMIUM) && process.env['IOPA_REQUIRE_PEERS'] !== '1')('the page', { timeout: 60_000 }, () => {
  let app: Awaited<ReturnType<typeof planted>>
  let browser: Browser
  let url: string
  let page: Page
  const faults: string[] = []

  beforeAll(async () => {
    app = await planted([http({ port: 0 })], { app: { logger: false } })
    url = (await app.listen())[0]?.url.href as string
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-background-networking'] })
  }, 60_000)
  afterEach(async () => {
    await page.context().close()
    faults.length = 0
  })
  afterAll(async () => {
    await browser?.close()
    await app?.close()
  })

  const visit = async (options: Parameters<Browser['newContext']>[0] = {}): Promise<void> => {
    page = await (await browser.newContext(options)).newPage()
    page.on('console', message => void (message.type() === 'error' && faults.push(message.text())))
    page.on('pageerror', error => void faults.push(String(error)))
    await page.goto(url)
  }
  const signIn = async (name: string): Promise<void> => {
    await page.getByLabel('Name').fill(name)
    await page.getByLabel('Password').fill(`of ${name}`)
    await page.keyboard.press('Enter')
    await page.locator('#status', { hasText: `Signed in as ${name}` }).waitFor()
  }
  const herbs = () => page.locator('li', { hasText: 'herbs' })
  const report = async (moisture: number): Promise<void> => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}beds/herbs?key=${KEY}`, { method: 'PUT', headers, body: JSON.stringify({ moisture, temperature: 22 }) })
    expect(answer.status).toBe(200)
  }

  test('shows a gardener what a device reports, switches a valve, takes a photo, and signs out', async () => {
    await visit()
    await signIn('gardener')
    await report(12)
    await herbs().locator('.moisture', { hasText: '12 %' }).waitFor()
    const valve = herbs().getByRole('switch')
    await valve.filter({ hasText: 'Open' }).waitFor()
    await valve.click()
    await valve.filter({ hasText: 'Closed' }).waitFor()
    await herbs().getByLabel('New photo').setInputFiles({ name: 'herbs.png', mimeType: 'image/png', buffer: PNG })
    const photo = herbs().getByRole('img', { name: 'Photo of herbs' })
    await photo.waitFor()
    await expect.poll(() => photo.evaluate(image => (image as unknown as { naturalWidth: number }).naturalWidth)).toBe(1)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Password').waitFor()
    expect(await page.locator('li').count()).toBe(0)
    expect(faults).toEqual([])
  })

  test('shows a visitor the same without switches, and says why it refuses a password', async () => {
    await visit()
    await page.getByLabel('Name').fill('visitor')
    await page.getByLabel('Password').fill('guessed')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').filter({ hasText: 'Name or password is wrong.' }).waitFor()
    await signIn('visitor')
    await herbs().locator('.moisture').waitFor()
    expect(await herbs().getByRole('switch').isDisabled()).toBe(true)
    expect(await herbs().getByLabel('New photo').isVisible()).toBe(false)
  })

  test('has nothing that axe-core finds, in light, and in dark on a phone', async () => {
    const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
    for (const [name, options] of [
      ['light', { colorScheme: 'light', viewport: { width: 1280, height: 900 } }],
      ['phone', { colorScheme: 'dark', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }]
    ] as const) {
      await page?.context().close()
      await visit({ ...options, bypassCSP: true })
      await page.addScriptTag({ path: axe })
      const check = async (): Promise<void> => {
        const violations = await page.evaluate(async () => {
          const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } }
          return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
        })
        expect(violations, name).toEqual([])
        expect(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `${name} fits`).toBe(true)
      }
      await page.getByLabel('Password').waitFor()
      await check()
      await signIn('gardener')
      await herbs().locator('.moisture').waitFor()
      await check()
    }
    expect(faults).toEqual([])
  })
})
