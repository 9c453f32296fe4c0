import { DEFAULT_LIMITS, type SecuredChannel, type SecuredPeer, systemClock } from '@iopa/transport'
import { datagramNetwork } from '@iopa/transport/node'
import { afterEach, expect, test } from 'vitest'
import { type DtlsOptions, dtls } from '../src/index.ts'
import { KEY } from './channels.ts'
import { describeWithOpenssl, type Openssl, openssl } from './openssl.ts'

const SUITES = ['PSK-AES128-GCM-SHA256', 'PSK-AES128-CCM', 'PSK-AES128-CCM8'] as const
const PSK = ['-dtls1_2', '-psk', KEY.toString('hex')] as const

let ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending) await end()
  ending = []
})

interface Open {
  readonly channel: SecuredChannel
  readonly peers: SecuredPeer[]
  readonly refused: string[]
  readonly received: string[]
}

const channelOf = async (options: DtlsOptions, accept: boolean): Promise<Open> => {
  const refused: string[] = []
  const received: string[] = []
  const peers: SecuredPeer[] = []
  const channel = dtls(options).over(await datagramNetwork().bind({ host: '127.0.0.1', port: 0 }), {
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    logger: console,
    accept,
    refused: (_, code) => refused.push(code)
  })
  channel.open({
    opened: peer => peers.push(peer),
    message: (bytes, peer) => {
      received.push(Buffer.from(bytes).toString())
      if (accept) peer.send(Buffer.concat([Buffer.from('echo '), bytes]))
    },
    closed: () => undefined,
    error: () => undefined
  })
  ending.push(() => channel.close())
  return { channel, peers, refused, received }
}

const run = (...args: string[]): Openssl => {
  const program = openssl(...args)
  ending.push(program.end)
  return program
}

const client = (port: number, ...args: string[]): Openssl =>
  run('s_client', ...PSK, '-psk_identity', 'sensor', '-connect', `127.0.0.1:${port}`, ...args)

describeWithOpenssl('a DTLS server and s_client', () => {
  test.each([...SUITES, 'ALL'])('agree on %s', async suite => {
    const { channel, peers } = await channelOf({ psk: { sensor: KEY } }, true)
    const program = client(channel.localPort, '-cipher', suite === 'ALL' ? SUITES.toReversed().join(':') : suite)
    const text = await program.shows(/Cipher is PSK.*[\s\S]*---\n/)
    expect(text).toContain(`Cipher is ${suite === 'ALL' ? SUITES[0] : suite}`)
    expect(text).toContain('Extended master secret: yes')
    program.write('hello\n')
    await program.shows(/echo hello/)
    expect(peers[0]?.user).toEqual({ id: 'sensor', by: 'psk' })
  })

  test('agree through small datagrams', async () => {
    const { channel } = await channelOf({ psk: { sensor: KEY } }, true)
    const program = client(channel.localPort, '-cipher', 'PSK-AES128-CCM8', '-mtu', '256')
    await program.shows(/Cipher is PSK-AES128-CCM8/)
    program.write('hello\n')
    await program.shows(/echo hello/)
  })

  test('fail with another key, for which s_client gets an alert', async () => {
    const { channel, refused } = await channelOf({ psk: { sensor: KEY.toReversed() } }, true)
    const program = client(channel.localPort, '-cipher', 'PSK-AES128-CCM8')
    await program.shows(/alert decrypt error/, 9000)
    expect(refused).toEqual(['tls-handshake-failed'])
  })
})

const server = async (...args: string[]): Promise<{ program: Openssl; port: number }> => {
  const port = 20_000 + Math.floor(Math.random() * 30_000)
  const program = run('s_server', ...PSK, '-nocert', '-psk_identity', 'sensor', '-accept', `127.0.0.1:${port}`, ...args)
  await program.shows(/ACCEPT/)
  return { program, port }
}

const target = (port: number): { address: string; port: number; host: string } => ({ address: '127.0.0.1', port, host: 'localhost' })

describeWithOpenssl('a DTLS client and s_server', () => {
  test.each(SUITES)('agree on %s', async suite => {
    const { program, port } = await server('-cipher', suite)
    const { channel, received } = await channelOf({ psk: { sensor: KEY } }, false)
    const peer = await channel.connect(target(port), AbortSignal.timeout(8000))
    peer.send(Buffer.from('hello\n'))
    await program.shows(/hello/)
    program.write('welcome\n')
    await expect.poll(() => received.join('')).toContain('welcome')
  })

  test('agree with a cookie and a hint', async () => {
    const { program, port } = await server('-cipher', 'PSK-AES128-CCM8', '-listen', '-psk_hint', 'CoAP')
    const { channel } = await channelOf({ psk: { sensor: KEY } }, false)
    const peer = await channel.connect(target(port), AbortSignal.timeout(8000))
    peer.send(Buffer.from('hello\n'))
    await program.shows(/hello/)
  })

  test('fail without a common suite, and the client says what the server has answered', async () => {
    const { port } = await server('-cipher', 'PSK-AES256-GCM-SHA384')
    const { channel } = await channelOf({ psk: { sensor: KEY } }, false)
    const connecting = channel.connect(target(port), AbortSignal.timeout(12_000))
    await expect(connecting).rejects.toMatchObject({ code: 'handshake-failed', message: expect.stringContaining('handshake_failure') })
  })
})
