import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { LARGE, startEtsi } from './etsi-app.ts'
import { eventually } from './eventually.ts'
import { runClient, startClient } from './peer-programs.ts'
import { startPeerServer } from './peer-server.ts'

let folder = ''
const path = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'iopa-coap-tls-'))
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost']
  execFileSync(
    'openssl',
    [...request, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', path('key.pem'), '-out', path('cert.pem')],
    { stdio: 'pipe' }
  )
  writeFileSync(path('big'), LARGE.repeat(3))
})
afterAll(() => rmSync(folder, { recursive: true }))

describeWith('coap-client-notls', "libcoap's client over TCP", () => {
  test.concurrent('gets, puts and deletes', async () => {
    await using server = await startEtsi({ udp: false, tcp: true })
    const url = `coap+tcp://127.0.0.1:${server.port}`
    expect((await runClient('coap-client-notls', '-m', 'get', `${url}/test`)).text).toMatch(/c:2\.05[\s\S]*'test'/)
    expect((await runClient('coap-client-notls', '-m', 'put', '-e', 'x', `${url}/test`)).text).toMatch(/c:2\.04/)
    expect((await runClient('coap-client-notls', '-m', 'delete', `${url}/test`)).text).toMatch(/c:2\.02/)
    expect((await runClient('coap-client-notls', '-m', 'get', `${url}/nowhere`)).text).toMatch(/4\.04/)
    expect(server.calls.get('GET /test')).toBe(1)
  })

  test.concurrent('carries large bodies both ways', async () => {
    await using server = await startEtsi({ udp: false, tcp: true })
    const url = `coap+tcp://127.0.0.1:${server.port}`
    await runClient('coap-client-notls', '-m', 'put', '-t', '0', '-f', path('big'), `${url}/large-update`)
    expect(server.bodies.get('/large-update')).toBe(LARGE.repeat(3))
    await runClient('coap-client-notls', '-m', 'get', '-o', path('tcp-out'), `${url}/large`)
    expect(readFileSync(path('tcp-out'), 'utf8')).toBe(LARGE)
  })

  test.concurrent('observes', async () => {
    await using server = await startEtsi({ udp: false, tcp: true })
    const client = startClient('coap-client-notls', ['-v', '6', '-B', '6', '-s', '2', '-m', 'get', `coap+tcp://127.0.0.1:${server.port}/obs`])
    await client.shows(/obs 0/)
    server.setObserved('obs 1')
    await client.shows(/obs 1/)
    server.setObserved('obs 2')
    await client.shows(/obs 2/)
    await client.done
    await eventually(() => server.app.live === 0, 'the observation has ended with the client')
  })
})

const KEY = { gateway: Buffer.from('sesame') }
const portOf = (listener: unknown, protocol: string): string => (listener as CoapListener).urls.find(url => url.protocol === protocol)!.port

describeWith('coap-client-openssl', "libcoap's client over TLS", () => {
  test.concurrent('gets with a pre-shared key, and nothing with a wrong one', async () => {
    await using server = await startEtsi({ udp: false, tls: { psk: KEY } })
    const url = `coaps+tcp://127.0.0.1:${portOf(server.listener, 'coaps+tcp:')}`
    const right = await runClient('coap-client-openssl', '-u', 'gateway', '-k', 'sesame', '-m', 'get', `${url}/test`)
    expect(right.text).toMatch(/c:2\.05[\s\S]*'test'/)
    for (const wrong of [
      ['-u', 'gateway', '-k', 'guessed'],
      ['-u', 'stranger', '-k', 'sesame']
    ]) {
      const { text } = await runClient('coap-client-openssl', ...wrong, '-B', '2', '-m', 'get', `${url}/test`)
      expect(text).not.toMatch(/2\.05/)
    }
    expect(server.calls.get('GET /test')).toBe(1)
    await eventually(() => server.app.live === 0, 'every connection has gone')
  })

  test.concurrent('gets with a certificate that it has verified', async () => {
    await using server = await startEtsi({ udp: false, tls: { key: readFileSync(path('key.pem')), cert: readFileSync(path('cert.pem')) } })
    const url = `coaps+tcp://localhost:${portOf(server.listener, 'coaps+tcp:')}`
    const { text } = await runClient('coap-client-openssl', '-R', path('cert.pem'), '-m', 'get', `${url}/test`)
    expect(text).toMatch(/c:2\.05[\s\S]*'test'/)
    const big = await runClient('coap-client-openssl', '-n', '-m', 'put', '-t', '0', '-f', path('big'), `${url}/large-update`)
    expect(big.text).toMatch(/c:2\.04/)
    expect(server.bodies.get('/large-update')).toBe(LARGE.repeat(3))
  })

  test.concurrent('knows by its key who asks', async () => {
    await using app = new App({ logger: false })
      .use(router())
      .use(coap({ port: 0, udp: false, tls: { psk: { alice: Buffer.from('wonder'), bob: Buffer.from('builder') } } }))
    app.get('/whoami', ({ user }) => user?.id ?? 'nobody')
    const [listener] = await app.listen()
    const url = `coaps+tcp://127.0.0.1:${portOf(listener, 'coaps+tcp:')}/whoami`
    expect((await runClient('coap-client-openssl', '-u', 'bob', '-k', 'builder', '-m', 'get', url)).text).toMatch(/'bob'/)
  })
})

describeWith('coap-server-openssl', "our client and libcoap's server over TLS", () => {
  test('gets with a pre-shared key', async () => {
    // libcoap serves TLS on the port after the one that it is given.
    await using server = await startPeerServer('coap-server-openssl', '-k', 'sesame')
    await using app = new App({ logger: false }).use(coap())
    await using client = await app.connect(`coaps+tcp://127.0.0.1:${server.port + 1}`, { tls: { psk: { CoAP: Buffer.from('sesame') } } })
    expect(await (await client.get('/')).text()).toMatch(/made with libcoap/)
  })
})

describe('our client and our server over TLS', () => {
  test('verifies the certificate, and refuses one that nobody vouches for', async () => {
    await using server = await startEtsi({ udp: false, tls: { key: readFileSync(path('key.pem')), cert: readFileSync(path('cert.pem')) } })
    const url = `coaps+tcp://127.0.0.1:${portOf(server.listener, 'coaps+tcp:')}`
    await using app = new App({ logger: false }).use(coap())
    await using client = await app.connect(url, { tls: { ca: readFileSync(path('cert.pem')) } })
    expect(await (await client.get('/test')).text()).toBe('test')
    await expect(app.connect(url)).rejects.toMatchObject({ status: 502 })
  })

  test('meets by a pre-shared key', async () => {
    await using server = await startEtsi({ udp: false, tls: { psk: KEY } })
    const url = `coaps+tcp://127.0.0.1:${portOf(server.listener, 'coaps+tcp:')}`
    await using app = new App({ logger: false }).use(coap())
    await using client = await app.connect(url, { tls: { psk: KEY } })
    expect((await client.put('/large-update', LARGE)).status).toBe(204)
    expect(await (await client.get('/large')).text()).toBe(LARGE)
    await expect(app.connect(url, { tls: { psk: { gateway: Buffer.from('guessed') } } })).rejects.toMatchObject({ status: 502 })
  })

  test('serves UDP, TCP and TLS at once', async () => {
    await using server = await startEtsi({ tcp: true, tls: { psk: KEY } })
    const { urls } = server.listener as CoapListener
    expect(urls.map(({ protocol }) => protocol)).toEqual(['coap:', 'coap+tcp:', 'coaps+tcp:'])
    await using app = new App({ logger: false }).use(coap())
    const tls = { psk: KEY }
    for (const url of urls) {
      await using client = await app.connect(url, url.protocol === 'coaps+tcp:' ? { tls } : {})
      expect(await (await client.get('/test')).text()).toBe('test')
    }
    expect(server.calls.get('GET /test')).toBe(3)
    // Options for TLS with a scheme that has none would send in plain text what is meant to be secret.
    for (const url of urls.slice(0, 2)) await expect(app.connect(url, { tls })).rejects.toMatchObject({ code: 'tls-scheme' })
  })
})
