import { afterEach, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import type { DtlsOptions } from '../src/index.ts'
import { KEY } from './channels.ts'
import { type Program, type RealChannel, realChannel, start } from './foreign-peers.ts'

const SUITES = ['PSK-AES128-GCM-SHA256', 'PSK-AES128-CCM', 'PSK-AES128-CCM8'] as const
const PSK = ['-dtls1_2', '-psk', KEY.toString('hex')] as const

let ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending) await end()
  ending = []
})

const channelOf = async (options: DtlsOptions, accept: boolean): Promise<RealChannel> => {
  const real = await realChannel(options, accept, bytes => Buffer.concat([Buffer.from('echo '), bytes]))
  ending.push(() => real.channel.close())
  return real
}

const run = (...args: string[]): Program => {
  const program = start('openssl', args)
  ending.push(program.end)
  return program
}

const client = (port: number, ...args: string[]): Program =>
  run('s_client', ...PSK, '-psk_identity', 'sensor', '-connect', `127.0.0.1:${port}`, ...args)

describeWith('openssl', 'a DTLS server and s_client', () => {
  test.each([...SUITES, 'ALL'])('agree on %s', async suite => {
    const { channel, opened } = await channelOf({ psk: { sensor: KEY } }, true)
    const program = client(channel.localPort, '-cipher', suite === 'ALL' ? SUITES.toReversed().join(':') : suite)
    const text = await program.shows(/Cipher is PSK.*[\s\S]*---\n/)
    expect(text).toContain(`Cipher is ${suite === 'ALL' ? SUITES[0] : suite}`)
    expect(text).toContain('Extended master secret: yes')
    program.write('hello\n')
    await program.shows(/echo hello/)
    expect(opened[0]?.user).toEqual({ id: 'sensor', by: 'psk' })
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

const server = async (...args: string[]): Promise<{ program: Program; port: number }> => {
  const port = 20_000 + Math.floor(Math.random() * 30_000)
  const program = run('s_server', ...PSK, '-nocert', '-psk_identity', 'sensor', '-accept', `127.0.0.1:${port}`, ...args)
  await program.shows(/ACCEPT/)
  return { program, port }
}

const target = (port: number): { address: string; port: number; host: string } => ({ address: '127.0.0.1', port, host: 'localhost' })

describeWith('openssl', 'a DTLS client and s_server', () => {
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
