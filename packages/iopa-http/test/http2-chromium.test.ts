import { spawnSync } from 'node:child_process'
import { chromium } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { identities } from './certificates.ts'
import { atEnd, eventually, serve } from './support.ts'

const CHROMIUM = '/usr/bin/chromium'
const missing = spawnSync(CHROMIUM, ['--version']).status !== 0
if (missing && process.env['IOPA_REQUIRE_PEERS'] === '1') throw new Error('chromium is missing, and IOPA_REQUIRE_PEERS=1')
if (missing) console.warn('skipped: a browser over HTTP/2, for which chromium is needed')

// A page that observes twenty paths, more than the six connections of HTTP/1.1, and says when each has heard its change.
const PAGE = `<!doctype html><script>
for (let n = 0; n < 20; n++) {
  const source = new EventSource('/states/' + n)
  let events = 0
  source.onmessage = event => fetch('/heard/' + n + '/' + ++events, { method: 'PUT', body: event.data })
}
</script>`

describe.skipIf(missing)('Chromium', () => {
  test('observes twenty paths of one origin over HTTP/2', { timeout: 60_000 }, async () => {
    const heard = new Map<string, string>()
    let value = 'before'
    const { app, origin } = await serve(
      async context => {
        const [kind, ...rest] = context.segments
        if (context.path === '/') {
          context.response.type = 'text/html'
          return PAGE
        }
        if (kind === 'states') return `${value} ${context['iopa.Protocol']}`
        if (kind === 'heard') heard.set(rest.join('/'), await context.text())
        return undefined
      },
      { tls: identities('server').of['server'] as { key: string; cert: string } }
    )
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-background-networking'] })
    atEnd(() => browser.close())
    const page = await browser.newPage({ ignoreHTTPSErrors: true })
    await page.goto(origin)
    const observed = (events: number): number => [...heard.keys()].filter(key => key.endsWith(`/${events}`)).length
    await eventually('all observe', () => observed(1) === 20)
    expect(app.counters()['http']).toMatchObject({ observers: 20 })
    value = 'after'
    for (let n = 0; n < 20; n++) app.notify(`/states/${n}`)
    await eventually('all have heard', () => observed(2) === 20)
    expect(new Set([...heard].filter(([key]) => key.endsWith('/2')).map(([, data]) => data))).toEqual(new Set(['after HTTP/2']))
  })
})
