import tls from 'node:tls'
import type { TlsOptions } from '@iopa/appbuilder'
import { type Client, connect } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { http } from '../src/index.ts'
import { identities } from './certificates.ts'
import { atEnd, eventually, Peer, serve } from './support.ts'

const { ca, of } = identities('server', 'renewed', 'client', 'second', 'wild')
const server = of['server'] as { key: string; cert: string }

const dial = async (port: number, settings: TlsOptions, host = 'localhost'): Promise<Client> => {
  const channel = await connect(http(), new URL(`https://${host}:${port}`), { tls: settings, timeout: 3000 })
  atEnd(() => channel.close())
  return channel
}

const handshake = (port: number, options: tls.ConnectionOptions): Promise<tls.TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost', ca, ...options }, () => resolve(socket))
    socket.once('error', reject)
    atEnd(() => socket.destroy())
  })

describe('over TLS', () => {
  test('requests are answered, and the context is marked as encrypted', async () => {
    const { listener, port } = await serve(context => [context.scheme, context['server.TLS'], context['ssl.ClientCertificate'] ?? null], {
      tls: server
    })
    expect(listener.url.protocol).toBe('https:')
    const answer = await (await dial(port, { ca })).send({ 'iopa.Path': '/' })
    expect(await answer.json()).toEqual(['https', true, null])
  })

  test('a certificate is chosen by the name that the client asks for, and replaced by reload()', async () => {
    const { listener, port } = await serve(context => context['server.TLS'], {
      tls: { ...server, sni: { 'Second.example': of['second'] as typeof server, '*.wild.example': of['wild'] as typeof server } }
    })
    const shown = async (servername: string): Promise<unknown> => {
      const socket = await handshake(port, { servername, checkServerIdentity: () => undefined })
      return (socket.getPeerCertificate().subject as { CN: string }).CN
    }
    const names = ['localhost', 'second.example', 'a.wild.example', 'a.b.wild.example', 'wild.example', 'other.example']
    expect(await Promise.all(names.map(shown))).toEqual(['server', 'second', 'wild', 'server', 'server', 'server'])
    listener.reload?.({ ...(of['renewed'] as typeof server), sni: { 'second.example': of['client'] as typeof server } })
    expect(await Promise.all(names.slice(0, 3).map(shown))).toEqual(['renewed', 'client', 'renewed'])
    listener.reload?.(server)
    expect(await Promise.all(names.slice(0, 3).map(shown))).toEqual(['server', 'client', 'server'])
    expect(() => listener.reload?.({ ...server, sni: { 'no name': server } })).toThrow(/is no name of a server/)
  })

  test('HTTP/2 is negotiated before HTTP/1.1, unless it is left out', async () => {
    const { port } = await serve(() => 'x', { tls: server })
    expect((await handshake(port, { ALPNProtocols: ['http/1.1', 'h2'] })).alpnProtocol).toBe('h2')
    expect((await handshake(port, { ALPNProtocols: ['http/1.1'] })).alpnProtocol).toBe('http/1.1')
    expect((await handshake(port, {})).alpnProtocol).toBe(false)
    const { port: old } = await serve(() => 'x', { tls: server, http2: false })
    expect((await handshake(old, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol).toBe('http/1.1')
  })

  test('a client verifies the server by default', async () => {
    const { port } = await serve(() => 'x', { tls: server })
    await expect(dial(port, {})).rejects.toMatchObject({ code: 'connect-failed' })
    await expect(dial(port, { ca, serverName: 'elsewhere.example' })).rejects.toMatchObject({ code: 'connect-failed' })
    for (const settings of [{ ca }, { verify: false }]) expect((await (await dial(port, settings)).send({ 'iopa.Path': '/' })).status).toBe(200)
    expect((await (await dial(port, { ca }, '127.0.0.1')).send({ 'iopa.Path': '/' })).status).toBe(200)
  })

  test('the handler gets the client certificate if one is required', async () => {
    const { port } = await serve(context => (context['ssl.ClientCertificate'] as { subject: { CN: string } }).subject.CN, {
      tls: { ...server, ca, requestCert: true }
    })
    expect(await (await (await dial(port, { ca, ...of['client'] })).send({ 'iopa.Path': '/' })).text()).toBe('client')
    // With TLS 1.3 the refusal comes after the handshake.
    await expect(dial(port, { ca }).then(channel => channel.send({ 'iopa.Path': '/' }))).rejects.toMatchObject({ name: 'IopaError' })
  })

  test('observers get changes', async () => {
    let n = 0
    const { app, port } = await serve(() => ({ n }), { tls: server })
    const seen: unknown[] = []
    for await (const answer of (await dial(port, { ca })).observe({ 'iopa.Path': '/' })) {
      seen.push(await answer.json())
      if (++n === 3) break
      app.notify('/')
    }
    expect(seen).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }])
  })

  test('reloaded certificates apply to new connections', async () => {
    const { port, listener } = await serve(() => 'x', { tls: server })
    const before = await handshake(port, {})
    expect(before.getPeerCertificate().subject.CN).toBe('server')
    listener.reload?.(of['renewed'] as TlsOptions)
    expect((await handshake(port, {})).getPeerCertificate().subject.CN).toBe('renewed')
    before.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const answer = await new Promise(resolve => before.once('data', resolve))
    expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('a request without TLS is dropped, and the listener stays', async () => {
    const { app, port } = await serve(() => 'x', { tls: server })
    await new Peer(port).send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n').untilEnd()
    expect((await (await dial(port, { ca })).send({ 'iopa.Path': '/' })).status).toBe(200)
    await eventually('the connection of the client is left', () => app.live === 1)
  })

  test('versions before 1.2 are refused, and listening without a key too', async () => {
    const { port } = await serve(() => 'x', { tls: server })
    await expect(handshake(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).rejects.toThrow()
    await expect(serve(() => 'x', { tls: {} })).rejects.toMatchObject({ code: 'tls-without-key' })
  })

  test('tls for a plain URL is refused', async () => {
    await expect(connect(http(), new URL('http://localhost:1'), { tls: { ca } })).rejects.toMatchObject({ code: 'tls-scheme' })
  })
})
