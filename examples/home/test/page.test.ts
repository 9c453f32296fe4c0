import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { CLIENTS, describeHome, endChildren, type House, open, run, started, until } from './house.ts'

const screenshots = new URL('../screenshots/', import.meta.url).pathname

/** Milliseconds in which the page shows a change. */
const PROMPTLY = 500

const json = (body: unknown): string => JSON.stringify(body)

/** What curl is called with, to PUT a state. */
const curlPut = (url: string, body: unknown): [command: 'curl', ...args: string[]] => [
  'curl',
  '-s',
  '-X',
  'PUT',
  '-H',
  'content-type: application/json',
  '-d',
  json(body),
  url
]

const curl = async (url: string, body: unknown): Promise<void> => {
  const [command, ...args] = curlPut(url, body)
  await run(command, args)
}

/** A change by each protocol. */
const CHANGES: readonly [name: string, change: (house: House, level: number) => [command: string, ...args: string[]]][] = [
  ['curl', (house, level) => curlPut(`${house.http}/lights/hall`, { on: true, level })],
  [
    'coap-client',
    ({ ports }, level) => [
      'coap-client-notls',
      '-m',
      'put',
      '-t',
      '50',
      '-e',
      json({ on: true, level }),
      `coap://127.0.0.1:${ports.coap}/lights/hall`
    ]
  ],
  [
    'mosquitto_pub',
    ({ ports }, level) => ['mosquitto_pub', '-p', String(ports.mqtt), '-t', 'lights/hall', '-q', '1', '-m', json({ on: true, level })]
  ],
  ['a TCP line', ({ ports }, level) => ['sh', '-c', `echo '${json(bag(level))}' | nc -q1 127.0.0.1 ${ports.tcp}`]],
  ['a UDP datagram', ({ ports }, level) => ['sh', '-c', `echo '${json(bag(level))}' | nc -u -w1 127.0.0.1 ${ports.udp}`]]
]
const bag = (level: number) => ({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': { on: true, level } })

describeHome('the page', [...CLIENTS, 'chromium'], () => {
  let browser: Browser
  let context: BrowserContext
  let house: House
  const faults: string[] = []

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-background-networking'] })
    await mkdir(screenshots, { recursive: true })
    house = await open()
  }, 60_000)
  afterEach(async () => {
    await context.close()
    await endChildren(house)
    faults.length = 0
  })
  afterAll(async () => {
    await browser.close()
    await endChildren()
  })

  const visit = async (at: House, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> => {
    context = await browser.newContext(options)
    const page = await context.newPage()
    page.on('console', message => void (message.type() === 'error' && faults.push(message.text())))
    page.on('pageerror', error => void faults.push(String(error)))
    await page.goto(at.http)
    await page.locator('#status[data-state=live]').waitFor()
    return page
  }
  const level = (page: Page, text: string) => page.locator('.light', { hasText: 'hall' }).locator('output', { hasText: text })

  test('shows a change by each protocol within half a second, and logs it', async () => {
    const page = await visit(house)
    for (const [at, [name, change]] of CHANGES.entries()) {
      const wanted = 31 + at
      const [command, ...args] = change(house, wanted)
      const sent = started(command, args)
      const began = Date.now()
      // A client takes its time to start: what counts is from the moment the house has the change.
      await until(`${name} arrives`, async () => ((await (await fetch(`${house.http}/lights/hall`)).json()) as { level: number }).level === wanted)
      const arrived = Date.now()
      await level(page, `${wanted} %`).waitFor({ timeout: PROMPTLY })
      expect(Date.now() - arrived, `${name}, ${arrived - began} ms to arrive`).toBeLessThan(PROMPTLY)
      await until(`${name} ends`, () => sent.child.exitCode !== null)
    }
    const rows = page.locator('#changes tbody tr')
    await expect.poll(() => rows.count()).toBe(CHANGES.length)
    const texts = await rows.allInnerTexts()
    for (const protocol of ['HTTP', 'CoAP', 'MQTT', 'TCP', 'UDP'])
      expect(texts.some(text => text.includes(protocol) && text.includes('/lights/hall') && text.includes('PUT'))).toBe(true)
    expect(faults).toEqual([])
  })

  test('has a switch and a slider that every protocol hears', async () => {
    const mqtt = started('mosquitto_sub', ['-p', String(house.ports.mqtt), '-t', 'lights/#', '-v'])
    const coap = started('coap-client-notls', ['-s', '20', '-w', `coap://127.0.0.1:${house.ports.coap}/lights/kitchen`])
    await until('both observe', () => mqtt.output().includes('lights/kitchen') && coap.output().includes('"level":'))
    const page = await visit(house)
    const kitchen = page.locator('.light', { hasText: 'kitchen' })
    // By keyboard alone.
    await kitchen.getByRole('switch').focus()
    await page.keyboard.press('Space')
    await until('the switch is heard', () => mqtt.output().includes('lights/kitchen {"on":true') && coap.output().includes('"on":true'))
    expect(await kitchen.getByRole('switch').getAttribute('aria-checked')).toBe('true')
    await page.keyboard.press('Tab')
    for (let step = 0; step < 3; step++) await page.keyboard.press('ArrowRight')
    await until('the slider is heard', () => mqtt.output().includes('"level":3') && coap.output().includes('"level":3'))
    expect(faults).toEqual([])
  })

  test('shows a sensor with its history, and its age', async () => {
    for (const value of [20, 21, 21.5]) await curl(`${house.http}/sensors/attic`, { value, unit: '°C' })
    const page = await visit(house)
    const attic = page.locator('.sensor', { hasText: 'attic' })
    await attic.locator('.value', { hasText: '21.5' }).waitFor()
    expect(await attic.locator('.unit').textContent()).toBe('°C')
    await expect.poll(() => attic.getByRole('img').getAttribute('aria-label')).toContain('3 readings')
    await expect.poll(async () => (await attic.locator('.age').textContent()) ?? '').toMatch(/now|s ago/)
    expect(faults).toEqual([])
  })

  test('says that the house is lost, and heals when it is there again', async () => {
    const first = await open()
    const page = await visit(first)
    const { ports } = first
    first.process.kill('SIGKILL')
    await page.locator('#status[data-state=lost]').waitFor()
    const names: [keyof House['ports'], string][] = [
      ['http', 'HTTP_PORT'],
      ['coap', 'COAP_PORT'],
      ['mqtt', 'MQTT_PORT'],
      ['tcp', 'TCP_PORT'],
      ['udp', 'UDP_PORT']
    ]
    const again = await open(Object.fromEntries(names.map(([name, variable]) => [variable, String(ports[name])])))
    await page.locator('#status[data-state=live]').waitFor({ timeout: 20_000 })
    await curl(`${again.http}/lights/hall`, { on: true, level: 77 })
    await level(page, '77 %').waitFor()
  })

  test('has nothing that axe-core finds, in light, dark and on a phone', async () => {
    for (const [sensor, value, unit] of [
      ['attic', 21.5, '°C'],
      ['cellar', 55, '%']
    ] as const)
      for (const change of [0, 1, -0.5, 0.5]) await curl(`${house.http}/sensors/${sensor}`, { value: value + change, unit })
    await curl(`${house.http}/lights/hall`, { on: true, level: 80 })
    const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
    for (const [name, options] of [
      ['light', { colorScheme: 'light', viewport: { width: 1280, height: 900 } }],
      ['dark', { colorScheme: 'dark', viewport: { width: 1280, height: 900 } }],
      ['phone', { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }]
    ] as const) {
      const page = await visit(house, { ...options, bypassCSP: true })
      await page.locator('#changes tbody tr').first().waitFor()
      await page.screenshot({ path: `${screenshots}${name}.png`, fullPage: true })
      await page.addScriptTag({ path: axe })
      const violations = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } }
        return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
      })
      expect(violations, name).toEqual([])
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `${name} fits`).toBe(true)
      await context.close()
    }
    expect(faults).toEqual([])
  })

  test('shows hostile names, units and numbers as text, and says when there are more sensors than it shows', async () => {
    const put = (name: string, value: number, unit = 'x') =>
      fetch(`${house.http}/sensors/${encodeURIComponent(name)}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: json({ value, unit })
      })
    const hostile = '<img src=x onerror=alert(1)>'
    for (const value of [Number.MAX_VALUE, -Number.MAX_VALUE, 0]) await put(hostile, value, '<b>x</b>')
    const page = await visit(house)
    const card = page.locator('.sensor', { hasText: hostile })
    await expect.poll(() => card.getByRole('img').getAttribute('aria-label')).toContain('3 readings')
    expect(await card.locator('.unit').textContent()).toBe('<b>x</b>')
    expect(await page.locator('#more-sensors').isVisible()).toBe(false)
    await Promise.all(Array.from({ length: 100 }, (_, at) => put(`s${at}`, at)))
    await page.locator('#more-sensors', { hasText: 'Only the first 100 sensors are shown.' }).waitFor()
    expect(faults).toEqual([])
  })
})
