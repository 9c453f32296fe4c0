import net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { identities } from './certificates.ts'
import { ask, atEnd, Peer, serve } from './support.ts'

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n'
const ENDS = '\xcb\0\x71\x07\x0a\0\0\x01\x10\x92\x01\xbb'
const SIX = `\x20\x01\x0d\xb8${'\0'.repeat(11)}\x07${'\0'.repeat(15)}\x01\x10\x92\x01\xbb`
const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
const binary = (command: number, family: number, rest: string): string =>
  `${SIGNATURE}${String.fromCharCode(command, family, rest.length >> 8, rest.length & 255)}${rest}`

const bodyOf = (text: string): unknown => JSON.parse(text.split('\r\n\r\n')[1] ?? 'null')
const served = (more: object = {}): ReturnType<typeof serve> =>
  serve(context => [context.remoteAddress, context['server.RemotePort'], context['server.LocalAddress'], context['server.LocalPort']], {
    proxyProtocol: ['loopback'],
    hosts: ['*'],
    ...more
  })

describe('the PROXY protocol', () => {
  test.each([
    ['version 1', 'PROXY TCP4 203.0.113.7 10.0.0.1 4242 443\r\n', ['203.0.113.7', 4242, '10.0.0.1', 443]],
    ['version 1 with IPv6', 'PROXY TCP6 2001:db8::7 ::1 4242 443\r\n', ['2001:db8::7', 4242, '::1', 443]],
    ['version 2', binary(0x21, 0x11, ENDS), ['203.0.113.7', 4242, '10.0.0.1', 443]],
    ['version 2 with further fields', binary(0x21, 0x11, `${ENDS}\x04\0\x03abc`), ['203.0.113.7', 4242, '10.0.0.1', 443]],
    ['version 2 with IPv6', binary(0x21, 0x21, SIX), ['2001:db8::7', 4242, '::1', 443]]
  ])('names the client: %s', async (_, header, ends) => {
    const { port } = await served()
    expect(bodyOf(await ask(port, header + GET))).toEqual(ends)
    // Byte by byte, in packets of their own.
    const peer = new Peer(port)
    peer.socket.setNoDelay(true)
    for (const unit of header) {
      peer.send(unit)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(bodyOf(await peer.send(GET).untilEnd())).toEqual(ends)
  })

  test.each([
    ['UNKNOWN', 'PROXY UNKNOWN\r\n'],
    ['UNKNOWN with more', 'PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'],
    ['LOCAL', binary(0x20, 0, '')],
    ['a UNIX socket', binary(0x21, 0x31, '\0'.repeat(216))]
  ])('leaves the ends as they are: %s', async (_, header) => {
    const { port } = await served()
    expect((bodyOf(await ask(port, header + GET)) as unknown[])[0]).toBe('127.0.0.1')
  })

  test.each([
    ['none', GET],
    ['an IPv6 address as IPv4', `PROXY TCP4 ::1 ::1 1 2\r\n${GET}`],
    ['no address', `PROXY TCP4 localhost 10.0.0.1 1 2\r\n${GET}`],
    ['a port beyond 65535', `PROXY TCP4 203.0.113.7 10.0.0.1 65536 2\r\n${GET}`],
    ['a port with a zero before it', `PROXY TCP4 203.0.113.7 10.0.0.1 01 2\r\n${GET}`],
    ['two spaces', `PROXY  TCP4 203.0.113.7 10.0.0.1 1 2\r\n${GET}`],
    ['a long line', `PROXY UNKNOWN ${'x'.repeat(200)}\r\n${GET}`],
    ['another version', binary(0x31, 0x11, ENDS) + GET],
    ['another command', binary(0x22, 0x11, ENDS) + GET],
    ['too few addresses', binary(0x21, 0x21, ENDS) + GET],
    ['a long binary header', binary(0x21, 0x11, ENDS + '\0'.repeat(5000)) + GET]
  ])('closes the connection without an answer: %s', async (_, bytes) => {
    const { port } = await served()
    expect(await ask(port, bytes)).toBe('')
  })

  test('closes a connection whose header does not come in time, or ends', async () => {
    const { port } = await served({ limits: { headerTimeout: 50 } })
    const slow = new Peer(port).send('PROXY TCP4')
    expect(await slow.untilEnd()).toBe('')
    const ended = new Peer(port).send('PROXY TCP4')
    ended.socket.end()
    expect(await ended.untilEnd()).toBe('')
  })

  test('is not spoken by others', async () => {
    const { port } = await served({ proxyProtocol: ['203.0.113.0/24'] })
    expect(await ask(port, `PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n${GET}`)).toMatch(/^HTTP\/1\.1 400 /)
    expect((bodyOf(await ask(port, GET)) as unknown[])[0]).toBe('127.0.0.1')
  })

  test('comes before TLS', async () => {
    const { ca, of } = identities('server')
    const { port } = await served({ tls: of['server'] })
    for (const together of [false, true]) {
      const raw = net.connect(port, '127.0.0.1')
      atEnd(() => raw.destroy())
      raw.write('PROXY TCP4 203.0.113.7 10.0.0.1 4242 443\r\n')
      if (!together) await new Promise(resolve => setTimeout(resolve, 20))
      const socket = tls.connect({ socket: raw, servername: 'localhost', ca, ALPNProtocols: ['http/1.1'] })
      socket.write(GET)
      let text = ''
      for await (const chunk of socket) text += chunk
      expect((bodyOf(text) as unknown[])[0]).toBe('203.0.113.7')
    }
  })

  test('gives limits their address', async () => {
    const { port } = await served({ limits: { connectionsPerAddress: 1 } })
    const open = (last: number): Peer => new Peer(port).send(`PROXY TCP4 203.0.113.${last} 10.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    expect(await open(7).until(/^HTTP\/1\.1 \d+/)).toMatch(/ 200/)
    expect(await open(7).until(/^HTTP\/1\.1 \d+/)).toMatch(/ 503/)
    expect(await open(8).until(/^HTTP\/1\.1 \d+/)).toMatch(/ 200/)
  })

  test('needs proxies with addresses', async () => {
    for (const proxyProtocol of [[], ['proxy.example'], ['10.0.0.0/33'], 'loopback' as never])
      await expect(served({ proxyProtocol })).rejects.toMatchObject({ code: 'bad-option', detail: expect.stringContaining('proxyProtocol') })
    await expect(served({ port: undefined, path: '/tmp/never.sock' })).rejects.toMatchObject({ code: 'bad-option' })
  })
})
