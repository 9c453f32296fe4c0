import { createSocket } from 'node:dgram'
import { afterAll, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import type { DtlsOptions } from '../src/options.ts'
import { authority, issue } from './certificate-authority.ts'
import { files, holds, realChannel, start } from './foreign-peers.ts'

const root = authority()
const middle = authority('middle', {}, root)
const lamp = issue({ names: ['lamp.example', '127.0.0.1'] }, middle)
const sensor = issue({ name: 'sensor' }, root)
const expired = issue({ names: ['lamp.example'], from: 0, to: 86_400_000 }, root)
const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')

const folder = files({
  'ca.pem': root.cert,
  'lamp.pem': `${lamp.cert}\n${middle.cert}`,
  'lamp.key': lamp.key,
  'middle.pem': middle.cert,
  'sensor.pem': sensor.cert,
  'sensor.key': sensor.key,
  'expired.pem': expired.cert,
  'expired.key': expired.key
})
afterAll(() => folder.remove())

const SERVER: DtlsOptions = { key: lamp.key, cert: `${lamp.cert}\n${middle.cert}` }
const MUTUAL: DtlsOptions = { ...SERVER, ca: root.cert, requestCert: true }
const PSK: DtlsOptions = { psk: { sensor: KEY } }

const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1', () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })

const sClient = (port: number, ...more: readonly string[]) => start('openssl', ['s_client', '-dtls1_2', '-connect', `127.0.0.1:${port}`, ...more])
const CHECKED = ['-CAfile', folder.path('ca.pem'), '-verify_return_error', '-verify_hostname', 'lamp.example']
const OWN = ['-cert', folder.path('sensor.pem'), '-key', folder.path('sensor.key')]

/** A server that prints what it gets, and sends what it is given to write. */
const sServer = async (...more: readonly string[]) => {
  const port = await freePort()
  const server = start('openssl', ['s_server', '-dtls1_2', '-accept', `127.0.0.1:${port}`, ...more])
  await server.shows(/ACCEPT/)
  return { port, server }
}
const LAMP = ['-cert', folder.path('lamp.pem'), '-key', folder.path('lamp.key'), '-cert_chain', folder.path('middle.pem')]

describeWith('openssl', 'A server with certificates and clients of OpenSSL', () => {
  test.each(['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-CCM', 'ECDHE-ECDSA-AES128-CCM8'])('serves %s', async cipher => {
    await using server = await realChannel(SERVER, true)
    const client = sClient(server.port, '-cipher', `${cipher}:@SECLEVEL=0`, ...CHECKED)
    client.write('hello\n')
    await client.shows(/hello/)
    expect(client.output()).toContain(`Cipher is ${cipher}`)
    expect(client.output()).toContain('Extended master secret: yes')
    expect(client.output()).toContain('Verify return code: 0 (ok)')
    await client.end()
  })

  test('takes small datagrams of the client', async () => {
    await using server = await realChannel(MUTUAL, true)
    // With all its suites its ClientHello would be in two pieces, which have no answer before a cookie.
    const small = ['-mtu', '256', '-cipher', 'ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0', '-sigalgs', 'ECDSA+SHA256', '-groups', 'X25519:P-256']
    const client = sClient(server.port, ...small, ...CHECKED, ...OWN)
    client.write('hello\n')
    await client.shows(/hello/)
    await client.end()
  })

  test('gets the certificate of the client, and refuses one without', async () => {
    await using server = await realChannel(MUTUAL, true)
    const client = sClient(server.port, ...CHECKED, ...OWN)
    client.write('hello\n')
    await client.shows(/hello/)
    expect(server.opened[0]?.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' }, issuer: { CN: 'authority' } })
    expect(server.opened[0]?.user).toBeUndefined()
    await client.end()
    const other = sClient(server.port, ...CHECKED)
    await other.shows(/alert handshake failure|handshake failure/)
    expect(server.opened).toHaveLength(1)
    await other.end()
  })

  test('resumes sessions', async () => {
    await using server = await realChannel(MUTUAL, true)
    const client = sClient(server.port, '-reconnect', '-no_ticket', ...CHECKED, ...OWN)
    await client.shows(/(Reused, TLSv1.2[\s\S]*){5}/)
    await holds(() => server.opened.length === 6)
    for (const peer of server.opened) expect(peer.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' } })
    await client.end()
  })
})

describeWith('openssl', 'A client with certificates and servers of OpenSSL', () => {
  test.each(['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-CCM', 'ECDHE-ECDSA-AES128-CCM8'])('speaks %s', async cipher => {
    const { port, server } = await sServer(...LAMP, '-cipher', `${cipher}:@SECLEVEL=0`)
    await using client = await realChannel({ ca: root.cert }, false)
    const peer = await client.connect(port)
    peer.send(Buffer.from('hello\n'))
    await server.shows(/hello/)
    server.write('answer\n')
    await holds(() => client.received.includes('answer\n'))
    expect(peer.clientCertificate?.()).toMatchObject({ subject: { CN: 'device' } })
    await server.end()
  })

  test('shows its certificate where the server asks for it', async () => {
    const { port, server } = await sServer(
      ...LAMP,
      '-Verify',
      '2',
      '-verify_return_error',
      '-CAfile',
      folder.path('ca.pem'),
      '-listen',
      '-mtu',
      '512'
    )
    await using client = await realChannel({ ca: root.cert, key: sensor.key, cert: sensor.cert }, false)
    const peer = await client.connect(port)
    peer.send(Buffer.from('hello\n'))
    await server.shows(/hello/)
    server.write('answer\n')
    await holds(() => client.received.includes('answer\n'))
    expect(server.output()).toContain('CN = sensor')
    await server.end()
  })

  test('refuses another name, another authority, and a certificate that has expired', async () => {
    const { port, server } = await sServer(...LAMP)
    for (const [options, host, sentence] of [
      [{ ca: root.cert }, 'door.example', 'bad_certificate'],
      [{}, 'lamp.example', 'unknown_ca'],
      [{ ca: lamp.cert }, '127.0.0.2', 'bad_certificate']
    ] as const) {
      await using client = await realChannel(options, false)
      await expect(client.connect(port, host)).rejects.toThrow(sentence)
    }
    await server.end()
    const old = await sServer('-cert', folder.path('expired.pem'), '-key', folder.path('expired.key'))
    await using client = await realChannel({ ca: root.cert }, false)
    await expect(client.connect(old.port)).rejects.toThrow('certificate_expired')
    await old.server.end()
  })

  test('resumes its session', async () => {
    const { port, server } = await sServer(...LAMP)
    await using client = await realChannel({ ca: root.cert }, false)
    const first = await client.connect(port)
    first.close()
    await server.shows(/DONE|closed/i)
    const again = await client.connect(port)
    again.send(Buffer.from('hello\n'))
    await server.shows(/hello/)
    expect(again.clientCertificate?.()).toMatchObject({ subject: { CN: 'device' } })
    expect(server.output()).toMatch(/Reused|session hits/)
    await server.end()
  })
})

describeWith('openssl', 'ECDHE_PSK with OpenSSL', () => {
  const cipher = 'ECDHE-PSK-CHACHA20-POLY1305'
  const psk = ['-psk', KEY.toString('hex'), '-psk_identity', 'sensor', '-cipher', cipher]

  test('serves a client, and resumes its session', async () => {
    await using server = await realChannel(PSK, true)
    const client = sClient(server.port, ...psk, '-reconnect', '-no_ticket')
    await client.shows(/(Reused, TLSv1.2[\s\S]*){5}/)
    expect(client.output()).toContain(`Cipher is ${cipher}`)
    await holds(() => server.opened.length === 6)
    expect(server.opened.map(({ user }) => user)).toEqual(Array.from({ length: 6 }, () => ({ id: 'sensor', by: 'psk' })))
    await client.end()
  })

  test('is spoken by a client', async () => {
    const { port, server } = await sServer('-nocert', '-psk', KEY.toString('hex'), '-cipher', cipher)
    await using client = await realChannel(PSK, false)
    const peer = await client.connect(port)
    peer.send(Buffer.from('hello\n'))
    await server.shows(/hello/)
    server.write('answer\n')
    await holds(() => client.received.includes('answer\n'))
    await server.end()
  })
})

/** Answers a CoAP GET with 2.05 and a text, by hand. */
const coapAnswer = (request: Uint8Array): Uint8Array | undefined => {
  const tokenLength = request[0]! & 15
  if (request[1] !== 1) return undefined
  const token = request.subarray(4, 4 + tokenLength)
  return Buffer.concat([Buffer.from([0x60 | tokenLength, 0x45, request[2]!, request[3]!]), token, Buffer.from([255]), Buffer.from('lit')])
}

describeWith('coap-client-gnutls', 'A server and clients of GnuTLS', () => {
  const coapClient = (port: number, ...more: readonly string[]) =>
    start('coap-client-gnutls', ['-v', '7', '-B', '5', ...more, '-m', 'get', `coaps://127.0.0.1:${port}/lamp`])

  test('meet with raw public keys', async () => {
    const pem = sensor.publicKey.export({ format: 'pem', type: 'spki' })
    await using server = await realChannel({ key: lamp.key, rawPublicKeys: { sensor: pem as string } }, true, coapAnswer)
    const pair = files({ 'rpk.pem': `${sensor.privateKey.export({ format: 'pem', type: 'sec1' })}${pem}` })
    const client = coapClient(server.port, '-M', pair.path('rpk.pem'))
    await client.shows(/lit/)
    expect(server.opened[0]?.user).toEqual({ id: 'sensor', by: 'rpk' })
    await client.end()
    pair.remove()
  })

  test('meet with certificates', async () => {
    await using server = await realChannel(MUTUAL, true, coapAnswer)
    const client = coapClient(server.port, '-c', folder.path('sensor.pem'), '-j', folder.path('sensor.key'), '-R', folder.path('ca.pem'))
    await client.shows(/lit/)
    expect(server.opened[0]?.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' } })
    await client.end()
  })

  test('meet with keys that are agreed on for each handshake', async () => {
    await using server = await realChannel({ psk: { sensor: Buffer.from('a key in letters') } }, true, coapAnswer)
    const client = coapClient(server.port, '-u', 'sensor', '-k', 'a key in letters')
    await client.shows(/lit/)
    expect(server.opened[0]?.user).toEqual({ id: 'sensor', by: 'psk' })
    await client.end()
  })
})

describeWith('coap-server-gnutls', 'A client and servers of GnuTLS', () => {
  /** NON GET of `/`. */
  const GET = Buffer.from([0x50, 0x01, 0x12, 0x34])
  const ask = async (options: DtlsOptions, ...more: readonly string[]): Promise<{ readonly text: string; readonly user: unknown }> => {
    const port = await freePort()
    const server = start('coap-server-gnutls', ['-v', '6', '-A', '127.0.0.1', '-p', `${port}`, ...more])
    await using client = await realChannel(options, false)
    try {
      // It says nothing when it listens; the first hello may be too early, and is sent again.
      const peer = await client.connect(port + 1)
      peer.send(GET)
      await holds(() => client.received.length > 0)
      return { text: client.received[0] ?? '', user: peer.user }
    } finally {
      await server.end()
    }
  }

  test('meet with raw public keys', async () => {
    const publicPem = (of: typeof lamp): string => of.publicKey.export({ format: 'pem', type: 'spki' }) as string
    const pair = files({ 'rpk.pem': `${lamp.privateKey.export({ format: 'pem', type: 'sec1' })}${publicPem(lamp)}` })
    const { text, user } = await ask({ key: sensor.key, rawPublicKeys: { lamp: publicPem(lamp) } }, '-M', pair.path('rpk.pem'))
    expect(text).toContain('This is a test server')
    expect(user).toEqual({ id: 'lamp', by: 'rpk' })
    pair.remove()
  })

  test('meet with certificates', async () => {
    const own = ['-c', folder.path('lamp.pem'), '-j', folder.path('lamp.key'), '-R', folder.path('ca.pem')]
    const { text } = await ask({ ca: root.cert, key: sensor.key, cert: sensor.cert }, ...own)
    expect(text).toContain('This is a test server')
  })

  test('meet with a key, whatever hint comes with it', async () => {
    const { text } = await ask({ psk: { sensor: Buffer.from('a key in letters') } }, '-k', 'a key in letters', '-h', 'somebody')
    expect(text).toContain('This is a test server')
  })
})
