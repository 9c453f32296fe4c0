import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { App, type TlsOptions } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let folder = ''
const file = (name: string): Buffer => readFileSync(join(folder, name))
const certificate = (): { key: Buffer; cert: Buffer } => ({ key: file('key.pem'), cert: file('cert.pem') })

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'iopa-coap-psk-'))
  const make = (name: string, host: string): void => {
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${host}`]
    const out = ['-keyout', join(folder, `${name}key.pem`), '-out', join(folder, `${name}cert.pem`)]
    execFileSync('openssl', [...request, '-addext', `subjectAltName=DNS:${host}`, ...out], { stdio: 'pipe' })
  }
  make('', 'localhost')
  make('other-', 'other.example')
})
afterAll(() => rmSync(folder, { recursive: true }))

const ADMIN = Buffer.from('the key of the administrator')
const ANN = Buffer.from('the key of Ann')
const WRONG = Buffer.alloc(16)
/** Length 7, no token, GET, Uri-Path `whoami`; a CSM goes before it. */
const ASK = Buffer.concat([Buffer.from([0x00, 0xe1, 0x70, 0x01, 0xb6]), Buffer.from('whoami')])

/** An app over TLS that says who asks, and remembers every user that a connection or a request had. */
const serve = async (options: TlsOptions) => {
  const users: (string | undefined)[] = []
  const app = new App({ logger: false })
    .use((context, next) => {
      users.push(context.user?.id)
      return next()
    })
    .use(context => (context.path === '/whoami' ? (context.user?.id ?? 'nobody') : undefined))
    .use(coap({ port: 0, udp: false, tls: options }))
  const [listener] = await app.listen()
  return { app, users, listener: listener!, port: Number(listener!.url.port), [Symbol.asyncDispose]: () => app.close({ timeout: 0 }) }
}

/** Everything that a TLS client gets for a GET of /whoami before the connection ends; the error where there is none. */
const ask = async (options: tls.ConnectionOptions, keep?: (socket: tls.TLSSocket) => void): Promise<string> => {
  const socket = tls.connect({ host: '127.0.0.1', rejectUnauthorized: false, checkServerIdentity: () => undefined, ...options })
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    if (text.length > 12) socket.end()
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    text += `error: ${error.code}`
  })
  socket.once('secureConnect', () => {
    keep?.(socket)
    socket.write(ASK)
  })
  const guard = setTimeout(() => socket.destroy(), 5000)
  await new Promise(resolve => socket.once('close', resolve))
  clearTimeout(guard)
  return text
}

const PSK = 'PSK-AES128-GCM-SHA256'
const with12 = (identity: string, psk: Buffer): tls.ConnectionOptions => ({
  ciphers: PSK,
  maxVersion: 'TLSv1.2',
  pskCallback: () => ({ identity, psk })
})

const sClient = async (port: number, ...args: string[]): Promise<string> => {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], { timeout: 5000 })
  let text = ''
  let asked = false
  child.stdin.on('error', () => undefined)
  const hear = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
    if (asked || !/New, .*Cipher is|alert/.test(text)) return
    asked = true
    child.stdin.end(ASK)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  await once(child, 'close')
  return text
}

describe('a listener with pre-shared keys', () => {
  test('gives no identity to a TLS 1.3 client that offers one without its key', async () => {
    await using server = await serve({ ...certificate(), psk: { admin: ADMIN } })
    for (const suite of ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']) {
      const pskCallback = () => ({ identity: 'admin', psk: WRONG })
      const text = await ask({ port: server.port, minVersion: 'TLSv1.3', ciphers: suite, pskCallback } as tls.ConnectionOptions)
      expect(text).not.toContain('admin')
      const peer = await sClient(server.port, '-tls1_3', '-ciphersuites', suite, '-psk_identity', 'admin', '-psk', '00'.repeat(16))
      expect(peer).not.toContain('TLSv1.3, Cipher is TLS')
    }
    expect(server.users).toEqual([])
  })

  test('refuses a TLS 1.3 client even with the right key: the key counts in TLS 1.2 alone', async () => {
    await using server = await serve({ ...certificate(), psk: { admin: ADMIN } })
    const pskCallback = () => ({ identity: 'admin', psk: ADMIN })
    const text = await ask({ port: server.port, minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256', pskCallback } as tls.ConnectionOptions)
    expect(text).toContain('error')
    expect(server.users).toEqual([])
  })

  test('speaks PSK suites alone, also where it has a certificate', async () => {
    await using server = await serve({ ...certificate(), psk: { admin: ADMIN } })
    for (const ciphers of ['HIGH:!PSK', 'RSA-PSK-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256', 'ALL:!PSK:@SECLEVEL=0', 'aNULL:@SECLEVEL=0']) {
      const text = await ask({ port: server.port, maxVersion: 'TLSv1.2', ciphers, pskCallback: () => ({ identity: 'admin', psk: WRONG }) })
      expect(text).toContain('error')
    }
    expect(await sClient(server.port, '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256')).toMatch(/alert handshake failure/)
    expect(server.users).toEqual([])
  })

  test('takes an identity with its own key, and no other', async () => {
    await using server = await serve({ psk: { admin: ADMIN, ann: ANN } })
    expect(await ask({ port: server.port, ...with12('admin', ADMIN) })).toContain('admin')
    expect(await ask({ port: server.port, ...with12('ann', ANN) })).toContain('ann')
    const known = server.users.length
    for (const [identity, key] of [
      ['admin', ANN],
      ['admin', WRONG],
      ['', ADMIN],
      ['toString', ADMIN],
      ['__proto__', ADMIN],
      ['ADMIN', ADMIN],
      ['stranger', WRONG]
    ] as const) {
      expect(await ask({ port: server.port, ...with12(identity, key) })).not.toMatch(/admin|ann/)
    }
    expect(server.users.slice(known)).toEqual(expect.not.arrayContaining(['ann', 'stranger', '']))
    const s = await sClient(server.port, '-tls1_2', '-cipher', PSK, '-psk_identity', 'ann', '-psk', ANN.toString('hex'))
    expect(s).toMatch(/Cipher is PSK-AES128-GCM-SHA256/)
  })

  test('resumes no session, so that a removed key no longer connects', async () => {
    await using server = await serve({ psk: { admin: ADMIN, ann: ANN } })
    let session: Buffer | undefined
    let ticket = false
    await ask({ port: server.port, ...with12('ann', ANN) }, socket => {
      session = socket.getSession()
      ticket = (socket.getTLSTicket()?.length ?? 0) > 0
    })
    expect(ticket).toBe(false)
    let reused = true
    const again = await ask({ port: server.port, ...with12('ann', ANN), session }, socket => {
      reused = socket.isSessionReused()
    })
    expect(again).toContain('ann')
    expect(reused).toBe(false)
    server.listener.reload!({ psk: { admin: ADMIN } })
    const before = server.users.length
    expect(await ask({ port: server.port, ...with12('ann', ANN), session })).toContain('error')
    expect(await ask({ port: server.port, ...with12('ann', ANN) })).toContain('error')
    expect(server.users.length).toBe(before)
    expect(await ask({ port: server.port, ...with12('admin', ADMIN) })).toContain('admin')
    const saved = join(folder, 'session')
    const open = ['-tls1_2', '-cipher', PSK, '-psk_identity', 'admin', '-psk', ADMIN.toString('hex')]
    expect(await sClient(server.port, ...open, '-sess_out', saved)).toMatch(/Cipher is PSK/)
    server.listener.reload!({ psk: { ann: ANN } })
    expect(await sClient(server.port, ...open, '-sess_in', saved)).toMatch(/alert unknown psk identity/)
    expect(await sClient(server.port, '-tls1_2', '-cipher', PSK, '-psk_identity', 'x', '-psk', '00', '-sess_in', saved)).toMatch(
      /alert unknown psk identity/
    )
  })

  test('takes new keys, and takes a changed key of an identity', async () => {
    await using server = await serve({ psk: { ann: WRONG } })
    server.listener.reload!({ psk: { ann: ANN, admin: ADMIN } })
    expect(await ask({ port: server.port, ...with12('admin', ADMIN) })).toContain('admin')
    expect(await ask({ port: server.port, ...with12('ann', ANN) })).toContain('ann')
    expect(await ask({ port: server.port, ...with12('ann', WRONG) })).not.toContain('ann')
  })

  test('does not change between keys and certificates when it is reloaded', async () => {
    await using keys = await serve({ psk: { ann: ANN } })
    expect(() => keys.listener.reload!(certificate())).toThrow(expect.objectContaining({ code: 'tls-reload' }))
    await using certificates = await serve(certificate())
    expect(() => certificates.listener.reload!({ psk: { ann: ANN } })).toThrow(expect.objectContaining({ code: 'tls-reload' }))
    expect(() => certificates.listener.reload!({ ...certificate(), ca: file('cert.pem'), requestCert: true })).toThrow(
      expect.objectContaining({ code: 'tls-reload' })
    )
    expect(await ask({ port: keys.port, ...with12('ann', ANN) })).toContain('ann')
    expect(await ask({ port: certificates.port })).toContain('nobody')
  })

  test.each([
    ['TLS 1.3 as the least version', { psk: { ann: ANN }, minVersion: 'TLSv1.3' }],
    ['a request for certificates, which PSK suites do not make', { psk: { ann: ANN }, requestCert: true }],
    ['text in place of the table', { psk: 'sesame' as never }],
    ['a key that is text', { psk: { ann: 'sesame' as never } }],
    ['an empty key', { psk: { ann: new Uint8Array(0) } }],
    ['a key that is too long', { psk: { ann: new Uint8Array(257) } }],
    ['an empty identity', { psk: { '': ANN } }],
    ['no key at all', { psk: {} }],
    ['a request for certificates without a ca to check them', { requestCert: true }]
  ] as const)('rejects %s', async (_, options) => {
    const own = 'psk' in options ? {} : certificate()
    await expect(serve({ ...own, ...options })).rejects.toMatchObject({ status: 500, code: expect.stringMatching(/^(bad-option|psk-|tls-)/) })
  })
})

describe('a client with pre-shared keys', () => {
  const connect = async (port: number, options: TlsOptions, host = 'localhost'): Promise<string> => {
    await using app = new App({ logger: false }).use(coap())
    await using client = await app.connect(`coaps+tcp://${host}:${port}`, { tls: options })
    return (await client.get('/whoami')).text()
  }

  test('refuses a server that shows a certificate instead of using the key', async () => {
    // A trusted certificate of another host: the system's authorities would have signed it.
    await using imposter = await serve({ key: file('other-key.pem'), cert: file('other-cert.pem') })
    await expect(connect(imposter.port, { psk: { ann: ANN } })).rejects.toMatchObject({ status: 502 })
    await expect(connect(imposter.port, { psk: { ann: ANN }, verify: false })).rejects.toMatchObject({ status: 502 })
  })

  test('checks the name whenever a certificate is used', async () => {
    await using imposter = await serve({ key: file('other-key.pem'), cert: file('other-cert.pem') })
    await expect(connect(imposter.port, { psk: { ann: ANN }, ca: file('other-cert.pem') })).rejects.toMatchObject({ status: 502 })
    expect(await connect(imposter.port, { psk: { ann: ANN }, ca: file('other-cert.pem'), serverName: 'other.example' })).toBe('nobody')
    await using right = await serve(certificate())
    expect(await connect(right.port, { psk: { ann: ANN }, ca: file('cert.pem') })).toBe('nobody')
  })

  test('uses its key where the server has it, also beside a ca', async () => {
    await using server = await serve({ psk: { ann: ANN } })
    expect(await connect(server.port, { psk: { ann: ANN } })).toBe('ann')
    expect(await connect(server.port, { psk: { ann: ANN }, ca: file('cert.pem') })).toBe('ann')
    await expect(connect(server.port, { psk: { ann: WRONG } })).rejects.toMatchObject({ status: 502 })
  })

  test.each([
    ['TLS 1.3 as the least version', { psk: { ann: ANN }, minVersion: 'TLSv1.3' }],
    ['text in place of the table', { psk: 'sesame' as never }],
    ['a key that is text', { psk: { ann: 'sesame' as never } }],
    ['no key at all', { psk: {} }]
  ] as const)('rejects %s', async (_, options) => {
    await expect(connect(9, options)).rejects.toMatchObject({ status: 500, code: expect.stringMatching(/^(bad-option|psk-)/) })
  })
})
