// Programs of others, through the proxy: coap-client with -P, coap-server, curl.
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { promisify } from 'node:util'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { coapProxy } from '@iopa/coap-proxy'
import { http } from '@iopa/http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { type RunningClient, runClient, startClient } from '../../iopa-coap/test/peer-programs.ts'

const CLIENT = 'coap-client-notls'
const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1', () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })

describeWith('coap-server-notls', 'the proxy between programs of others', () => {
  let foreign: RunningClient
  let theirs = ''
  let ours = ''
  let proxy = ''
  let web = ''
  const server = new App({ logger: false }).use(coap({ port: 0 })).use(() => 'from our server')
  const app = new App({ logger: false })

  beforeAll(async () => {
    const port = await freePort()
    theirs = `coap://127.0.0.1:${port}`
    foreign = startClient('coap-server-notls', ['-A', '127.0.0.1', '-p', String(port)])
    ours = (await server.listen())[0]!.url.href
    app
      .use(coapProxy({ client: app, targets: [theirs, ours] }))
      .use(coap({ port: 0 }))
      .use(http({ port: 0 }))
    const urls = (await app.listen()).map(({ url }) => url.href)
    proxy = urls.find(url => url.startsWith('coap:'))!
    web = urls.find(url => url.startsWith('http:'))!
  })
  afterAll(async () => {
    foreign.process.kill()
    await foreign.done
    await app.close()
    await server.close()
  })

  test('coap-client -P reaches our server, and coap-server', async () => {
    const one = await runClient(CLIENT, '-m', 'get', '-P', proxy, `${ours}/state`)
    expect(one.received.at(-1)).toMatchObject({ code: '2.05', payload: 'from our server' })
    const two = await runClient(CLIENT, '-m', 'get', '-P', proxy, `${theirs}/`)
    expect(two.received.at(-1)).toMatchObject({ code: '2.05' })
    expect(two.text).toContain('libcoap')
  })

  test('coap-client -P is refused with 5.05 for another server', async () => {
    const refused = await runClient(CLIENT, '-m', 'get', '-P', proxy, 'coap://192.0.2.1/state')
    expect(refused.received.at(-1)).toMatchObject({ code: '5.05' })
  })

  test('coap-client -P puts and gets 30 KB in blocks, and observes, at coap-server', async () => {
    const body = 'x'.repeat(30_000)
    const put = await runClient(CLIENT, '-m', 'put', '-B', '20', '-b', '1024', '-e', body, '-P', proxy, `${theirs}/example_data`)
    expect(put.received.at(-1)?.code).toMatch(/^2\.0[14]$/)
    // What is kept is answered at once: libcoap 4.3.1 drops a separate answer in blocks to a request with Proxy-Uri.
    expect(await (await fetch(`${web}hc/${theirs}/example_data`)).text()).toBe(body)
    const got = await runClient(CLIENT, '-B', '20', '-m', 'get', '-P', proxy, `${theirs}/example_data`)
    expect(got.received.filter(({ code }) => code === '2.05')).toHaveLength(30)
    const watching = startClient(CLIENT, ['-v', '6', '-m', 'get', '-s', '60', '-P', proxy, `${theirs}/time`])
    try {
      await watching.shows(/(?:c:2\.05[\s\S]*){3}/)
    } finally {
      watching.process.kill()
      await watching.done
    }
  })

  test('a proxy of others in between counts Hop-Limit down, and ours refuses what has none left', async () => {
    const port = await freePort()
    const chained = startClient('coap-server-notls', ['-A', '127.0.0.1', '-p', String(port), '-P', `${proxy},chained`])
    try {
      const ask = (hops: number) => runClient(CLIENT, '-m', 'get', '-H', String(hops), '-P', `coap://127.0.0.1:${port}`, `${ours}/state`)
      expect((await ask(3)).received.at(-1)).toMatchObject({ code: '2.05', payload: 'from our server' })
      expect((await ask(2)).received.at(-1)?.code).toBe('5.08')
    } finally {
      chained.process.kill()
      await chained.done
    }
  })

  test('curl reaches coap-server by both forms of RFC 8075', async () => {
    const path = `${web}hc/coap/${new URL(theirs).host}`
    for (const url of [`${path}/`, `${web}hc/${theirs}/`]) {
      const { stdout } = await promisify(execFile)('curl', ['-s', '-m', '5', '-i', url])
      expect(stdout).toMatch(/^HTTP\/1\.1 200 /)
      expect(stdout).toContain('libcoap')
    }
  })
})
