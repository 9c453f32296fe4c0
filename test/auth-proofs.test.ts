// What proves a user: certificates, pre-shared keys, and credentials as foreign clients and attackers send them.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { allow, anyOf, basic, clientCertificate, preSharedKey } from '@iopa/auth'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { afterAll, beforeAll, expect, test } from 'vitest'

let folder = ''
const pem = (name: string, kind: 'key' | 'cert'): Buffer => readFileSync(join(folder, `${name}.${kind}`))

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'iopa-auth-'))
  for (const name of ['server', 'ann']) {
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`]
    execFileSync('openssl', [...request, '-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.cert`)], { stdio: 'pipe' })
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const portOf = (url: URL | undefined): number => Number(url?.port)

/** Sends bytes to a port and gives what comes back until the connection ends. */
const raw = async (port: number, text: string): Promise<string> => {
  const socket = net.connect(port, '127.0.0.1')
  socket.end(text)
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer
}

test('a certificate that was checked makes a user, who ends with it', async () => {
  const app = new App({ logger: false })
    .use(clientCertificate({ user: ({ subject }) => (subject.CN === 'ann' ? { id: String(subject.CN) } : null) }))
    .use(context => context.user)
    .use(http({ port: 0, tls: { key: pem('server', 'key'), cert: pem('server', 'cert'), ca: pem('ann', 'cert'), requestCert: true } }))
  const [listener] = await app.listen()
  const get = (own: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const request = https.get({ port: portOf(listener?.url), host: '127.0.0.1', rejectUnauthorized: false, agent: false, ...own }, async answer => {
        let text = ''
        for await (const chunk of answer) text += String(chunk)
        resolve(JSON.parse(text))
      })
      request.on('error', reject)
    })
  const user = (await get({ key: pem('ann', 'key'), cert: pem('ann', 'cert') })) as { id: string; by: string; valid: { until: number } }
  expect(user).toMatchObject({ id: 'ann', by: 'certificate' })
  expect(user.valid.until - Date.now()).toBeGreaterThan(86_000_000)
  await expect(get({ key: pem('server', 'key'), cert: pem('server', 'cert') })).rejects.toThrow()
  await expect(get({})).rejects.toThrow()
  await app.close({ timeout: 0 })
})

test('names of pre-shared keys are users on CoAP and on MQTT, and a name that nothing knows is refused', async () => {
  const psk = { lamp: Buffer.from('the-key-of-lamp!'), ghost: Buffer.from('the-key-of-ghost') }
  const app = new App({ logger: false })
    .use(preSharedKey({ user: name => (name === 'lamp' ? { id: `device ${name}`, roles: ['device'] } : null) }))
    .use(allow([{ roles: 'device', to: '/seen' }]))
    .use(router())
    .use(coap({ port: 0, tls: { psk, port: 0 } }))
    .use(mqtt({ port: 0, tls: { psk } }))
  const seen: unknown[] = []
  app.put('/seen', context => void seen.push([context.scheme, context.user])).get('/seen', () => 'seen')
  const [things, broker] = await app.listen()
  const url = (things as CoapListener).urls.find(({ protocol }) => protocol === 'coaps+tcp:') as URL
  const lamp = await app.connect(url, { tls: { psk: { lamp: psk.lamp } } })
  expect((await lamp.put('/seen', 1)).status).toBe(204)
  expect((await lamp.put('/other', 1)).status).toBe(403)
  await lamp.close()
  await expect(app.connect(url, { tls: { psk: { ghost: psk.ghost } } }).then(client => client.get('/seen'))).rejects.toThrow()
  const user = { id: 'device lamp', roles: ['device'], by: 'psk' }
  expect(seen).toEqual([['coaps+tcp', user]])
  const publish = (identity: string, key: string, topic: string): Promise<number | null> =>
    new Promise((resolve, reject) => {
      const to = ['-h', '127.0.0.1', '-p', String(portOf(broker?.url)), '-V', '5', '-q', '1', '-t', topic, '-m', '1', '-d']
      const child = spawn('mosquitto_pub', [...to, '--psk-identity', identity, '--psk', Buffer.from(key).toString('hex'), '--tls-version', 'tlsv1.2'])
      let text = ''
      child.stdout.on('data', data => (text += data))
      child.on('error', reject)
      child.on('close', code => resolve(text.includes('RC:135') ? 135 : code))
    })
  const missing = await publish('lamp', 'the-key-of-lamp!', 'seen').catch(() => 'missing')
  if (missing !== 'missing') {
    expect(missing).toBe(0)
    expect(seen[1]).toEqual(['mqtts', user])
    expect(await publish('lamp', 'the-key-of-lamp!', 'other')).toBe(135)
    expect(await publish('ghost', 'the-key-of-ghost', 'seen')).not.toBe(0)
    expect(await publish('lamp', 'the-key-of-ghost', 'seen')).not.toBe(0)
  }
  await app.close({ timeout: 0 })
})

test('what attackers send over HTTP does not get past authentication and rules', async () => {
  const bob = `authorization: Basic ${Buffer.from('bob:pw').toString('base64')}`
  const app = new App({ logger: false })
    .use(anyOf([basic({ verify: (id, password) => (password === 'pw' ? { id, roles: id === 'ann' ? ['admin'] : [] } : null) })]))
    .use(
      allow([
        { roles: 'admin', to: '/#' },
        { to: '/secret/#', deny: true },
        { to: '/#', may: 'read' }
      ])
    )
    .use(router({ trailingSlash: 'ignore' }))
    .use(http({ port: 0 }))
  app
    .get('/secret/{name}', () => 'secret')
    .put('/open', () => 'changed')
    .get('/open', () => 'open')
    .get('/secret', () => 'secret')
  const [listener] = await app.listen()
  const port = portOf(listener?.url)
  const ask = (line: string, ...headers: string[]): Promise<string> =>
    raw(port, `${line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${headers.map(header => `${header}\r\n`).join('')}\r\n`)
  expect(await ask('GET /open', bob)).toMatch(/^HTTP\/1.1 200 [\s\S]*open$/)
  const ann = `Authorization: Basic ${Buffer.from('ann:guessed').toString('base64')}`
  for (const headers of [
    [bob, ann],
    [ann, bob],
    [`${bob}, Basic YW5uOng=`],
    ['authorization: Basic'],
    [`authorization : Basic YQ==`],
    [`${bob}\r\n Basic x`],
    []
  ])
    expect(await ask('GET /open', ...headers), headers.join()).toMatch(/^HTTP\/1.1 40[01] /)
  const paths = ['/secret', '/secret/', '/secret/a', '/secret/a/', '/%73ecret/a', '/secret/%61', '/%73%65cret/']
  for (const path of paths)
    for (const method of ['GET', 'HEAD', 'OPTIONS']) expect(await ask(`${method} ${path}`, bob), `${method} ${path}`).toMatch(/^HTTP\/1.1 403 /)
  for (const path of ['/open/../secret/a', '/open/%2e%2e/secret/a', '/secret%2Fa', '//secret/a', '/open/..%2fsecret', '/secret/a%00', '/secret\\a'])
    expect(await ask(`GET ${path}`, bob), path).toMatch(/^HTTP\/1.1 (?:400|403|404) (?![\s\S]*\r\n\r\nsecret)/)
  for (const more of ['x-http-method-override: PUT', 'x-method-override: PUT', 'method: PUT'])
    expect(await ask('GET /open', bob, more)).toContain('open')
  expect(await ask('PUT /open', bob, 'content-length: 0')).toMatch(/^HTTP\/1.1 403 /)
  expect(await ask('put /open', bob, 'content-length: 0')).toMatch(/^HTTP\/1.1 40\d /)
  await app.close({ timeout: 0 })
})
