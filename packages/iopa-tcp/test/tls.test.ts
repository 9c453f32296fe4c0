import tls from 'node:tls'
import type { TlsOptions } from '@iopa/appbuilder'
import { connect } from '@iopa/transport'
import { beforeAll, describe, expect, test } from 'vitest'
import { tcp } from '../src/index.ts'
import { type Certificates, certificates, hasOpenssl } from './certificates.ts'
import { atEnd, dial, eventually, get, Peer, serve } from './support.ts'

let made: Certificates

beforeAll(() => {
  if (hasOpenssl) made = certificates()
})

const dialTls = async (port: number, options: tls.ConnectionOptions): Promise<Peer> => {
  const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost', allowHalfOpen: true, ...options } as tls.ConnectionOptions)
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
  })
  atEnd(() => socket.destroy())
  return new Peer(socket)
}

const secured = (port: number, settings: TlsOptions, host = 'localhost') =>
  connect(tcp(), new URL(`tcps://${host}:${port}`), { tls: settings, timeout: 3000 })

describe.skipIf(!hasOpenssl)('over TLS, with certificates by openssl', () => {
  test('answers a bag, and marks the context as encrypted', async () => {
    const { port, url } = await serve(context => ({ tls: context['server.TLS'], scheme: context.scheme }), { tls: made.server })
    expect(url.protocol).toBe('tcps:')
    const peer = await dialTls(port, { ca: made.ca })
    peer.send(get('/'))
    expect((await peer.answers(1))[0]?.['iopa.Body']).toEqual({ tls: true, scheme: 'tcps' })
  })

  test('answers a peer that has ended its side', async () => {
    const { port, app } = await serve(() => new Promise(resolve => setTimeout(() => resolve('late'), 20)), { tls: made.server })
    const peer = await dialTls(port, { ca: made.ca })
    peer.send(get('/'))
    peer.end()
    await peer.until(() => peer.ended || peer.closed)
    expect(peer.bags[0]?.['iopa.Body']).toBe('late')
    await eventually(() => app.live === 0)
  })

  test('verifies the server by default', async () => {
    const { port } = await serve(() => 'safe', { tls: made.server })
    await expect(secured(port, {})).rejects.toMatchObject({ code: 'connect-failed' })
    await expect(secured(port, { ca: made.ca, serverName: 'elsewhere.example' })).rejects.toMatchObject({ code: 'connect-failed' })
    for (const settings of [{ ca: made.ca }, { verify: false }]) {
      const channel = await secured(port, settings)
      atEnd(() => channel.close())
      expect(await (await channel.send({ 'iopa.Path': '/' })).text()).toBe('safe')
    }
    const byAddress = await secured(port, { ca: made.ca }, '127.0.0.1')
    atEnd(() => byAddress.close())
    expect((await byAddress.send({ 'iopa.Path': '/' })).status).toBe(200)
  })

  test('passes the client certificate to the handler when one is required', async () => {
    const { port } = await serve(context => (context['ssl.ClientCertificate'] as { subject: { CN: string } }).subject.CN, {
      tls: { ...made.server, ca: made.ca, requestCert: true }
    })
    const channel = await secured(port, { ca: made.ca, ...made.client })
    atEnd(() => channel.close())
    expect(await (await channel.send({ 'iopa.Path': '/' })).text()).toBe('client')
    // With TLS 1.3 the refusal comes after the handshake.
    const refused = secured(port, { ca: made.ca }).then(async without => {
      atEnd(() => without.close())
      await without.send({ 'iopa.Path': '/' })
    })
    await expect(refused).rejects.toMatchObject({ name: 'IopaError' })
  })

  test('drops a connection without a handshake, and the listener stays', async () => {
    const { port, app } = await serve(() => 'x', { tls: made.server })
    const plain = await dial(port)
    plain.send(get('/'))
    await plain.until(() => plain.ended || plain.closed)
    const peer = await dialTls(port, { ca: made.ca })
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 200 })
    expect(app.live).toBe(1)
  })

  test('uses reloaded certificates for new connections', async () => {
    const { port, listener } = await serve(() => 'x', { tls: made.server })
    const subject = (peer: Peer): unknown => (peer.socket as tls.TLSSocket).getPeerCertificate().subject.CN
    const before = await dialTls(port, { ca: made.ca })
    expect(subject(before)).toBe('server')
    listener.reload?.(made.renewed)
    expect(subject(await dialTls(port, { ca: made.ca }))).toBe('renewed')
    before.send(get('/'))
    expect((await before.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 200 })
  })

  test('refuses versions before 1.2', async () => {
    const { port } = await serve(() => 'x', { tls: made.server })
    await expect(dialTls(port, { ca: made.ca, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).rejects.toThrow()
  })

  test('rejects listening without a key', async () => {
    await expect(serve(() => 'x', { tls: {} })).rejects.toMatchObject({ code: 'tls-without-key' })
  })
})
