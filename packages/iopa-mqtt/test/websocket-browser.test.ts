import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mqtt } from '../src/mqtt.ts'
import { websocket } from '../src/websocket.ts'
import { describeWith, until } from './fixtures/peers.ts'

const PAGE = `<!doctype html><title>lights</title><script src="/mqtt.js"></script><script>
  window.heard = []
  window.outcome = 'connecting'
  window.start = url => {
    const client = window.client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0 })
    client.on('message', (topic, payload) => heard.push(topic + ' ' + payload))
    client.on('error', error => { outcome = 'refused' })
    client.on('close', () => { if (outcome === 'connecting') outcome = 'refused' })
    client.on('connect', () => client.subscribe('lights/hall', { qos: 1 }, () => { outcome = 'connected' }))
  }
</script>`

describeWith(['chromium'], 'a page in a browser', () => {
  let server: Server
  let browser: Browser
  let app: ReturnType<typeof lights>
  let port: number
  let light = 'off'
  const lights = (behind: Server) => {
    const house = new App({ logger: false }).use(router()).use(mqtt({ port: 0, websocket: websocket({ server: behind }) }))
    house.get('/lights/hall', () => light)
    house.put('/lights/hall', async context => void (light = await context.text()))
    return house
  }

  beforeAll(async () => {
    const require = createRequire(import.meta.url)
    const library = await readFile(require.resolve('mqtt/package.json').replace('package.json', 'dist/mqtt.min.js'))
    server = createServer((request, response) => {
      response.setHeader('content-type', request.url === '/mqtt.js' ? 'text/javascript' : 'text/html')
      response.end(request.url === '/mqtt.js' ? library : PAGE)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
    app = lights(server)
    await app.listen()
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-background-networking'] })
  }, 30_000)
  afterAll(async () => {
    await browser?.close()
    await app?.close({ timeout: 100 })
    server?.close()
    server?.closeAllConnections()
  })

  test('reads and changes a light over WebSocket', async () => {
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${port}/`)
    await page.evaluate(`start('ws://127.0.0.1:${port}/mqtt')`)
    await until(async () => (await page.evaluate<string>('outcome')) === 'connected')
    await until(async () => (await page.evaluate<string[]>('heard')).length === 1)
    await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': 'on' })
    await until(async () => (await page.evaluate<string[]>('heard')).length === 2)
    await page.evaluate(`client.publishAsync('lights/hall', 'dim', { qos: 1 }).then(() => {})`)
    await until(async () => (await page.evaluate<string[]>('heard')).length === 3)
    expect(await page.evaluate('heard')).toEqual(['lights/hall off', 'lights/hall on', 'lights/hall dim'])
    expect(light).toBe('dim')
    await page.close()
  })

  test('of another origin is not let in', async () => {
    const page = await browser.newPage()
    await page.goto(`http://localhost:${port}/`)
    await page.evaluate(`start('ws://127.0.0.1:${port}/mqtt')`)
    await until(async () => (await page.evaluate<string>('outcome')) === 'refused')
    await page.close()
  })
})
